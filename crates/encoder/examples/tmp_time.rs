#![allow(missing_docs)]
use candle_core::{DType, Device, Tensor};
use selvedge_encoder::*;
use std::collections::HashMap;
use std::time::Instant;
fn main() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/plain_bert");
    let dir = std::env::temp_dir().join("tmp_time_bert");
    std::fs::create_dir_all(&dir).unwrap();
    for f in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(golden.join(f), dir.join(f)).unwrap();
    }
    let mut c: serde_json::Value = serde_json::from_slice(&std::fs::read(golden.join("config.json")).unwrap()).unwrap();
    for (k, v) in [
        ("hidden_size", 384),
        ("num_hidden_layers", 6),
        ("num_attention_heads", 12),
        ("intermediate_size", 1536),
        ("max_position_embeddings", 512),
    ] {
        c[k] = v.into();
    }
    std::fs::write(dir.join("config.json"), c.to_string()).unwrap();
    let vm = candle_nn::VarMap::new();
    let cfg: candle_transformers::models::bert::Config = serde_json::from_value(c).unwrap();
    candle_transformers::models::bert::BertModel::load(
        candle_nn::VarBuilder::from_varmap(&vm, DType::F32, &Device::Cpu),
        &cfg,
    )
    .unwrap();
    let m: HashMap<String, Tensor> =
        vm.data().lock().unwrap().iter().map(|(k, v)| (k.clone(), v.as_tensor().clone())).collect();
    candle_core::safetensors::save(&m, dir.join("model.safetensors")).unwrap();
    let word = "the woven edge keeps a cloth from fraying over and under ";
    for model in ["shipped", dir.to_str().unwrap()] {
        let long: Vec<String> = (0..32).map(|i| word.repeat(12 + i % 5)).collect();
        let query = vec!["the woven edge keeps a cloth".to_string()];
        for bt in [None, Some(1024), Some(4096)] {
            for ex in ["own", "candle"] {
                let o = LoadOptions {
                    executor: ex.parse().unwrap(),
                    precision: Some(Precision::F32),
                    passage_maxlen: Some(180),
                    batch_tokens: bt,
                    ..LoadOptions::default()
                };
                let e = Encoder::load(model, &o).unwrap();
                let tokens = e.count_tokens(&long).unwrap();
                let mut best = f64::MAX;
                let mut bq = f64::MAX;
                for _ in 0..4 {
                    let t = Instant::now();
                    e.encode_passages(&long).unwrap();
                    best = best.min(t.elapsed().as_secs_f64());
                }
                for _ in 0..10 {
                    let t = Instant::now();
                    e.encode_queries(&query).unwrap();
                    bq = bq.min(t.elapsed().as_secs_f64());
                }
                println!(
                    "{model} {ex} batch {bt:?}: passages {tokens} tokens {:.1} ms = {:.0} tokens/s; query {:.2} ms",
                    best * 1e3,
                    tokens as f64 / best,
                    bq * 1e3
                );
            }
        }
    }
}
