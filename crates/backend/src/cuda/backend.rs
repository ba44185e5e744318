//! The ops on a GPU, as a [`Backend`].

use super::{
    approx_scores::approx_scores,
    assign::{Centroids, assign},
    assign_and_compress::assign_and_compress,
    calls::{self, CallerContext, CudaStream, DeviceFloat, DeviceMemory},
    centroid_sums::centroid_sums,
    centroid_table::centroid_table,
    compress::compress,
    context::Context,
    cubins::Cubins,
    decompress::decompress,
    driver::Driver,
    embeddings::{Component, DeviceEmbeddings},
    kmeans::DeviceKMeans,
    library::Unavailable,
    maxsim::maxsim,
    maxsim_f32::maxsim_f32,
    modules::Modules,
    nvrtc::Nvrtc,
    probe::probe,
    quantize_query::quantize_query,
    query_layout::Query,
    resident::{LoadedCodec, LoadedPassages, Scores},
    search::{Lanes, LoadedIndex},
    slots::Slots,
    table::Table,
    top_k::top_k,
};
use crate::{
    Backend, CellLists, CheckedCodec, CompressedPassages, DeviceIndex, Embeddings, Error, IndexPart, KMeans, Packed,
    Probed, QuantizedQuery, RawHit, Result, Select,
};
use std::{ffi::c_void, ops::Range, sync::Arc};

/// An NVIDIA GPU as a backend. Single ops run on one stream, in the order of the calls, from any thread.
///
/// Centroids, codecs, passages, queries, tables and scores belong to the `Cuda` that made them: passing them to another
/// one, even for the same device, panics.
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Cuda {
    /// Before the kernels, which they launch.
    pub(super) lanes: Arc<Lanes>,
    pub(super) slots: Arc<Slots>,
    pub(super) context: Arc<Context>,
    pub(super) modules: Arc<Modules>,
}

impl Cuda {
    /// Opens device number `ordinal` of [`devices`](super::devices), with the driver and NVRTC of this machine.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no driver, no such device or no NVRTC, if the device is too old (compute
    /// capability below 8.0) or newer than NVRTC; [`Error::NvrtcNewerThanDriver`] if every NVRTC is of a newer major
    /// version than the driver; [`Error::Cuda`] if a call of the driver fails.
    pub fn new(ordinal: usize) -> Result<Self> {
        Self::open(CudaOptions { device: ordinal, ..CudaOptions::default() })
    }

    /// Opens a device by options.
    ///
    /// # Errors
    /// As [`Cuda::new`].
    pub fn open(options: CudaOptions) -> Result<Self> {
        let CudaOptions { device, context, memory_bytes, driver, nvrtc, cubins, portable } = options;
        let refused = |error: Unavailable| Error::without_cuda(device, error);
        let driver = driver.map_or_else(Driver::get, Ok).map_err(refused)?;
        let nvrtc = nvrtc.map_or_else(|| Nvrtc::for_driver(&driver), Ok).map_err(refused)?;
        nvrtc.check(&driver).map_err(refused)?;
        let context = Context::new(driver, device, context.as_ref(), memory_bytes.unwrap_or(u64::MAX))?;
        let cubins = cubins.unwrap_or_else(Cubins::of_user);
        let modules = Arc::new(Modules::new(Arc::clone(&context), nvrtc, cubins, portable)?);
        Ok(Self { lanes: Arc::default(), slots: Arc::default(), modules, context })
    }

    /// Opens device number `ordinal` of `driver`, with kernels compiled by `nvrtc` and cached in `cubins`.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no such device, or it is too old (compute capability below 8.0) or newer
    /// than the compiler; [`Error::NvrtcNewerThanDriver`] if the compiler is of a newer major version than the driver;
    /// [`Error::Cuda`] if a call of the driver fails.
    pub fn with(driver: Driver, nvrtc: Nvrtc, cubins: Cubins, ordinal: usize) -> Result<Self> {
        let (driver, nvrtc, cubins) = (Some(driver), Some(nvrtc), Some(cubins));
        Self::open(CudaOptions { device: ordinal, driver, nvrtc, cubins, ..CudaOptions::default() })
    }

    /// Uploads embeddings to device memory.
    ///
    /// # Errors
    /// [`Error::OutOfDeviceMemory`] if they do not fit, [`Error::Cuda`] if a call of the driver fails.
    pub fn upload_embeddings(&self, embeddings: &[f32]) -> Result<DeviceEmbeddings<'static>> {
        DeviceEmbeddings::new(&self.context, embeddings)
    }

    /// Names embeddings that cudarc has allocated, a `CudaSlice` or `CudaView`, and that work on `stream`, or on their
    /// own, writes. Nothing is copied. They stay borrowed as long as the result lives.
    ///
    /// Call this on the thread that has launched the work: see [`embeddings_at`](Self::embeddings_at).
    ///
    /// # Errors
    /// As [`embeddings_at`](Self::embeddings_at).
    ///
    /// # Panics
    /// If the stream is of another context.
    pub fn embeddings_of<'a, T: DeviceFloat>(
        &self,
        memory: &'a impl DeviceMemory<T>,
        stream: &CudaStream,
    ) -> Result<DeviceEmbeddings<'a>> {
        assert!(self.context.is_of(stream), "the stream is of the context of this `Cuda`");
        // SAFETY: the memory is borrowed, so it is not freed, and it is written to only through cudarc, which keeps the
        // borrow; the stream lives during the call.
        calls::reading(memory, stream, |pointer| unsafe {
            self.embeddings_at(pointer, memory.len(), T::COMPONENT, stream.cu_stream().cast())
        })
    }

    /// Names embeddings in the memory of another library: `len` components from the address `pointer` on, which work on
    /// `stream` writes, a `CUstream` or `cudaStream_t`. Nothing is copied.
    ///
    /// Work that this thread has put on the stream so far is waited for before the embeddings are read, on the device:
    /// the host goes on. Streams have a meaning of their own in each thread for the handles of the legacy and the
    /// per-thread default stream, so call this on the thread that has launched the work.
    ///
    /// # Errors
    /// [`Error::NotOfDevice`] if the memory is not of this device, [`Error::Cuda`] if a call of the driver fails.
    ///
    /// # Safety
    /// `pointer` is the address of `len` components, a multiple of their size, which are neither freed nor written to
    /// for the lifetime `'a`, but for the work on `stream`. `stream` is a stream of the context of this `Cuda`, and
    /// records no graph.
    pub unsafe fn embeddings_at<'a>(
        &self,
        pointer: u64,
        len: usize,
        component: Component,
        stream: *mut c_void,
    ) -> Result<DeviceEmbeddings<'a>> {
        // SAFETY: the caller guarantees it.
        unsafe { DeviceEmbeddings::of_other(&self.context, pointer, len, component, stream) }
    }

    /// Copies embeddings that cudarc has allocated, on the device and after the work on `stream`, for a search that
    /// comes later: in a queue, say.
    ///
    /// # Errors
    /// As [`embeddings_at`](Self::embeddings_at), and [`Error::OutOfDeviceMemory`] if they do not fit.
    ///
    /// # Panics
    /// If the stream is of another context.
    pub fn copy_of<T: DeviceFloat>(
        &self,
        memory: &impl DeviceMemory<T>,
        stream: &CudaStream,
    ) -> Result<DeviceEmbeddings<'static>> {
        assert!(self.context.is_of(stream), "the stream is of the context of this `Cuda`");
        // SAFETY: cudarc frees the memory in the order of its own stream, which waits for the copy.
        let copy = calls::reading(memory, stream, |pointer| unsafe {
            self.copy_at(pointer, memory.len(), T::COMPONENT, stream.cu_stream().cast())
        })?;
        copy.wait(memory.stream())?;
        Ok(copy)
    }

    /// Copies embeddings in the memory of another library, on the device and after the work on `stream`; see
    /// [`embeddings_at`](Self::embeddings_at).
    ///
    /// # Errors
    /// As [`copy_of`](Self::copy_of).
    ///
    /// # Safety
    /// `pointer` is the address of `len` components, which are freed and written to only after the work that this call
    /// has put on `stream`, a stream of the context of this `Cuda` that records no graph.
    pub unsafe fn copy_at(
        &self,
        pointer: u64,
        len: usize,
        component: Component,
        stream: *mut c_void,
    ) -> Result<DeviceEmbeddings<'static>> {
        // SAFETY: the caller guarantees it.
        unsafe { DeviceEmbeddings::copied(&self.context, pointer, len, component, stream) }
    }

    /// Waits until all work on the stream is done. Ops that return numbers to the host have waited already.
    ///
    /// # Errors
    /// [`Error::Cuda`] if the work, or the call, fails.
    pub fn synchronize(&self) -> Result<()> {
        self.context.synchronize()
    }
}

/// How a GPU is opened. The default is the primary context of the first device, all of its memory, and the driver and
/// NVRTC of this machine.
#[derive(Clone, Debug, Default)]
pub struct CudaOptions {
    /// Number of the device among [`devices`](super::devices).
    pub device: usize,
    /// Context to work in; the device's primary one if there is none.
    pub context: Option<CallerContext>,
    /// Largest number of bytes of all buffers at a time; without one, the memory of the device. The context, the
    /// kernels and freed memory that the pool keeps come on top. More is an [`Error::OutOfDeviceMemory`], of an index
    /// before anything is uploaded.
    pub memory_bytes: Option<u64>,
    /// Driver; the machine's if there is none.
    pub driver: Option<Driver>,
    /// Compiler of the kernels; the machine's if there is none.
    pub nvrtc: Option<Nvrtc>,
    /// Cache of compiled kernels; the user's if there is none.
    pub cubins: Option<Cubins>,
    /// Leaves out kernels that run on one architecture alone, to compare them with the others. Results are the same.
    pub portable: bool,
}

impl Backend for Cuda {
    type Centroids = Centroids;
    type Codec = Arc<LoadedCodec>;
    type Passages = LoadedPassages;
    type Query = Query;
    type Table = Table;
    type Scores = Scores;

    fn name(&self) -> String {
        format!("cuda/{}", self.context.device().ordinal)
    }

    fn device_bytes(&self) -> u64 {
        self.context.held_bytes()
    }

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Centroids::new(self, dim, centroids)
    }

    fn load_grouped_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Centroids::grouped(self, dim, centroids)
    }

    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
        assign(self, centroids, embeddings)
    }

    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)> {
        centroid_sums(self, dim, embeddings, codes, num_centroids)
    }

    fn kmeans<'a>(&'a self, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Box<dyn KMeans + 'a>> {
        Ok(Box::new(DeviceKMeans::new(self, dim, sample, starts)?))
    }

    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
        compress(self, codec, embeddings, codes)
    }

    fn assign_and_compress(
        &self,
        centroids: &Self::Centroids,
        codec: &Self::Codec,
        embeddings: &[f32],
    ) -> Result<(Vec<u32>, Packed)> {
        assign_and_compress(self, centroids, codec, embeddings)
    }

    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec> {
        Ok(Arc::new(LoadedCodec::new(&self.context, codec)?))
    }

    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages> {
        passages.validate_lengths(codec.host.sizes())?;
        LoadedPassages::new(&self.context, Arc::clone(codec), &passages)
    }

    fn check_memory(&self, bytes: u64) -> Result<()> {
        match self.context.check_memory(bytes) {
            Err(Error::OutOfDeviceMemory { .. }) => {
                self.lanes.empty_idle();
                self.context.check_memory(bytes)
            }
            checked => checked,
        }
    }

    fn load_lists(&self, passages: &Self::Passages, lists: &dyn Fn() -> CellLists) -> Result<()> {
        passages.load_lists(&self.context, lists)
    }

    fn load_index(
        &self,
        codec: &Self::Codec,
        parts: Vec<IndexPart<Self::Passages>>,
    ) -> Result<Option<Box<dyn DeviceIndex>>> {
        Ok(Some(Box::new(LoadedIndex::new(self, codec, parts)?)))
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        decompress(self, passages, tokens)
    }

    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query> {
        Query::new(&self.context, codec, &query)
    }

    fn quantize_query(&self, codec: &Self::Codec, embeddings: Embeddings<'_>) -> Result<Self::Query> {
        quantize_query(self, codec, embeddings)
    }

    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery> {
        query.download()
    }

    fn query_len(&self, query: &Self::Query) -> usize {
        query.len()
    }

    fn score_unit(&self, query: &Self::Query) -> Result<f32> {
        Ok(query.score_unit())
    }

    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table> {
        centroid_table(self, codec, query)
    }

    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed> {
        probe(self, table, nprobe)
    }

    fn approx_scores(
        &self,
        passages: &Self::Passages,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        approx_scores(self, passages, table, select)
    }

    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &Self::Query,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        maxsim(self, passages, query, table, select)
    }

    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>> {
        maxsim_f32(self, dim, queries, query_offsets, embeddings, passage_offsets)
    }

    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>> {
        top_k(self, scores, k)
    }
}
