//! The passages of an index as one segment and as many.

use crate::options::Options;
use crate::supply::{Supply, scratch};
use crate::{Result, print, timed};
use selvedge::{Engine, OpenOptions, SearchOptions};
use selvedge_backend::{CodeReader, Packed, read_weight};
use selvedge_index::{Check, Document, Index, Segment, Writer};
use std::path::Path;

/// Passages that are copied at a time.
const BATCH: usize = 1 << 12;
/// Number of passes over the queries; the fastest of each query counts.
const PASSES: usize = 5;

pub fn run(options: &Options) -> Result<()> {
    let index = Index::open(&options.index, Check::Structure)?;
    assert_eq!(index.segments().len(), 1, "an index of one segment, as `selvedge compact` leaves it");
    let path = scratch(options, "many")?.join("index");
    divide(&index, options.segments, &path)?;
    let [one, many] = [&options.index, &path].map(|path| Engine::open(path, OpenOptions::default()));
    let (one, many) = (one?, many?);
    assert_eq!(many.snapshot().index().segments().len(), options.segments);
    let queries = Supply::open(options)?.queries(options.queries)?;
    for (kind, exact) in [("approximate", false), ("exhaustive", true)] {
        let search = SearchOptions { exact, ..SearchOptions::default() };
        let (mut of_one, mut of_many) = (Vec::new(), Vec::new());
        // All passages of an index of a million take a second; a few queries are enough.
        for query in &queries[..if exact { queries.len().min(5) } else { queries.len() }] {
            let mut best = [f64::INFINITY; 2];
            for _ in 0..PASSES {
                let (first, expected) = timed(|| one.search_embeddings(query, &search));
                let (second, found) = timed(|| many.search_embeddings(query, &search));
                assert_eq!(expected?.hits, found?.hits, "hits do not depend on the segments");
                best = [best[0].min(first), best[1].min(second)];
            }
            of_one.push(best[0]);
            of_many.push(best[1]);
        }
        let ratio = of_many.iter().sum::<f64>() / of_one.iter().sum::<f64>();
        print(&format!("{kind} search of 1 segment"), &mut of_one);
        print(&format!("{kind} search of {} segments", options.segments), &mut of_many);
        println!("# {kind}: {ratio:.3} x the time of one segment");
    }
    Ok(())
}

/// Copies an index of one segment to one of many, each with the same number of passages.
fn divide(index: &Index, num_segments: usize, path: &Path) -> Result<()> {
    let segment = &index.segments()[0];
    let num_passages = segment.passages.num_passages();
    for part in 0..num_segments {
        let is_first = part == 0;
        let mut writer = if is_first { Writer::create(path)? } else { Writer::open(path)? };
        let pids = part * num_passages / num_segments..(part + 1) * num_passages / num_segments;
        for pid in pids.clone() {
            writer.push_document(&Document { id: index.id(pid as u32)?, ..Document::default() })?;
        }
        writer.finish_documents()?;
        if is_first {
            writer.set_codec(index.codec()?)?;
        }
        for first in pids.clone().step_by(BATCH) {
            copy(index, segment, first..pids.end.min(first + BATCH), &mut writer)?;
        }
        if is_first {
            writer.finish(Default::default())?
        } else {
            writer.commit()?
        };
    }
    Ok(())
}

/// Appends the rows of some passages, as they are.
pub fn copy(index: &Index, segment: &Segment, pids: std::ops::Range<usize>, writer: &mut Writer) -> Result<()> {
    let (passages, codec) = (&segment.passages, &index.codec()?.params);
    let tokens = passages.tokens(pids.start).start..passages.tokens(pids.end - 1).end;
    let doclens: Vec<u32> = pids.map(|pid| passages.tokens(pid).len() as u32).collect();
    let reader = CodeReader::new(&passages.codes, codec.code_bits());
    let codes: Vec<u32> = tokens.clone().map(|token| reader.get(token)).collect();
    let weights = tokens.clone().map(|token| read_weight(&passages.weights, codec.weight_bits, token) as u8);
    let row_bytes = codec.row_bytes();
    let residuals = passages.residuals[tokens.start * row_bytes..tokens.end * row_bytes].to_vec();
    Ok(writer.push_passages(&doclens, &codes, &Packed { residuals, weights: weights.collect() })?)
}
