//! Builds a segment of a collection, searches it for every query, and prints times and nDCG@10.
//!
//! `bm25 LANGUAGE COLLECTION QUERIES QRELS`: text files, one `id TAB text` per line, and `query id TAB passage id TAB
//! grade`. The gain of a grade is the grade itself, the discount of rank `r` is `1 / log2(r + 1)`, and queries without
//! a relevant passage are left out.

use bytes::Bytes;
use selvedge_lexical::{Builder, Segment, Words};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

const K: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [language, collection, queries, qrels] = &args[..] else {
        return Err("usage: bm25 LANGUAGE COLLECTION QUERIES QRELS".into());
    };
    let [collection, queries, qrels] = [collection, queries, qrels].map(std::fs::read_to_string);
    let (collection, queries, qrels) = (collection?, queries?, qrels?);
    let passages: Vec<_> = collection.lines().filter_map(|line| line.split_once('\t')).collect();

    let start = Instant::now();
    let mut builder = Builder::new(language.parse()?)?;
    for (_, text) in &passages {
        builder.push(text)?;
    }
    let (held, pushed) = (builder.bytes_held(), start.elapsed());
    let bytes = Bytes::from(builder.finish()?);
    println!("{} passages: {:.2?} ({pushed:.2?} in push)", passages.len(), start.elapsed());
    println!("{} bytes, {held} held at the end of the build", bytes.len());

    let start = Instant::now();
    let words = Words::new(vec![Arc::new(Segment::open(bytes)?)])?;
    println!("open: {:.0?}", start.elapsed());

    let mut grades: HashMap<&str, HashMap<&str, f64>> = HashMap::new();
    for line in qrels.lines() {
        let [query, passage, grade] = line.split('\t').collect::<Vec<_>>()[..] else { return Err(line.into()) };
        grades.entry(query).or_default().insert(passage, grade.parse()?);
    }
    let (mut times, mut sum, mut num) = (Vec::new(), 0.0, 0);
    for (id, query) in queries.lines().filter_map(|line| line.split_once('\t')) {
        words.search(query, K, |_| None)?; // The first time reads and checks.
        let start = Instant::now();
        let hits = words.search(query, K, |_| None)?;
        times.push(start.elapsed());
        let grade =
            |pid: u32| grades.get(id).and_then(|grades| grades.get(passages[pid as usize].0)).copied().unwrap_or(0.0);
        let mut ideal: Vec<f64> = grades.get(id).into_iter().flat_map(HashMap::values).copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best = dcg(ideal.into_iter().take(K));
        if best > 0.0 {
            sum += dcg(hits.iter().map(|hit| grade(hit.pid))) / best;
            num += 1;
        }
    }
    times.sort();
    let [median, p95] = [0.5, 0.95].map(|q| times[(q * (times.len() - 1) as f64) as usize]);
    println!("top {K} of {} queries: median {median:.0?}, p95 {p95:.0?}", times.len());
    println!("nDCG@{K} of {num} queries: {:.4}", sum / num as f64);
    Ok(())
}

/// Discounted cumulative gain of grades in the order of a ranking.
fn dcg(grades: impl Iterator<Item = f64>) -> f64 {
    grades.enumerate().map(|(i, grade)| grade / (i as f64 + 2.0).log2()).sum()
}
