//! Reconstructed embeddings: scores are MaxSim over them, and passages that are too long are errors.

#![allow(unreachable_pub)] // nothing imports a test crate

mod support;

use selvedge_backend::{Cpu, Packed};
use selvedge_codec::{TrainOptions, train};
use selvedge_index::{Check, Index, ManifestInfo, Writer};
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
    for found in searcher.search(&query, &SearchParams::exact(6), None).unwrap().hits {
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

#[test]
fn similarities_of_a_passage_sum_to_its_score() {
    let doclens = [3, 0, 7, 1, 12, 4];
    let (_dir, index) = index(&doclens, 8);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let query = rows(5);
    for found in searcher.search(&query, &SearchParams::exact(6), None).unwrap().hits {
        let similarities = searcher.similarities(&query, found.pid).unwrap();
        let len = doclens[found.pid as usize] as usize;
        assert_eq!((similarities.query_len, similarities.passage_len, similarities.raw.len()), (5, len, 5 * len));
        let raw: i32 = similarities.best().iter().map(|best| best.raw_part).sum();
        assert_eq!((raw, raw as f32 * similarities.score_unit), (found.raw, found.score));
        // Of the same size as the inner products with the decoded rows.
        let rows = searcher.reconstruct(found.pid).unwrap();
        for (q, sims) in query.chunks(DIM).zip(similarities.raw.chunks(len)) {
            for (row, &sim) in rows.chunks(DIM).zip(sims) {
                let expected: f32 = q.iter().zip(row).map(|(a, b)| a * b).sum();
                let found = sim as f32 * similarities.unit;
                assert!((found - expected).abs() < 0.02, "{found} for {expected}");
            }
        }
    }
    assert!(searcher.similarities(&query, 1).unwrap().best().is_empty(), "a passage without tokens");
    assert!(matches!(searcher.similarities(&query, 6), Err(Error::NoSuchPassage { pid: 6, num_passages: 6 })));
    assert!(matches!(searcher.similarities(&query[1..], 0), Err(Error::DimMismatch { expected: DIM, .. })));
}

/// With one centroid and 0 bits a token takes no bytes, so that an index of any size can claim any number of them.
#[test]
fn a_passage_of_more_than_a_gibibyte_is_an_error() {
    const DIM: usize = 4096;
    const MOST: usize = (1 << 30) / (4 * DIM);
    let cpu = Cpu::new().unwrap();
    let codec = train(&cpu, DIM, vec![0.01; DIM], &TrainOptions::new(0, 1), &()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_codec(&codec).unwrap();
    let num_tokens = 2 + MOST + 1;
    let packed = Packed { residuals: Vec::new(), weights: vec![0; num_tokens] };
    writer.push_passages(&[2, MOST as u32 + 1], &vec![0; num_tokens], &packed).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let searcher = Searcher::new(cpu, &Index::open(&path, Check::Checksums).unwrap()).unwrap();
    assert_eq!(searcher.reconstruct(0).unwrap().len(), 2 * DIM);
    let error = searcher.reconstruct(1).map(|rows| rows.len()).unwrap_err();
    assert!(matches!(error, Error::PassageTooLong { pid: 1, found, limit: MOST } if found == MOST + 1), "{error}");
}
