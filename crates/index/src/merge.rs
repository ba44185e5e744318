//! Merging of segments: their passages that are not deleted are copied to new segments, as they are.

use crate::change::Slot;
use crate::error::{Error, Result};
use crate::manifest::SegmentEntry;
use crate::reader::check_segment;
use crate::segment::{PassageRows, Segment, SegmentRun};
use crate::writer::Writer;
use selvedge_backend::{CodeReader, CodecParams, read_weight};
use std::ops::Range;

/// Tokens and passages that are copied at a time.
const BATCH_TOKENS: usize = 1 << 16;
const BATCH_PASSAGES: usize = 1 << 12;

/// Rows of passages that are copied together.
#[derive(Default)]
struct Batch {
    pids: Vec<u32>,
    doclens: Vec<u32>,
    codes: Vec<u32>,
    residuals: Vec<u8>,
    weights: Vec<u8>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.codes.len() >= BATCH_TOKENS || self.pids.len() >= BATCH_PASSAGES
    }

    /// Appends a passage of a segment.
    fn push(&mut self, segment: &Segment, pid: u32, codec: &CodecParams) -> Result<()> {
        let (passages, row_bytes) = (&segment.passages, codec.row_bytes());
        let tokens = passages.tokens(pid as usize);
        let reader = CodeReader::new(&passages.codes, codec.code_bits());
        for token in tokens.clone() {
            let (code, num_centroids) = (reader.get(token), codec.num_centroids());
            if code as usize >= num_centroids {
                return Err(selvedge_backend::Error::CodeOutOfRange { embedding: token, code, num_centroids }.into());
            }
            self.codes.push(code);
            self.weights.push(read_weight(&passages.weights, codec.weight_bits, token) as u8);
        }
        self.residuals.extend_from_slice(&passages.residuals[tokens.start * row_bytes..tokens.end * row_bytes]);
        self.doclens.push(tokens.len() as u32);
        self.pids.push(segment.first_pid + pid);
        Ok(())
    }

    fn clear(&mut self) {
        self.pids.clear();
        self.doclens.clear();
        self.codes.clear();
        self.residuals.clear();
        self.weights.clear();
    }
}

/// Mean of the residuals of segments, by their tokens; `None` if none is known.
fn mean_residual(segments: &[SegmentEntry]) -> Option<f32> {
    let known = segments.iter().filter_map(|segment| Some((f64::from(segment.residual?), segment.num_alive_tokens())));
    let (sum, tokens) = known.fold((0.0, 0.0), |(sum, all), (residual, tokens)| {
        let tokens = f64::from(tokens);
        (sum + residual * tokens, all + tokens)
    });
    (tokens > 0.0).then_some((sum / tokens) as f32)
}

impl Writer {
    /// Replaces the segments at `places` by as few new ones as [`Limits`](crate::Limits) allow, without their deleted
    /// passages. The order of passages stays. `copied` is called with the number of passages of each batch; its error
    /// ends the merge.
    ///
    /// # Errors
    /// As [`Index::open`](crate::Index::open) with [`Check::Checksums`](crate::Check::Checksums) where a segment is
    /// corrupt, [`Error::Io`] where the new one cannot be written, or the error of `copied`.
    ///
    /// # Panics
    /// If the index is new, or a segment at `places` does not exist or was merged before.
    pub fn merge<E: From<Error>>(
        &mut self,
        places: Range<usize>,
        mut copied: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let merged = self.copy(places.clone(), &mut copied);
        self.is_broken |= merged.is_err();
        let merged = merged?;
        let base = self.base_mut();
        base.is_changed = true;
        let is_merged = |slot: &Slot| matches!(slot, Slot::Kept(at) if places.contains(at));
        let first = base.slots.iter().position(is_merged).expect("segments that are not merged yet");
        let num_slots = base.slots.iter().filter(|slot| is_merged(slot)).count();
        assert_eq!(num_slots, places.len(), "segments that are not merged yet");
        base.slots.splice(first..first + num_slots, merged.into_iter().map(|entry| Slot::Merged(Box::new(entry))));
        Ok(())
    }

    fn copy<E: From<Error>>(
        &mut self,
        places: Range<usize>,
        copied: &mut impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<SegmentEntry>, E> {
        let base = self.base.as_ref().expect("an index that exists is changed");
        let codec = &base.index.codec()?.params;
        let mut run = SegmentRun::new(self.staging.hidden(), codec.clone(), self.maker()?);
        let mut documents = base.index.documents().reader();
        let (limits, next_number) = (self.limits, &mut self.next_number);
        let mut write = |batch: &mut Batch| {
            let Batch { pids, doclens, codes, residuals, weights } = &*batch;
            let weights = if codec.weight_bits == 0 { &[][..] } else { weights };
            let mut pids = pids.iter();
            run.push(PassageRows { doclens, codes, residuals, weights }, limits, next_number, |segment| {
                segment.push_document(documents.raw(*pids.next().expect("one pid for each passage"))?)
            })?;
            let num_passages = batch.pids.len();
            batch.clear();
            copied(num_passages)
        };
        let mut batch = Batch::default();
        for at in places.clone() {
            // The copies get checksums of their own, which must not vouch for damaged bytes.
            check_segment(&**self.staging.target(), &base.index.manifest().segments[at], codec.sizes())?;
            let segment = &base.index.segments()[at];
            for pid in base.deleted(at).alive(segment.passages.num_passages() as u32) {
                batch.push(segment, pid, codec)?;
                if batch.is_full() {
                    write(&mut batch)?;
                }
            }
        }
        write(&mut batch)?;
        let mut merged = run.finish()?;
        let residual = mean_residual(&base.index.manifest().segments[places]);
        merged.iter_mut().for_each(|segment| segment.residual = residual);
        Ok(merged)
    }
}
