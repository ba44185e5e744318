//! The hits of a search that stay in device memory.

use super::{
    index::LoadedIndex,
    lane::{Lane, Shape},
    recipe::OUTCOME_WORDS,
};
use crate::cuda::{
    calls::{CallerStream, CudaStream, Event},
    context::{Buffer, Context},
    embeddings::DeviceEmbeddings,
    modules::{Kernel, KernelVariant, value},
    select,
};
use crate::{CodecParams, DeviceSet, Embeddings, Error, Plan, Result};
use selvedge_kernels::Op;
use std::sync::Arc;

/// The hits of a search in device memory, best first.
#[derive(Debug)]
pub struct DeviceHits {
    context: Arc<Context>,
    /// The stream that has written them, and frees them; taken by `drop` alone.
    stream: Option<Arc<CudaStream>>,
    pids: Buffer<u32>,
    scores: Buffer<f32>,
}

impl DeviceHits {
    /// Number of places: the `k` of the search, or the number of passages if that is less. After the last hit, pids are
    /// `u32::MAX` and scores the lowest f32.
    pub fn len(&self) -> usize {
        self.pids.len()
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Device address of the pids, `(k) u32`.
    pub fn pids(&self) -> u64 {
        *self.pids.pointer()
    }

    /// Device address of the MaxSim scores, `(k) f32`.
    pub fn scores(&self) -> u64 {
        *self.scores.pointer()
    }

    /// Waits for the search and copies the hits to the host: pids and scores.
    ///
    /// # Errors
    /// [`Error::Cuda`] if the search, or a call of the driver, fails.
    pub fn download(&self) -> Result<Vec<(u32, f32)>> {
        let (pids, scores) = (self.pids.download()?, self.scores.download()?);
        Ok(pids.into_iter().zip(scores).take_while(|&(pid, _)| pid != u32::MAX).collect())
    }

    /// Lets the memory be freed after the work that is on a stream of another library now. Call it after the last work
    /// that reads the hits, and before they are dropped.
    ///
    /// # Errors
    /// [`Error::Cuda`] if a call of the driver fails, such as for a stream of another context.
    pub fn read_by(&self, stream: &CallerStream) -> Result<()> {
        let entered = self.context.enter()?;
        // SAFETY: the stream lives; the driver refuses one of another context.
        let read = unsafe { Event::record(&entered, stream.handle())? };
        let done = self.stream.as_ref().map_or(Ok(()), |stream| read.wait(&entered, stream));
        read.destroy(&entered);
        done
    }

    /// Launches `unpack` of kernels/top_k.cu.
    ///
    /// # Safety
    /// `output` is the address of an outcome and of `k` keys, and there are at least `k` places.
    unsafe fn unpack(
        &self,
        kernel: &Kernel,
        stream: &CudaStream,
        output: u64,
        codec: &CodecParams,
        query_len: usize,
        k: usize,
    ) -> Result<()> {
        let keys = output + (OUTCOME_WORDS * size_of::<u64>()) as u64;
        let (power, k) = (CodecParams::score_power(query_len), k as u32);
        let arguments = [
            self.pids.argument(),
            self.scores.argument(),
            value(&output),
            value(&keys),
            value(&codec.residual_weight_step),
            value(&power),
            value(&k),
        ];
        let blocks = (k as usize).div_ceil(select::THREADS as usize);
        // SAFETY: the arguments match the kernel's parameters, the first field of an outcome is the largest component;
        // the caller guarantees the lengths.
        unsafe { kernel.launch_on(stream, (blocks, 1), select::THREADS, &arguments) }
    }
}

impl Drop for DeviceHits {
    fn drop(&mut self) {
        // It may be the last reference, if the lane is no more.
        self.stream.take().into_iter().for_each(|stream| self.context.free_stream(stream));
    }
}

/// Embeddings that stay valid after a search whose end is not waited for: they are copied at once, or freed in the
/// order of the stream of all ops.
#[derive(Clone, Copy, Debug)]
pub enum LastingEmbeddings<'a> {
    /// Embeddings in the memory of the host.
    Host(&'a [f32]),
    /// Embeddings in the memory of the device.
    Device(&'a DeviceEmbeddings<'static>),
}

impl LoadedIndex {
    /// Answers a query, and leaves the hits in device memory, at most 16,384. The later work of `stream` waits for the
    /// search; the host does so only if every lane has a search that runs. Of a plan with cells, only these are opened.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`](crate::Backend). Components that are not finite are no error: then
    /// there are no hits.
    ///
    /// # Panics
    /// If the embeddings are not whole rows, or of another `Cuda`, or the set is of another index.
    pub fn search_on_device(
        &self,
        query: LastingEmbeddings<'_>,
        plan: &Plan,
        set: Option<&DeviceSet>,
        stream: &CallerStream,
    ) -> Result<DeviceHits> {
        let query = match query {
            LastingEmbeddings::Host(embeddings) => Embeddings::Host(embeddings),
            LastingEmbeddings::Device(embeddings) => Embeddings::Device(embeddings),
        };
        let (cuda, codec) = (self.cuda(), &self.codec.host);
        let context = &cuda.context;
        let hits = |stream: &Arc<CudaStream>, k: usize| {
            let (pids, scores) = (context.allocate_on(stream, k)?, context.allocate_on(stream, k)?);
            Ok::<_, Error>(DeviceHits { context: Arc::clone(context), stream: Some(Arc::clone(stream)), pids, scores })
        };
        if self.num_pids == 0 || plan.k == 0 || query.is_empty() {
            return hits(context.stream(), 0);
        }
        let plan = Plan { k: plan.k.min(select::MOST_SORTED), ..*plan };
        let order = self.order(query, &plan, self.address(set));
        let kernel = cuda.modules.kernel(Op::TopK, KernelVariant::NONE, "unpack")?;
        cuda.lanes.with(cuda, |lane| {
            let Shape { query_len, plan, .. } = order.shape;
            let hits = hits(lane.stream(), plan.k)?;
            lane.start_one(self, &order, |output, stream| {
                // SAFETY: the output has an outcome and at least `k` keys; so long are the hits.
                unsafe { hits.unpack(&kernel, stream, output, codec, query_len, plan.k) }
            })?;
            // What the search reads is freed on the stream of all ops, or by the caller after the later work of
            // `stream`.
            let waited = self.is_waited_for(lane, stream);
            waited.or_else(|error| lane.settle().and(Err(error))).map(|()| hits)
        })
    }

    /// Lets the later work of the stream of all ops, and of the caller's, wait for what a lane has started.
    fn is_waited_for(&self, lane: &Lane, stream: &CallerStream) -> Result<()> {
        let context = &self.cuda().context;
        let (entered, done) = (context.enter()?, lane.started()?);
        // SAFETY: the caller's stream lives.
        let waited = done.wait(&entered, context.stream()).and_then(|()| unsafe { done.wait_on(stream.handle()) });
        done.destroy(&entered);
        waited
    }
}
