//! Speed of the encoder: the shipped model on one core.

use crate::Result;
use selvedge_encoder::{Encoder, LoadOptions, shipped};
use std::time::Instant;

/// Text of which passages and queries are made.
const TEXT: &str = "A library keeps its books in order, so that a reader who knows the title finds the shelf at once. \
     Who only remembers what a book was about needs more: a catalogue by subject, or a person who has read it. \
     Programs that search text have the same two tasks. Words are looked up in lists, which is fast and exact; \
     meanings are compared, which takes many multiplications and finds what other words have said.";
/// Words of a passage and of a query, passages, and passes of which the fastest counts.
const PASSAGE_WORDS: usize = 45;
const QUERY_WORDS: usize = 9;
const PASSAGES: usize = 64;
const PASSES: usize = 5;

/// Measures tokens of passages per second, and the time of a query in milliseconds.
pub(super) fn encoding() -> Result<(f64, f64)> {
    let encoder = Encoder::load(shipped::NAME, &LoadOptions::default())?;
    let words: Vec<&str> = TEXT.split_whitespace().collect();
    let text = |first: usize, count: usize| words.iter().cycle().skip(first).take(count).copied().collect::<Vec<_>>();
    let passages: Vec<String> = (0..PASSAGES).map(|first| text(first, PASSAGE_WORDS).join(" ")).collect();
    let query = [text(3, QUERY_WORDS).join(" ")];
    crate::plan::one_thread()?.install(|| {
        let (mut tokens_per_s, mut query_ms) = (0f64, f64::INFINITY);
        for _ in 0..PASSES {
            let started = Instant::now();
            let tokens: u32 = encoder.encode_passages(&passages)?.lens.iter().sum();
            tokens_per_s = tokens_per_s.max(f64::from(tokens) / started.elapsed().as_secs_f64());
            let started = Instant::now();
            encoder.encode_queries(&query)?;
            query_ms = query_ms.min(started.elapsed().as_secs_f64() * 1e3);
        }
        Ok((tokens_per_s, query_ms))
    })
}
