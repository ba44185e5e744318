//! Compares every architecture with its model in candle-transformers: random configurations, random weights, texts of
//! different lengths. Both read the same weights, and the normalized hidden states agree.

#![allow(missing_docs, unreachable_pub)]

mod random;

use candle_core::{DType, Device, Tensor};
use candle_transformers::models::{bert, distilbert, modernbert, xlm_roberta};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use random::{Weights, builder, row, weights};
use selvedge_encoder::{Encoder, LoadOptions, Precision};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// Largest accepted difference of a component of a unit-norm row.
const TOLERANCE: f32 = 1e-4;
/// Maximum length, above that of every text.
const MAX_LEN: usize = 120;
/// Number of configurations of each architecture.
const ROUNDS: u64 = 4;
const TEXTS: [&str; 5] = [
    "a",
    "the woven edge keeps a cloth from fraying",
    "A.B.C. (1999): 3.14, 50%!",
    "weaving, weaving, weaving the threads of the warp and the weft over and under, line by line by line",
    "late interaction",
];

/// Hidden states `(T, H)` of token ids.
type Forward = Box<dyn Fn(&[u32]) -> candle_core::Result<Tensor>>;

fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case)
}

/// Configuration of a golden checkpoint with other sizes.
fn config(case: &str, sizes: Value) -> Value {
    let mut config: Value = serde_json::from_slice(&std::fs::read(golden(case).join("config.json")).unwrap()).unwrap();
    config.as_object_mut().unwrap().extend(sizes.as_object().unwrap().clone());
    config["max_position_embeddings"] = (MAX_LEN + 2).into();
    config
}

fn parsed<C: serde::de::DeserializeOwned>(config: &Value) -> C {
    serde_json::from_value(config.clone()).unwrap()
}

/// Loads both models and compares the hidden states of each text.
fn compare(case: &str, config: &Value, weights: &Weights, theirs: &Forward) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(golden(case).join(name), dir.path().join(name)).unwrap();
    }
    let named: HashMap<_, _> =
        weights.iter().map(|(name, tensor)| (name.trim_start_matches("model."), tensor.clone())).collect();
    candle_core::safetensors::save(&named, dir.path().join("model.safetensors")).unwrap();

    let precision = Some(Precision::F32);
    let options =
        LoadOptions { passage_maxlen: Some(MAX_LEN), batch_tokens: Some(32), precision, ..LoadOptions::default() };
    let encoder = Encoder::load(dir.path().to_str().unwrap(), &options).unwrap();
    let ours = encoder.encode_passages(&TEXTS).unwrap();
    let mut tokenizer = Tokenizer::from_file(dir.path().join("tokenizer.json")).unwrap();
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).unwrap();
    for (text, ours) in TEXTS.iter().zip(ours.iter()) {
        let ids = tokenizer.encode(*text, true).unwrap().get_ids().to_vec();
        let theirs = theirs(&ids).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(theirs.len() * encoder.dim(), ours.len(), "{case} {config}: rows of {text:?}");
        for (theirs, ours) in theirs.iter().zip(ours.chunks_exact(encoder.dim())) {
            let length = theirs.iter().map(|x| x * x).sum::<f32>().sqrt();
            let worst = theirs.iter().zip(ours).map(|(a, b)| (a / length - b).abs()).fold(0.0, f32::max);
            assert!(worst <= TOLERANCE, "{case} {config}: {worst} off in {text:?}");
        }
    }
}

/// Random sizes: heads, hidden width, intermediate width, layers.
fn sizes(rng: &mut impl Rng) -> (usize, usize, usize, usize) {
    let heads = rng.random_range(1..=4);
    let hidden = heads * 8 * rng.random_range(1..=3);
    (heads, hidden, 8 * rng.random_range(1..=9), rng.random_range(1..=4))
}

#[test]
fn bert() {
    for seed in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (heads, hidden, intermediate, layers) = sizes(&mut rng);
        let act = if seed % 2 == 0 { "gelu" } else { "relu" };
        let sizes = json!({"num_attention_heads": heads, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "hidden_act": act});
        let json = config("plain_bert", sizes);
        let parsed: bert::Config = parsed(&json);
        let weights = weights(&mut rng, "", |vb| _ = bert::BertModel::load(vb, &parsed).unwrap());
        let model = bert::BertModel::load(builder(&weights), &parsed).unwrap();
        let forward: Forward = Box::new(move |ids| {
            let ids = row(ids)?;
            model.forward(&ids, &ids.zeros_like()?, None)?.squeeze(0)
        });
        compare("plain_bert", &json, &weights, &forward);
    }
}

#[test]
fn distilbert() {
    for seed in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (heads, hidden, intermediate, layers) = sizes(&mut rng);
        // candle's GELU is the tanh approximation, that of the checkpoints is not.
        let sizes = json!({"n_heads": heads, "dim": hidden, "hidden_dim": intermediate, "n_layers": layers,
            "activation": "relu"});
        let json = config("plain_distilbert", sizes);
        let parsed: distilbert::Config = parsed(&json);
        let weights = weights(&mut rng, "", |vb| _ = distilbert::DistilBertModel::load(vb, &parsed).unwrap());
        let model = distilbert::DistilBertModel::load(builder(&weights), &parsed).unwrap();
        // candle's mask is 1 for tokens that are not attended to.
        let forward: Forward = Box::new(move |ids| {
            let nothing = Tensor::zeros((ids.len(), ids.len()), DType::U8, &Device::Cpu)?;
            model.forward(&row(ids)?, &nothing)?.squeeze(0)
        });
        compare("plain_distilbert", &json, &weights, &forward);
    }
}

#[test]
fn xlm_roberta() {
    for seed in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (heads, hidden, intermediate, layers) = sizes(&mut rng);
        let sizes = json!({"num_attention_heads": heads, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "position_embedding_type": "absolute"});
        let json = config("plain_xlm_roberta", sizes);
        let parsed: xlm_roberta::Config = parsed(&json);
        let weights = weights(&mut rng, "", |vb| _ = xlm_roberta::XLMRobertaModel::new(&parsed, vb).unwrap());
        let model = xlm_roberta::XLMRobertaModel::new(&parsed, builder(&weights)).unwrap();
        let forward: Forward = Box::new(move |ids| {
            let ids = row(ids)?;
            model.forward(&ids, &ids.ones_like()?, &ids.zeros_like()?, None, None, None)?.squeeze(0)
        });
        compare("plain_xlm_roberta", &json, &weights, &forward);
    }
}

#[test]
fn modern_bert() {
    for seed in 0..ROUNDS {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (heads, hidden, intermediate, layers) = sizes(&mut rng);
        let every = rng.random_range(1..=3);
        let kind = |layer| if layer % every == 0 { "full_attention" } else { "sliding_attention" };
        let kinds: Vec<&str> = (0..layers).map(kind).collect();
        let sizes = json!({"num_attention_heads": heads, "hidden_size": hidden, "intermediate_size": intermediate,
            "num_hidden_layers": layers, "global_attn_every_n_layers": every, "layer_types": kinds,
            "local_attention": 2 * rng.random_range(1..=6), "layer_norm_eps": 1e-5,
            "global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0});
        let json = config("plain_modernbert", sizes);
        let parsed: modernbert::Config = parsed(&json);
        // The first layer has no norm before its attention.
        let first_norm = "model.layers.0.attn_norm.weight";
        let weights = weights(&mut rng, first_norm, |vb| _ = modernbert::ModernBert::load(vb, &parsed).unwrap());
        let model = modernbert::ModernBert::load(builder(&weights), &parsed).unwrap();
        let forward: Forward = Box::new(move |ids| {
            let ids = row(ids)?;
            model.forward(&ids, &ids.ones_like()?)?.squeeze(0)
        });
        compare("plain_modernbert", &json, &weights, &forward);
    }
}
