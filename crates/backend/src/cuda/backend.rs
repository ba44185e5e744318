//! The ops on a GPU, as a [`Backend`].

use super::{
    approx_scores::approx_scores,
    assign::{Centroids, assign},
    centroid_sums::centroid_sums,
    centroid_table::centroid_table,
    compress::compress,
    context::Context,
    cubins::Cubins,
    decompress::decompress,
    driver::Driver,
    library::Unavailable,
    maxsim::maxsim,
    maxsim_f32::maxsim_f32,
    modules::Modules,
    nvrtc::Nvrtc,
    probe::probe,
    query_layout::Query,
    resident::{DeviceEmbeddings, LoadedCodec, LoadedPassages, Scores, Table},
    top_k::top_k,
};
use crate::{Backend, CheckedCodec, CompressedPassages, Error, Packed, Probed, QuantizedQuery, RawHit, Result, Select};
use std::{ops::Range, sync::Arc};

/// An NVIDIA GPU as a backend. Its ops run on one stream, in the order of the calls, from any thread.
///
/// Centroids, codecs, passages, queries, tables and scores belong to the `Cuda` that made them: passing them to another
/// one, even for the same device, panics.
#[derive(Debug)]
pub struct Cuda {
    pub(super) context: Arc<Context>,
    pub(super) modules: Modules,
}

impl Cuda {
    /// Opens device number `ordinal` of [`devices`](super::devices), with the driver and NVRTC of this machine.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no driver, no such device or no NVRTC, if the device is too old (compute
    /// capability below 8.0) or newer than NVRTC; [`Error::NvrtcNewerThanDriver`] if every NVRTC is of a newer major
    /// version than the driver; [`Error::Cuda`] if a call of the driver fails.
    pub fn new(ordinal: usize) -> Result<Self> {
        let refused = |error: Unavailable| Error::without_cuda(ordinal, error);
        let driver = Driver::get().map_err(refused)?;
        Self::with(driver, Nvrtc::for_driver(&driver).map_err(refused)?, Cubins::of_user(), ordinal)
    }

    /// Opens device number `ordinal` of `driver`, with kernels compiled by `nvrtc` and cached in `cubins`.
    ///
    /// # Errors
    /// [`Error::NoCudaDevice`] if there is no such device, or it is too old (compute capability below 8.0) or newer
    /// than the compiler; [`Error::NvrtcNewerThanDriver`] if the compiler is of a newer major version than the driver;
    /// [`Error::Cuda`] if a call of the driver fails.
    pub fn with(driver: Driver, nvrtc: Nvrtc, cubins: Cubins, ordinal: usize) -> Result<Self> {
        nvrtc.check(&driver).map_err(|error| Error::without_cuda(ordinal, error))?;
        let context = Context::new(driver, ordinal)?;
        Ok(Self { modules: Modules::new(Arc::clone(&context), nvrtc, cubins)?, context })
    }

    /// Uploads embeddings to device memory.
    ///
    /// # Errors
    /// [`Error::OutOfDeviceMemory`] if they do not fit, [`Error::Cuda`] if a call of the driver fails.
    pub fn upload_embeddings(&self, embeddings: &[f32]) -> Result<DeviceEmbeddings> {
        DeviceEmbeddings::new(&self.context, embeddings)
    }

    /// Waits until all work on the stream is done. Ops that return numbers to the host have waited already.
    ///
    /// # Errors
    /// [`Error::Cuda`] if the work, or the call, fails.
    pub fn synchronize(&self) -> Result<()> {
        self.context.synchronize()
    }
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

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Centroids::new(self, dim, centroids)
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

    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
        compress(self, codec, embeddings, codes)
    }

    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec> {
        Ok(Arc::new(LoadedCodec::new(&self.context, codec)?))
    }

    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages> {
        passages.validate_lengths(codec.host.sizes())?;
        LoadedPassages::new(&self.context, Arc::clone(codec), &passages)
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        decompress(self, passages, tokens)
    }

    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query> {
        Query::new(&self.context, codec, &query)
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
