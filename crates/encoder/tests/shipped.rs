//! The shipped model: it is complete, small enough to publish, and ranks paraphrases first.

#![allow(missing_docs)]

use std::path::Path;

use selvedge_encoder::{Embeddings, Encoder, LoadOptions, shipped};

/// Largest accepted size of the model: crates.io accepts 10 MB, sources included.
const MAX_BYTES: u64 = 8_500_000;

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

/// Number of bytes of all files under `folder`.
fn size(folder: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() { size(&entry.path()) } else { metadata.len() }
    };
    std::fs::read_dir(folder).unwrap().flatten().map(of).sum()
}

#[test]
fn it_fits_in_a_published_crate() {
    let bytes = size(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shipped"));
    assert!((1_000_000..MAX_BYTES).contains(&bytes), "{bytes}");
}
