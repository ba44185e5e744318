//! Reconstructed embeddings are those that scores are made of.

#![allow(missing_docs, unreachable_pub)]

mod support;

use selvedge_backend::Cpu;
use selvedge_search::{Error, SearchParams, Searcher};
use support::{DIM, index, rows};

#[test]
fn maxsim_of_reconstructed_rows_is_the_score() {
    let doclens = [3, 0, 7, 1, 12, 4];
    let (_dir, index) = index(&doclens, 8);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let stored: Vec<Vec<f32>> = (0..6).map(|pid| searcher.reconstruct(pid).unwrap()).collect();
    assert!(stored.iter().zip(doclens).all(|(rows, len)| rows.len() == len as usize * DIM));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let query = rows(5);
    for found in searcher.search(&query, &SearchParams::exact(6), None).unwrap().found {
        let best = |q| stored[found.pid as usize].chunks(DIM).map(|row| dot(q, row)).fold(f32::MIN, f32::max);
        let expected: f32 = query.chunks(DIM).map(best).sum();
        assert!((found.score - expected).abs() < 0.02 * 5.0, "{}: {} for {expected}", found.pid, found.score);
    }
    // In the space of the embeddings: near the rows that were indexed.
    let similar =
        stored.concat().chunks(DIM).zip(rows(27).chunks(DIM)).map(|(a, b)| dot(a, b)).fold(f32::MAX, f32::min);
    assert!(similar > 0.8, "{similar}");
    assert!(matches!(searcher.reconstruct(6), Err(Error::NoSuchPassage { pid: 6, num_passages: 6 })));
}
