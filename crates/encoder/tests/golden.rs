//! Compares every family with the embeddings of its reference library: see `tests/golden/make.py`.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use selvedge_encoder::{Architecture, Embeddings, Encoder, Family, LoadOptions, Precision, TextKind};

/// Largest accepted difference from the reference, per component of a unit-norm embedding.
const TOLERANCE: f32 = 1e-4;

/// Cases: (folder, family, architecture, D).
const CASES: [(&str, Family, Architecture, usize); 12] = [
    ("plain_bert", Family::Plain, Architecture::Bert, 24),
    ("plain_distilbert", Family::Plain, Architecture::DistilBert, 24),
    ("plain_xlm_roberta", Family::Plain, Architecture::XlmRoberta, 24),
    ("plain_modernbert", Family::Plain, Architecture::ModernBert, 24),
    ("pylate_bert", Family::PyLate, Architecture::Bert, 16),
    ("pylate_distilbert", Family::PyLate, Architecture::DistilBert, 24),
    ("pylate_xlm_roberta", Family::PyLate, Architecture::XlmRoberta, 16),
    ("pylate_modernbert", Family::PyLate, Architecture::ModernBert, 8),
    ("sentence_transformers_bert", Family::SentenceTransformers, Architecture::Bert, 16),
    ("sentence_transformers_modernbert", Family::SentenceTransformers, Architecture::ModernBert, 24),
    ("stanford_bert", Family::Stanford, Architecture::Bert, 16),
    ("stanford_xlm_roberta", Family::Stanford, Architecture::XlmRoberta, 24),
];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case)
}

fn load(case: &str) -> Encoder {
    load_in(case, Precision::F32)
}

fn load_in(case: &str, precision: Precision) -> Encoder {
    // The references cut plain texts at the lengths in make.py, and queries without padding at the checkpoint's own.
    let (query_maxlen, passage_maxlen) = match case {
        _ if case.starts_with("plain") => (Some(12), Some(40)),
        "pylate_distilbert" => (Some(16), None),
        _ => (None, None),
    };
    let precision = Some(precision);
    let options =
        LoadOptions { query_maxlen, passage_maxlen, batch_tokens: Some(64), precision, ..LoadOptions::default() };
    Encoder::load(folder(case).to_str().unwrap(), &options).unwrap()
}

fn texts(case: &str) -> Vec<String> {
    let json = std::fs::read(folder(case).join("golden.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    json["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Compares every text that the reference encoded; the others have to be empty. Returns the largest difference.
fn compare(case: &str, kind: &str, ours: &Embeddings) -> f32 {
    let bytes = std::fs::read(folder(case).join("golden.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let mut worst = 0f32;
    for (i, ours_rows) in ours.iter().enumerate() {
        let Ok(theirs) = golden.tensor(&format!("{kind}.{i}")) else {
            assert!(ours_rows.is_empty(), "{case} {kind} {i}: the text is empty, but has rows");
            continue;
        };
        assert_eq!([ours_rows.len() / ours.dim, ours.dim], theirs.shape(), "{case} {kind} {i}");
        let theirs = theirs.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        for (at, (ours, theirs)) in ours_rows.iter().zip(theirs).enumerate() {
            let difference = (ours - theirs).abs();
            assert!(difference <= TOLERANCE, "{case} {kind} {i} at {at}: {ours} for {theirs}");
            worst = worst.max(difference);
        }
    }
    worst
}

#[test]
fn every_family_matches_its_reference() {
    for (case, family, architecture, dim) in CASES {
        let encoder = load(case);
        assert_eq!((encoder.family(), encoder.architecture(), encoder.dim()), (family, architecture, dim), "{case}");
        let texts = texts(case);
        let queries = compare(case, "query", &encoder.encode_queries(&texts).unwrap());
        let passages = compare(case, "passage", &encoder.encode_passages(&texts).unwrap());
        println!("{case}: largest difference {queries:.1e} in queries, {passages:.1e} in passages");
    }
}

/// Cosines of all embeddings. These checkpoints are 24 wide, so rounding has a larger effect than in real ones.
#[test]
fn int8_is_nearly_f32() {
    for (case, ..) in CASES {
        let texts = texts(case);
        let [f32s, int8s] = [Precision::F32, Precision::Int8].map(|precision| {
            let encoder = load_in(case, precision);
            encoder.encode_passages(&texts).unwrap()
        });
        assert_eq!(f32s.lens, int8s.lens, "{case}");
        assert_ne!(f32s.data, int8s.data, "{case}: nothing is rounded");
        let rows = f32s.data.chunks_exact(f32s.dim).zip(int8s.data.chunks_exact(f32s.dim));
        let cosines = rows.map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>());
        let (sum, least) = cosines.fold((0f32, 1f32), |(sum, least), cosine| (sum + cosine, least.min(cosine)));
        let mean = sum / f32s.num_embeddings() as f32;
        println!("{case}: cosine {mean:.5} on the mean, {least:.5} at least");
        assert!(mean > 0.999 && least > 0.99, "{case}: {mean} {least}");
    }
}

#[test]
fn dense_vectors_are_means_over_tokens() {
    for (case, ..) in CASES.iter().filter(|(case, ..)| case.starts_with("plain")) {
        let texts: Vec<String> =
            texts(case).into_iter().map(|text| if text.trim().is_empty() { "-".into() } else { text }).collect();
        let dense = load(case).encode_dense(&texts, TextKind::Passage).unwrap();
        assert!(dense.lens.iter().all(|&len| len == 1));
        let bytes = std::fs::read(folder(case).join("golden.safetensors")).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        for (i, row) in dense.iter().enumerate() {
            let Ok(theirs) = golden.tensor(&format!("dense.{i}")) else { continue };
            let theirs = theirs.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
            assert!(row.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= TOLERANCE), "{case} {i}");
        }
    }
}

#[test]
fn embeddings_do_not_depend_on_their_batch() {
    for (case, ..) in CASES {
        let encoder = load(case);
        let texts = texts(case);
        for kind in [TextKind::Query, TextKind::Passage] {
            let encode = |texts: &[String]| match kind {
                TextKind::Query => encoder.encode_queries(texts).unwrap(),
                TextKind::Passage => encoder.encode_passages(texts).unwrap(),
            };
            let together = encode(&texts);
            assert_eq!(together.num_texts(), texts.len());
            for (i, rows) in together.iter().enumerate() {
                let alone = encode(&texts[i..=i]);
                assert_eq!(alone.data.len(), rows.len(), "{case} {i}");
                assert!(alone.data.iter().zip(rows).all(|(a, b)| (a - b).abs() <= 1e-5), "{case} {i}");
            }
        }
    }
}

#[test]
fn embeddings_have_unit_norm() {
    let passages = load("pylate_bert").encode_passages(&texts("pylate_bert")).unwrap();
    assert!(passages.num_embeddings() > 50);
    for row in passages.data.chunks_exact(passages.dim) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norm - 1.0).abs() < 1e-5, "{norm}");
    }
}
