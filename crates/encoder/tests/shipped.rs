//! The model that ships in this crate: small, whole, trainable, and better than chance.

#![allow(missing_docs)]

use selvedge_encoder::train::{StoredAs, Student};
use selvedge_encoder::{Embeddings, Encoder, LoadOptions, Precision, shipped};

/// What crates.io takes is 10 MB, sources included.
const MOST_BYTES: u64 = 8_000_000;

fn maxsim(query: &[f32], passage: &[f32], dim: usize) -> f32 {
    let best = |q: &[f32]| {
        let dots = passage.chunks_exact(dim).map(|x| x.iter().zip(q).map(|(a, b)| a * b).sum::<f32>());
        dots.fold(f32::NEG_INFINITY, f32::max)
    };
    query.chunks_exact(dim).map(best).sum()
}

#[test]
fn it_is_loaded_by_its_name_and_finds_what_shares_no_word_with_the_question() {
    let encoder = Encoder::load(shipped::NAME, &LoadOptions::default()).unwrap();
    assert_eq!(encoder.dim(), 128);
    let passages = [
        "The physician examined the patient and prescribed a medicine.",
        "The orchestra performed a symphony by a famous composer.",
        "An engine of an aircraft burns kerosene to produce thrust.",
        "The chef baked bread and served soup for dinner.",
    ];
    let queries =
        ["a doctor treats illness with drugs", "classical music concert", "how planes are propelled", "cooking a meal"];
    let (q, p): (Embeddings, Embeddings) =
        (encoder.encode_queries(&queries).unwrap(), encoder.encode_passages(&passages).unwrap());
    for (at, query) in q.iter().enumerate() {
        let scores: Vec<f32> = p.iter().map(|passage| maxsim(query, passage, 128)).collect();
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
        assert_eq!(best, at, "{}: {scores:?}", queries[at]);
    }
}

#[test]
fn it_fits_in_a_published_crate_and_can_be_trained_further() {
    let student = Student::load(shipped::NAME, &LoadOptions::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    student.save(folder.path(), StoredAs::F16).unwrap();
    let mut bytes = 0;
    let mut folders = vec![folder.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { folders.push(entry.path()) } else { bytes += metadata.len() }
        }
    }
    assert!((1_000_000..MOST_BYTES).contains(&bytes), "{bytes}");
    let alike = LoadOptions { precision: Some(Precision::F32), ..LoadOptions::default() };
    let again = Encoder::load(folder.path().to_str().unwrap(), &alike).unwrap();
    let shipped = Encoder::load(shipped::NAME, &alike).unwrap();
    let texts = ["weights in f16 come back as they were"];
    assert_eq!(again.encode_passages(&texts).unwrap(), shipped.encode_passages(&texts).unwrap());
    // Only of the shipped model itself is it known what int8 loses.
    let of = |model: &str| Encoder::load(model, &LoadOptions::default()).unwrap().precision();
    assert_eq!([shipped::NAME, folder.path().to_str().unwrap()].map(of), [Precision::Int8, Precision::F32]);
}
