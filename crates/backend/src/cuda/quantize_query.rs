//! `quantize_query`: kernels/quantize_query.cu.

use super::{
    Component, Cuda,
    calls::CudaStream,
    constants::Constant,
    context::{Buffer, Context},
    embeddings::Source,
    modules::{Kernel, KernelVariant, value},
    query_layout::{self, Query},
    resident::LoadedCodec,
};
use crate::{Embeddings, Error, MAX_COMPONENT, Result, Rotation};
use bytemuck::{Pod, Zeroable};
use selvedge_kernels::Op;
use std::mem::offset_of;
use std::sync::Arc;

const THREADS: u32 = 256;
/// Maximum number of components of a row in shared memory: 32 KiB for 8 rows.
const SHARED_DIM: i64 = 1024;

pub(super) const CONSTANTS: [Constant; 5] = [
    ("THREADS", THREADS as i64),
    ("SHARED_DIM", SHARED_DIM),
    ("MAX_COMPONENT", MAX_COMPONENT as i64),
    ("TYPE_F32", Component::F32 as i64),
    ("TYPE_BF16", Component::Bf16 as i64),
];

/// The order of a search: `Job` of kernels/quantize_query.cu.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct JobArgument {
    pub(super) embeddings: u64,
    pub(super) set: u64,
    pub(super) component: u32,
    pub(super) unused: u32,
}

impl JobArgument {
    /// Bytes before the address of the set.
    pub(super) const SET: u64 = offset_of!(Self, set) as u64;
}

/// Results of a search beside its hits: `Outcome` of kernels/quantize_query.cu.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct OutcomeArgument {
    pub(super) largest: f32,
    refused: u32,
    bits: u32,
    pub(super) candidates: u32,
    pub(super) rescored: u32,
    pub(super) found: u32,
}

// kernels/quantize_query.cu asserts the same.
const _: () = {
    assert!(size_of::<JobArgument>() == 24 && offset_of!(JobArgument, set) == 8);
    assert!(size_of::<OutcomeArgument>() == 24 && offset_of!(OutcomeArgument, candidates) == 12);
};

impl OutcomeArgument {
    /// Number and value of the first component that is not finite or too large.
    pub(super) fn refused(&self) -> Option<(usize, f32)> {
        (self.refused != u32::MAX).then(|| (self.refused as usize, f32::from_bits(self.bits)))
    }

    /// Size of an int8 step: as in [`round_to_int8`](crate::round_to_int8).
    pub(super) fn scale(&self) -> f32 {
        self.largest / 127.0
    }
}

/// The rotation of a codec in device memory.
#[derive(Debug)]
pub(super) struct Signs {
    /// `(rounds, D)`.
    signs: Buffer<f32>,
    rounds: u32,
    window: u32,
    scale: f32,
}

impl Signs {
    /// Uploads a rotation; without one there are no rounds.
    pub(super) fn new(context: &Arc<Context>, rotation: Option<&Rotation>) -> Result<Self> {
        let rounds = rotation.map_or(0, Rotation::rounds);
        let signs: Vec<f32> =
            rotation.into_iter().flat_map(|r| (0..rounds).flat_map(|at| r.signs(at))).copied().collect();
        let window = rotation.map_or(1, |rotation| rotation.window(0).len());
        Ok(Self {
            signs: context.upload(&signs)?,
            rounds: rounds as u32,
            window: window as u32,
            scale: Rotation::scale(window),
        })
    }
}

/// The results of the kernel, in device memory.
#[derive(Clone, Copy)]
pub(super) struct Quantized<'a> {
    /// Address of an [`OutcomeArgument`].
    pub(super) outcome: u64,
    pub(super) rows: &'a Buffer<i8>,
    pub(super) arranged: &'a Buffer<i8>,
    pub(super) norm: &'a Buffer<u32>,
    pub(super) rotated: &'a Buffer<f32>,
}

/// Launches the kernel for the embeddings of the job at the address `job`.
///
/// # Safety
/// The job names `(Q, D)` embeddings, and the buffers are `(Q, D)`, `arranged` as long as
/// [`query_layout::arranged_len`] says; `norm` is a number.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    stream: &CudaStream,
    Quantized { outcome, rows, arranged, norm, rotated }: Quantized<'_>,
    job: u64,
    signs: &Signs,
    query_len: usize,
) -> Result<()> {
    let query_len = query_len as u32;
    let arguments = [
        value(&outcome),
        rows.argument(),
        arranged.argument(),
        norm.argument(),
        rotated.argument(),
        value(&job),
        signs.signs.argument(),
        value(&query_len),
        value(&signs.rounds),
        value(&signs.window),
        value(&signs.scale),
    ];
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees their lengths.
    unsafe { kernel.launch_on(stream, (1, 1), THREADS, &arguments) }
}

/// Launches [`crate::Backend::quantize_query`].
///
/// # Panics
/// If the number of components is not a multiple of the dim, or an argument is of another `Cuda`.
pub(super) fn quantize_query(cuda: &Cuda, codec: &LoadedCodec, embeddings: Embeddings<'_>) -> Result<Query> {
    let host = &codec.host;
    codec.centroids.assert_of(&cuda.context);
    let dim = host.dim;
    assert!(embeddings.len().is_multiple_of(dim), "whole rows of {dim}");
    let query_len = embeddings.len() / dim;
    let context = &cuda.context;
    let source = Source::new(context, embeddings)?;
    source.wait(context.stream())?;
    let job = JobArgument { embeddings: source.pointer(), set: 0, component: source.component() as u32, unused: 0 };
    let job = context.upload(&[job])?;
    let (rows, rotated) = (context.allocate(query_len * dim)?, context.allocate(query_len * dim)?);
    let arranged = context.allocate(query_layout::arranged_len(dim, query_len))?;
    let (norm, outcome) = (context.allocate(1)?, context.allocate::<OutcomeArgument>(1)?);
    let kernel = cuda.modules.kernel(Op::QuantizeQuery, KernelVariant::codec(host), "quantize_query")?;
    let quantized =
        Quantized { outcome: *outcome.pointer(), rows: &rows, arranged: &arranged, norm: &norm, rotated: &rotated };
    // SAFETY: the buffers have these lengths.
    unsafe { launch(&kernel, context.stream(), quantized, *job.pointer(), &codec.signs, query_len)? };
    let outcome = outcome.download()?[0];
    match outcome.refused() {
        Some((at, component)) => Err(Error::BadComponent { token: at / dim, component }),
        None => Ok(Query::of_device(host, (rows, arranged, norm), query_len, outcome.scale())),
    }
}
