//! Searches within filters: the time of the filter itself, of the search, and what the search finds of the exhaustive
//! search within the same passages.

use crate::options::Options;
use crate::segments::copy;
use crate::supply::{Supply, scratch};
use crate::{Result, print, timed};
use selvedge_backend::Cpu;
use selvedge_index::{Check, Document, Index, Writer};
use selvedge_search::{Filter, PassageSet, SearchParams, Searcher};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Passages that are copied at a time.
const BATCH: usize = 1 << 12;
/// Number of passes over the queries; the fastest of each query counts.
const PASSES: usize = 5;
/// Number of times that a filter is computed anew, and from the cache.
const COLD: usize = 21;
const CACHED: usize = 1001;
/// Number of results.
const K: usize = 10;
/// Number of queries whose exhaustive search is made.
const EXHAUSTIVE: usize = 50;

/// Filters of 0.1, 1, 10 and 50 % of the passages: ranges of a number of a thousand values, of numbers that are all
/// different, of a text of a hundred values, and two keys.
const FILTERS: [&str; 10] = [
    "thousand < 1",
    "thousand < 10",
    "thousand < 100",
    "thousand < 500",
    "size < 10000000",
    "size BETWEEN 300000000 AND 799999999",
    "section < 's10'",
    "section < 's50'",
    "section < 's50' AND NOT day < '2025-03-01' AND thousand >= 100",
    "section IN ('s07', 's70') OR thousand = 7",
];

pub fn run(options: &Options) -> Result<()> {
    let path = if options.filters.is_empty() { with_metadata(options)? } else { options.index.clone() };
    let index = Index::open(&path, Check::Structure)?;
    let searcher = Searcher::new(Cpu::new()?, &index)?;
    let queries = Supply::open(options)?.queries(options.queries)?;
    let filters: Vec<&str> = match &options.filters[..] {
        [] => FILTERS.to_vec(),
        given => given.iter().map(String::as_str).collect(),
    };
    for filter in filters {
        let filter: Filter = filter.parse()?;
        let mut cold = Vec::new();
        for _ in 0..COLD {
            let fresh = Searcher::new(Cpu::new()?, &index)?;
            cold.push(timed(|| fresh.filtered(&filter)).0);
        }
        let set = searcher.filtered(&filter)?;
        let mut cached: Vec<f64> = (0..CACHED).map(|_| timed(|| searcher.filtered(&filter)).0).collect();
        print(&format!("filter computed: {filter}"), &mut cold);
        print(&format!("filter from the cache: {filter}"), &mut cached);
        searches(&searcher, &queries, &set, &filter)?;
    }
    Ok(())
}

/// Times searches within a set and without, in turns, and counts what they find.
fn searches(searcher: &Searcher<Cpu>, queries: &[Vec<f32>], set: &PassageSet, filter: &Filter) -> Result<()> {
    let (params, unfiltered) = (searcher.params(K, Some(set)), searcher.params(K, None));
    let (mut within, mut without) = (Vec::new(), Vec::new());
    for query in queries {
        let mut best = [f64::INFINITY; 2];
        for _ in 0..PASSES {
            for (best, (params, set)) in best.iter_mut().zip([(params, Some(set)), (unfiltered, None)]) {
                let (time, found) = timed(|| searcher.search(query, &params, set));
                found?;
                *best = best.min(time);
            }
        }
        within.push(best[0]);
        without.push(best[1]);
    }
    let queries = &queries[..queries.len().min(EXHAUSTIVE)];
    let exact = searcher.search_batch(queries, &SearchParams::exact(K), Some(set))?;
    let (mut found, mut all) = (0, 0);
    for (query, exact) in queries.iter().zip(exact) {
        let hits = searcher.search(query, &params, Some(set))?.hits;
        found += exact.hits.iter().filter(|hit| hits.iter().any(|found| found.pid == hit.pid)).count();
        all += exact.hits.len();
    }
    print(&format!("search within: {filter}"), &mut within);
    print("search without a filter", &mut without);
    println!("# {filter}: {} passages, recall@{K} {:.4}", set.len(), found as f64 / all.max(1) as f64);
    Ok(())
}

/// A copy of the index, which has one segment, with metadata that does not depend on the embeddings.
fn with_metadata(options: &Options) -> Result<PathBuf> {
    let index = Index::open(&options.index, Check::Structure)?;
    let path = scratch(options, "metadata")?.join("index");
    write(&index, &path)?;
    Ok(path)
}

fn write(index: &Index, path: &Path) -> Result<()> {
    let segment = &index.segments()[0];
    let num_passages = segment.passages.num_passages();
    let mut writer = Writer::create(path)?;
    for pid in 0..num_passages as u32 {
        let dice =
            |salt: u32| pid.wrapping_add(salt).wrapping_mul(0x9e37_79b9).rotate_left(15).wrapping_mul(0x85eb_ca6b) >> 3;
        let (year, month, day) = (2000 + dice(1) % 26, 1 + dice(2) % 12, 1 + dice(3) % 28);
        let metadata = json!({
            "thousand": dice(4) % 1000,
            "size": u64::from(dice(5)) * 1_000_000_000 >> 29,
            "section": format!("s{:02}", dice(6) % 100),
            "day": format!("{year}-{month:02}-{day:02}"),
        });
        writer.push_document(&Document { id: index.id(pid)?, metadata: Some(metadata), ..Document::default() })?;
    }
    writer.finish_documents()?;
    writer.set_codec(index.codec()?)?;
    for first in (0..num_passages).step_by(BATCH) {
        copy(index, segment, first..num_passages.min(first + BATCH), &mut writer)?;
    }
    writer.finish(Default::default())?;
    Ok(())
}
