//! An index in device memory.

use super::{
    batch,
    certificate::Certificate,
    lane::{Answer, Input, Ordered, Shape},
};
use crate::cuda::{
    Cuda,
    context::Buffer,
    embeddings::Source,
    resident::{LoadedCodec, LoadedPassages, SegmentArgument},
};
use crate::{DeviceIndex, DeviceSet, Embeddings, Error, Found, IndexPart, Plan, RawHit, Result, Route};
use bytemuck::{Pod, Zeroable};
use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A run of passages of a segment: `Part` of kernels/candidates.cu.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct PartArgument {
    segment: u32,
    first: u32,
}

// kernels/candidates.cu asserts the same.
const _: () = assert!(size_of::<PartArgument>() == 8);

/// An index in device memory.
#[derive(Debug)]
pub struct LoadedIndex {
    cuda: Cuda,
    /// Number that no other index of this process has: recorded launches are of one index.
    pub(super) number: u64,
    pub(super) codec: Arc<LoadedCodec>,
    /// Memory that the segments' addresses point to.
    passages: Vec<Arc<LoadedPassages>>,
    placed: Vec<SegmentArgument>,
    pub(super) segments: Buffer<SegmentArgument>,
    pub(super) parts: Buffer<PartArgument>,
    /// Whether every segment has inverted lists.
    has_lists: bool,
    /// Number of pids, `P`.
    pub(super) num_pids: usize,
    /// Measured for the first batch; `None` if the index has none, or the device lacks memory to measure it.
    pub(super) certificate: OnceLock<Option<Certificate>>,
    /// Queries of batches that were filtered, and those that needed a scan.
    batches: [AtomicU64; 2],
}

/// A set of passages in device memory.
#[derive(Debug)]
struct LoadedSet {
    /// Number of the index.
    index: u64,
    bits: Buffer<u32>,
    /// Number of pids.
    number: usize,
}

impl LoadedIndex {
    /// Uploads the addresses of an index's segments.
    ///
    /// # Panics
    /// If an argument is of another `Cuda`.
    pub(in crate::cuda) fn new(
        cuda: &Cuda,
        codec: &Arc<LoadedCodec>,
        parts: Vec<IndexPart<LoadedPassages>>,
    ) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        codec.centroids.assert_of(&cuda.context);
        let (mut segments, mut runs, mut num_pids) = (Vec::new(), Vec::new(), 0);
        for (segment, IndexPart { passages, first_pid }) in (0..).zip(&parts) {
            let placed = passages.placed(&cuda.context, *first_pid);
            assert!(num_pids <= *first_pid as usize, "parts in the order of their pids");
            num_pids = *first_pid as usize + passages.num_passages;
            assert!(u32::try_from(num_pids).is_ok(), "pids are u32");
            let firsts = (0..placed.num_passages).step_by(super::PART_PASSAGES);
            runs.extend(firsts.map(|first| PartArgument { segment, first }));
            segments.push(placed);
        }
        Ok(Self {
            cuda: cuda.clone(),
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            codec: Arc::clone(codec),
            has_lists: segments.iter().all(SegmentArgument::has_lists),
            passages: parts.into_iter().map(|part| part.passages).collect(),
            segments: cuda.context.upload(&segments)?,
            placed: segments,
            parts: cuda.context.upload(&runs)?,
            num_pids,
            certificate: OnceLock::new(),
            batches: [AtomicU64::new(0), AtomicU64::new(0)],
        })
    }

    /// Least number of queries of a batch over all passages that a certified bound answers.
    pub const LEAST_BATCH: usize = batch::LEAST_QUERIES;

    /// Numbers of the queries of large batches over all passages so far: of those for which a certified bound has left
    /// few passages to score, and of those for which all were scored.
    pub fn batched_queries(&self) -> (u64, u64) {
        let [filtered, scanned] = self.batches.each_ref().map(|number| number.load(Ordering::Relaxed));
        (filtered, scanned)
    }
}

impl LoadedIndex {
    pub(super) fn count_batch(&self, filtered: usize, scanned: usize) {
        self.batches[0].fetch_add(filtered as u64, Ordering::Relaxed);
        self.batches[1].fetch_add(scanned as u64, Ordering::Relaxed);
    }

    /// Downloads the offsets of each segment.
    pub(super) fn offsets(&self) -> Result<Vec<(SegmentArgument, Vec<u32>)>> {
        let of_segment = |(&segment, passages): (&SegmentArgument, &Arc<LoadedPassages>)| {
            passages.download_offsets().map(|offsets| (segment, offsets))
        };
        self.placed.iter().zip(&self.passages).map(of_segment).collect()
    }

    /// The certificate for searches by a plan; `None` if they are answered query by query.
    fn certificate(&self, queries: usize, plan: &Plan, set: Option<&DeviceSet>) -> Result<Option<&Certificate>> {
        let number = set.map_or(self.num_pids, |set| self.loaded(set).number);
        if plan.route != Route::Everything || !batch::is_worthwhile(queries, number, self.num_pids) {
            return Ok(None);
        }
        if self.certificate.get().is_none() {
            match Certificate::measure(self) {
                // Two threads may measure it at the same time.
                Ok(measured) => _ = self.certificate.set(measured),
                // There may be memory for it when the next batch comes.
                Err(Error::OutOfDeviceMemory { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(self.certificate.get().and_then(Option::as_ref))
    }

    pub(super) fn cuda(&self) -> &Cuda {
        &self.cuda
    }

    /// Address of a set of passages; 0 for all.
    pub(super) fn address(&self, set: Option<&DeviceSet>) -> u64 {
        set.map_or(0, |set| *self.loaded(set).bits.pointer())
    }

    fn loaded<'a>(&self, set: &'a DeviceSet) -> &'a LoadedSet {
        let set: &LoadedSet = set.0.downcast_ref().expect("a set of a GPU");
        assert_eq!(set.index, self.number, "a set of this index");
        set
    }

    /// Orders the search of a query; the index has at least one pid.
    pub(super) fn order<'a>(&self, query: Embeddings<'a>, plan: &Plan, set: u64) -> Ordered<'a> {
        let dim = self.codec.host.dim;
        assert!(query.len().is_multiple_of(dim) && !query.is_empty(), "whole rows of {dim}, at least one");
        let input = match query {
            Embeddings::Host(embeddings) => Input::Host(embeddings),
            Embeddings::Device(embeddings) => Input::Device(Source::device(&self.cuda.context, embeddings)),
        };
        assert!(self.answers(&plan.route), "a route that is answered");
        let plan = plan.within(self.num_pids, self.codec.host.num_centroids());
        Ordered { shape: Shape { index: self.number, query_len: query.len() / dim, plan }, set, input }
    }
}

impl Drop for LoadedIndex {
    fn drop(&mut self) {
        self.cuda.lanes.forget(self.number);
    }
}

impl DeviceIndex for LoadedIndex {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn answers(&self, route: &Route) -> bool {
        self.has_lists || !matches!(route, Route::Cells { .. })
    }

    fn reads(&self, embeddings: &Embeddings<'_>) -> bool {
        match embeddings {
            Embeddings::Host(_) => true,
            Embeddings::Device(embeddings) => embeddings.are_of(&self.cuda.context),
        }
    }

    fn load_set(&self, bits: &[u32]) -> Result<DeviceSet> {
        assert!(bits.len() * 32 >= self.num_pids, "a bit for each pid");
        let number = bits.iter().map(|word| word.count_ones() as usize).sum();
        Ok(DeviceSet(Box::new(LoadedSet { index: self.number, bits: self.cuda.context.upload(bits)?, number })))
    }

    fn search(&self, queries: &[Embeddings<'_>], plan: &Plan, set: Option<&DeviceSet>) -> Result<Vec<Found>> {
        if self.num_pids == 0 {
            return Ok(vec![Found::default(); queries.len()]);
        }
        let (certificate, set) = (self.certificate(queries.len(), plan, set)?, self.address(set));
        let orders: Vec<Ordered<'_>> = queries.iter().map(|&query| self.order(query, plan, set)).collect();
        let all: Vec<&Ordered<'_>> = orders.iter().collect();
        let found = self.cuda.lanes.with(&self.cuda, |lane| match certificate {
            Some(certificate) => batch::answer(lane, self, certificate, &all),
            None => lane.answer(self, &all),
        })?;
        let unit = |query_len, scale| self.codec.host.score_unit_of(query_len, scale);
        let answer = |(order, answer): (&Ordered<'_>, Answer)| Found {
            hits: answer.pairs.into_iter().map(|(pid, score)| RawHit { pid, score }).collect(),
            score_unit: unit(order.shape.query_len, answer.outcome.scale()),
            candidates: answer.outcome.candidates as usize,
            rescored: answer.outcome.rescored as usize,
            refused: answer.outcome.refused(),
        };
        Ok(orders.iter().zip(found).map(answer).collect())
    }
}
