//! The executor candle: equal to our own layers where both have an architecture, and to candle's model of a single text
//! without padding where only candle does.

#![allow(missing_docs, unreachable_pub, dead_code)]

mod random;
mod support;

use candle_core::{D, Tensor};
use candle_transformers::models::{jina_bert, nomic_bert};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use random::{Weights, builder, row, weights};
use selvedge_encoder::{
    Architecture, CandleDevice, Embeddings, Encoder, Error, Executor, LoadOptions, Precision, Result, TextKind,
    TokenizedText,
};
use serde_json::{Value, json};
use std::path::Path;
use support::{copy, golden, replace};
use tempfile::TempDir;

/// Largest accepted difference of a component of a unit-norm row.
const TOLERANCE: f32 = 1e-4;
/// Golden checkpoints: each architecture in each family.
const CASES: [&str; 12] = [
    "plain_bert",
    "plain_distilbert",
    "plain_xlm_roberta",
    "plain_modernbert",
    "pylate_bert",
    "pylate_distilbert",
    "pylate_xlm_roberta",
    "pylate_modernbert",
    "sentence_transformers_bert",
    "sentence_transformers_modernbert",
    "stanford_bert",
    "stanford_xlm_roberta",
];
/// Checkpoint of local layers whose queries are expanded beyond their window, and the length that is within it.
const BEYOND_WINDOW: &str = "sentence_transformers_modernbert";
const WITHIN_WINDOW: usize = 5;
const CANDLE: Executor = Executor::Candle(CandleDevice::Cpu);

/// Loads a checkpoint. One batch holds texts of many lengths.
fn load(folder: &Path, executor: Executor) -> Result<Encoder> {
    let case = folder.file_name().unwrap().to_str().unwrap();
    let cut = |len| case.starts_with("plain").then_some(len);
    let options = LoadOptions {
        query_maxlen: if case == BEYOND_WINDOW { Some(WITHIN_WINDOW) } else { cut(12) },
        passage_maxlen: cut(40),
        batch_tokens: Some(150),
        precision: Some(Precision::F32),
        executor,
        ..LoadOptions::default()
    };
    Encoder::load(folder.to_str().unwrap(), &options)
}

/// The texts of a golden checkpoint, from empty to cut, and some of one token.
fn texts() -> Vec<String> {
    let json = std::fs::read(golden("plain_bert").join("golden.json")).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    let texts = json["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
    texts.chain(["x", ".", "the"].map(str::to_owned)).collect()
}

/// Largest difference of a component; the shapes have to be the same.
fn worst(case: &str, ours: &Embeddings, theirs: &Embeddings) -> f32 {
    assert_eq!((ours.dim, &ours.lens), (theirs.dim, &theirs.lens), "{case}");
    assert_eq!(ours.num_truncated, theirs.num_truncated, "{case}");
    assert!(ours.num_embeddings() > 10, "{case}");
    ours.data.iter().zip(&theirs.data).map(|(a, b)| if b.is_nan() { f32::NAN } else { (a - b).abs() }).fold(0.0, worse)
}

/// The larger of two differences, and a NaN over both.
fn worse(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() { f32::NAN } else { a.max(b) }
}

#[test]
fn both_executors_agree() {
    let texts = texts();
    for case in CASES {
        let [own, candle] = [Executor::Own, CANDLE].map(|executor| load(&golden(case), executor).unwrap());
        assert_eq!((own.executor(), candle.executor()), (Executor::Own, CANDLE));
        assert_eq!(own.fingerprint(), candle.fingerprint(), "{case}");
        assert_eq!(own.multiply_adds(), candle.multiply_adds(), "{case}");
        assert_eq!(candle.precision(), Precision::F32);
        let queries = worst(case, &own.encode_queries(&texts).unwrap(), &candle.encode_queries(&texts).unwrap());
        let passages = worst(case, &own.encode_passages(&texts).unwrap(), &candle.encode_passages(&texts).unwrap());
        let dense = |encoder: &Encoder| encoder.encode_dense(&texts, TextKind::Query).unwrap();
        let dense = worst(case, &dense(&own), &dense(&candle));
        println!("{case}: {queries:.1e} in queries, {passages:.1e} in passages, {dense:.1e} in dense vectors");
        for difference in [queries, passages, dense] {
            assert!(difference <= TOLERANCE, "{case}: {difference}");
        }
    }
}

#[test]
fn the_shipped_model_runs_in_f32() {
    let with = |executor, precision| {
        let options = LoadOptions { executor, precision, ..LoadOptions::default() };
        Encoder::load("shipped", &options)
    };
    let own = with(Executor::Own, Some(Precision::F32)).unwrap();
    let candle = with(CANDLE, None).unwrap();
    assert_eq!(candle.precision(), Precision::F32);
    assert_eq!(own.fingerprint(), candle.fingerprint());
    let texts = texts();
    let difference = worst("shipped", &own.encode_passages(&texts).unwrap(), &candle.encode_passages(&texts).unwrap());
    println!("shipped: {difference:.1e}");
    assert!(difference <= TOLERANCE, "{difference}");
    assert!(matches!(with(CANDLE, Some(Precision::Int8)).unwrap_err(), Error::CandleInt8));
}

#[test]
fn tensors_on_the_device_are_the_embeddings() {
    let texts = texts();
    for case in ["pylate_bert", "stanford_xlm_roberta", "plain_modernbert"] {
        let encoder = load(&golden(case), CANDLE).unwrap();
        for (tensors, embeddings) in [
            (encoder.encode_queries_on_device(&texts).unwrap(), encoder.encode_queries(&texts).unwrap()),
            (encoder.encode_passages_on_device(&texts).unwrap(), encoder.encode_passages(&texts).unwrap()),
        ] {
            assert_eq!(tensors.len(), texts.len());
            for (tensor, rows) in tensors.iter().zip(embeddings.iter()) {
                assert_eq!(tensor.dims(), [rows.len() / encoder.dim(), encoder.dim()]);
                assert!(tensor.is_contiguous());
                let values = tensor.to_vec2::<f32>().unwrap().concat();
                assert!(values.iter().zip(rows).all(|(a, b)| (a - b).abs() < 1e-6), "{case}");
            }
        }
        assert!(encoder.encode_queries_on_device(&[""; 2]).unwrap().iter().all(|tensor| tensor.dims()[0] == 0));
    }
    let own = load(&golden("pylate_bert"), Executor::Own).unwrap();
    assert!(matches!(own.encode_queries_on_device(&texts), Err(Error::NotCandle)));
}

/// A checkpoint in the family of a golden one, with another transformer and random weights.
fn checkpoint(case: &str, config: &Value, weights: &Weights) -> TempDir {
    let dir = copy(case);
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let mut weights = weights.clone();
    if case.starts_with("stanford") {
        let name = "linear.weight";
        let file = candle_core::safetensors::load(dir.path().join("model.safetensors"), &candle_core::Device::Cpu);
        weights.insert(name.into(), file.unwrap()[name].clone());
    }
    candle_core::safetensors::save(&weights, dir.path().join("model.safetensors")).unwrap();
    dir
}

/// Compares the embeddings of texts in one batch with those that `forward` and the projection give for each text alone.
fn compare_with_single_texts(dir: &TempDir, forward: impl Fn(&TokenizedText) -> candle_core::Result<Tensor>) {
    let encoder = load(dir.path(), CANDLE).unwrap();
    let weights = candle_core::safetensors::load(dir.path().join("model.safetensors"), &candle_core::Device::Cpu);
    let projection = weights.unwrap().remove("linear.weight");
    let texts = texts();
    for (kind, batched) in [
        (TextKind::Query, encoder.encode_queries(&texts).unwrap()),
        (TextKind::Passage, encoder.encode_passages(&texts).unwrap()),
    ] {
        let mut difference = 0.0;
        let mut compared = 0;
        for (text, rows) in encoder.pipeline().tokenize(&texts, kind).unwrap().iter().zip(batched.iter()) {
            assert_eq!(rows.len(), text.kept.len() * encoder.dim());
            if text.kept.is_empty() {
                continue;
            }
            let mut states = forward(text).unwrap().squeeze(0).unwrap();
            if let Some(projection) = &projection {
                states = states.matmul(&projection.t().unwrap()).unwrap();
            }
            let norms = states.sqr().unwrap().sum_keepdim(D::Minus1).unwrap().sqrt().unwrap();
            let states = states.broadcast_div(&norms).unwrap().to_vec2::<f32>().unwrap();
            let expected = text.kept.iter().flat_map(|&at| &states[at]);
            difference = expected.zip(rows).map(|(a, b)| (a - b).abs()).fold(difference, worse);
            compared += 1;
        }
        println!("{}: {difference:.1e} in {kind}", dir.path().display());
        assert!(compared > 10 && difference <= TOLERANCE, "{kind}: {difference}");
    }
}

fn jina_config() -> Value {
    json!({"model_type": "bert", "position_embedding_type": "alibi", "feed_forward_type": "geglu",
        "vocab_size": 220, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "hidden_act": "gelu",
        "intermediate_size": 32, "max_position_embeddings": 52, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": 1e-12, "pad_token_id": 0})
}

#[test]
fn jina_bert_needs_no_mask() {
    let config = jina_config();
    let parsed: jina_bert::Config = serde_json::from_value(config.clone()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let weights = weights(&mut rng, "", |vb| _ = jina_bert::BertModel::new(vb, &parsed).unwrap());
    let model = jina_bert::BertModel::new(builder(&weights), &parsed).unwrap();
    let forward = |text: &TokenizedText| candle_core::Module::forward(&model, &row(&text.ids)?);

    compare_with_single_texts(&checkpoint("plain_bert", &config, &weights), forward);

    let dir = checkpoint("stanford_bert", &config, &weights);
    let error = load(dir.path(), CANDLE).unwrap_err();
    assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("mask")), "{error}");
    replace(
        dir.path().join("artifact.metadata"),
        "\"attend_to_mask_tokens\": false",
        "\"attend_to_mask_tokens\": true",
    );
    assert_eq!(load(dir.path(), CANDLE).unwrap().architecture(), Architecture::JinaBert);
    compare_with_single_texts(&dir, forward);

    let error = load(dir.path(), Executor::Own).unwrap_err();
    assert!(matches!(&error, Error::UnsupportedArchitecture { candle_has_it: true, .. }), "{error}");
    assert!(error.to_string().contains("executor candle"), "{error}");
}

#[test]
fn nomic_bert_is_masked() {
    for (interleaved, bias) in [(false, false), (true, true)] {
        let config = json!({"model_type": "nomic_bert", "vocab_size": 220, "n_embd": 24, "n_head": 3, "n_layer": 2,
            "n_inner": 32, "n_positions": 52, "type_vocab_size": 2, "layer_norm_epsilon": 1e-12,
            "rotary_emb_fraction": 1.0, "rotary_emb_base": 1000, "rotary_emb_interleaved": interleaved,
            "qkv_proj_bias": bias, "mlp_fc1_bias": bias, "mlp_fc2_bias": bias, "activation_function": "swiglu",
            "prenorm": false});
        let parsed: nomic_bert::Config = serde_json::from_value(config.clone()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let weights = weights(&mut rng, "", |vb| _ = nomic_bert::NomicBertModel::load(vb, &parsed).unwrap());
        let model = nomic_bert::NomicBertModel::load(builder(&weights), &parsed).unwrap();
        let forward = |text: &TokenizedText| {
            let mask: Vec<u32> = (0..text.ids.len()).map(|at| u32::from(at < text.attended)).collect();
            model.forward(&row(&text.ids)?, None, Some(&row(&mask)?))
        };
        for case in ["plain_bert", "stanford_bert"] {
            let dir = checkpoint(case, &config, &weights);
            assert_eq!(load(dir.path(), CANDLE).unwrap().architecture(), Architecture::NomicBert);
            compare_with_single_texts(&dir, forward);
            let error = load(dir.path(), Executor::Own).unwrap_err();
            assert!(matches!(&error, Error::UnsupportedArchitecture { candle_has_it: true, .. }), "{error}");
        }
    }
}

#[test]
fn settings_that_candle_does_not_compute_are_refused() {
    let refused = |case: &str, from: &str, to: &str, expected: &str| {
        let dir = copy(case);
        replace(dir.path().join("config.json"), from, to);
        let error = load(dir.path(), CANDLE).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains(expected)), "{error}");
    };
    refused("plain_bert", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"tanh\"", "activation Tanh");
    let activation = "\"hidden_activation\": \"gelu\"";
    refused("plain_modernbert", activation, "\"hidden_activation\": \"silu\"", "activation Silu");
    for bias in ["norm_bias", "attention_bias", "mlp_bias"] {
        refused("plain_modernbert", &format!("\"{bias}\": false"), &format!("\"{bias}\": true"), bias);
    }
    let layers = "\"full_attention\",\n    \"sliding_attention\",\n    \"full_attention\"";
    for other in [["full", "full", "sliding"], ["sliding", "full", "sliding"]] {
        let other = other.map(|kind| format!("\"{kind}_attention\"")).join(",\n    ");
        refused("plain_modernbert", layers, &other, "layer_types");
    }

    let folder = golden(BEYOND_WINDOW);
    let query_maxlen = Some(WITHIN_WINDOW + 1);
    for options in [LoadOptions::default(), LoadOptions { query_maxlen, ..LoadOptions::default() }] {
        let options = LoadOptions { executor: CANDLE, ..options };
        let error = Encoder::load(folder.to_str().unwrap(), &options).unwrap_err();
        assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("more than 5")), "{error}");
    }

    let with = |change: &dyn Fn(&mut Value)| {
        let mut config = jina_config();
        change(&mut config);
        let dir = checkpoint("plain_bert", &config, &Weights::new());
        load(dir.path(), CANDLE).unwrap_err()
    };
    let error = with(&|config| config["feed_forward_type"] = "reglu".into());
    assert!(matches!(&error, Error::Unsupported { what, .. } if what.contains("reglu")), "{error}");
}

#[test]
fn devices_that_are_missing_are_errors() {
    let (cuda, metal) = (cfg!(feature = "candle-cuda"), cfg!(feature = "candle-metal"));
    for (device, built, feature) in
        [(CandleDevice::Cuda(99), cuda, "candle-cuda"), (CandleDevice::Metal(99), metal, "candle-metal")]
    {
        let error = load(&golden("plain_bert"), Executor::Candle(device)).unwrap_err();
        assert!(matches!(&error, Error::NoCandleDevice { device: found, .. } if *found == device), "{error}");
        assert!(built || error.to_string().contains(&format!("--features {feature}")), "{error}");
    }
}

#[test]
fn tokens_without_an_embedding_are_errors() {
    for case in ["plain_bert", "plain_modernbert"] {
        let encoder = load(&golden(case), CANDLE).unwrap();
        let error = encoder.encode_tokens([100_000]).unwrap_err();
        assert!(matches!(&error, Error::TokenOutOfRange { id: 100_000, .. }), "{error}");
    }
}
