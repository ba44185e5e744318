//! Writer of consecutive segments.

use super::SegmentWriter;
use crate::error::Result;
use crate::manifest::SegmentEntry;
use crate::storage::Storage;
use crate::words::Maker;
use crate::writer::Limits;
use selvedge_backend::{CheckedCodec, CodecParams};
use std::sync::Arc;

/// Number of passages after which the memory of a segment's columns and words is compared with its limit.
const STEP: usize = 256;

/// Compressed passages: `doclens (P) u32`, `codes (N) u32`, `residuals (N, W) u8`, `weights (N) u8`, or none where the
/// codec has 0 weight bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassageRows<'a> {
    pub(crate) doclens: &'a [u32],
    pub(crate) codes: &'a [u32],
    pub(crate) residuals: &'a [u8],
    pub(crate) weights: &'a [u8],
}

impl PassageRows<'_> {
    /// Checks that lengths fit each other, and that weight indices and codes are in range.
    pub(crate) fn check(self, params: &CodecParams) -> Result<()> {
        let num_tokens = self.doclens.iter().map(|&doclen| doclen as usize).sum::<usize>();
        assert_eq!(num_tokens, self.codes.len(), "one code for each token");
        assert_eq!(num_tokens * params.row_bytes(), self.residuals.len(), "one residual row for each token");
        let has_weights = self.weights.len() == num_tokens;
        assert!(has_weights || params.weight_bits == 0 && self.weights.is_empty(), "one weight index for each token");
        let is_in_range = |&weight: &u8| u32::from(weight) >> params.weight_bits == 0;
        assert!(self.weights.iter().all(is_in_range), "weight indices in range");
        let num_centroids = params.num_centroids();
        match self.codes.iter().position(|&code| code as usize >= num_centroids) {
            Some(embedding) => {
                let code = self.codes[embedding];
                Err(selvedge_backend::Error::CodeOutOfRange { embedding, code, num_centroids }.into())
            }
            None => Ok(()),
        }
    }
}

/// Writer of consecutive segments, which starts another one before a passage that would exceed the limit of tokens.
pub(crate) struct SegmentRun {
    storage: Arc<dyn Storage>,
    codec: CheckedCodec,
    maker: Maker,
    open: Option<SegmentWriter>,
    closed: Vec<SegmentEntry>,
}

impl SegmentRun {
    /// Prepares segments in `storage`, with words by their maker if there is one.
    pub(crate) fn new(storage: &Arc<dyn Storage>, codec: CheckedCodec, maker: Maker) -> Self {
        Self { storage: Arc::clone(storage), codec, maker, open: None, closed: Vec::new() }
    }

    /// Appends passages; `document` appends the document of the next passage to the segment that it goes to. Segments
    /// get the numbers from `next_number` on.
    pub(crate) fn push(
        &mut self,
        mut rows: PassageRows<'_>,
        limits: Limits,
        next_number: &mut u32,
        mut document: impl FnMut(&mut SegmentWriter) -> Result<()>,
    ) -> Result<()> {
        let row_bytes = self.codec.row_bytes();
        while !rows.doclens.is_empty() {
            if self.open.as_ref().is_some_and(|segment| segment.bytes_held() >= limits.held_bytes) {
                self.close()?;
            }
            let next = &rows.doclens[..rows.doclens.len().min(STEP)];
            let (passages, tokens) = self.fitting(next, limits.segment_tokens);
            if passages == 0 {
                self.close()?;
                continue;
            }
            let segment = match &mut self.open {
                Some(segment) => segment,
                open @ None => {
                    let number = *next_number;
                    *next_number += 1;
                    open.insert(SegmentWriter::create(&self.storage, number, self.codec.clone(), &self.maker)?)
                }
            };
            (0..passages).try_for_each(|_| document(segment))?;
            let num_weights = tokens.min(rows.weights.len());
            segment.push(PassageRows {
                doclens: take(&mut rows.doclens, passages),
                codes: take(&mut rows.codes, tokens),
                residuals: take(&mut rows.residuals, tokens * row_bytes),
                weights: take(&mut rows.weights, num_weights),
            })?;
        }
        Ok(())
    }

    /// Number of passages that fit into the open segment, and number of their tokens. At least one passage fits
    /// into a new segment.
    fn fitting(&self, doclens: &[u32], max_tokens: u32) -> (usize, usize) {
        let mut total = self.open.as_ref().map_or(0, |segment| u64::from(segment.num_tokens()));
        let before = total;
        let mut passages = 0;
        for &doclen in doclens {
            let fits = total + u64::from(doclen) <= u64::from(max_tokens);
            let is_first = passages == 0 && self.open.is_none();
            if !fits && !is_first {
                break;
            }
            total += u64::from(doclen);
            passages += 1;
        }
        (passages, (total - before) as usize)
    }

    fn close(&mut self) -> Result<()> {
        if let Some(segment) = self.open.take() {
            self.closed.push(segment.finish()?);
        }
        Ok(())
    }

    /// Completes the last segment, and returns all of them.
    pub(crate) fn finish(mut self) -> Result<Vec<SegmentEntry>> {
        self.close()?;
        Ok(self.closed)
    }
}

/// Takes `count` elements off the front.
fn take<'a, T>(rest: &mut &'a [T], count: usize) -> &'a [T] {
    let (front, back) = rest.split_at(count);
    *rest = back;
    front
}
