//! The reference ops behind the trait.

use crate::{Backend, CheckedCodec, CompressedPassages, Hit, Packed, QuantizedQuery, Result, Select, reference};
use std::ops::Range;

/// The naive loops as a backend: for tests, and for the curious.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// Centroids, `(K, D) i8`.
#[derive(Clone, Debug)]
pub struct LoadedCentroids {
    dim: usize,
    rows: Vec<i8>,
}

/// Passages and the codec that wrote them.
#[derive(Clone, Debug)]
pub struct LoadedPassages {
    codec: CheckedCodec,
    bytes: CompressedPassages,
}

/// A centroid table, `(K, Q) i32`.
#[derive(Clone, Debug)]
pub struct ReferenceTable {
    query_len: usize,
    entries: Vec<i32>,
}

impl Backend for Reference {
    type Centroids = LoadedCentroids;
    type Codec = CheckedCodec;
    type Passages = LoadedPassages;
    type Table = ReferenceTable;
    type Scores = Vec<i32>;

    fn name(&self) -> String {
        "reference".into()
    }

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Ok(LoadedCentroids { dim, rows: centroids.to_vec() })
    }

    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
        Ok(reference::assign(centroids.dim, embeddings, &centroids.rows))
    }

    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)> {
        Ok(reference::centroid_sums(dim, embeddings, codes, num_centroids))
    }

    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
        Ok(reference::compress(codec, embeddings, codes))
    }

    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec> {
        Ok(codec)
    }

    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages> {
        passages.validate_lengths(codec)?;
        Ok(LoadedPassages { codec: codec.clone(), bytes: passages })
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        Ok(reference::decompress(&passages.codec, &passages.bytes, tokens))
    }

    fn centroid_table(&self, codec: &Self::Codec, query: &QuantizedQuery) -> Result<Self::Table> {
        Ok(ReferenceTable { query_len: query.len(), entries: reference::centroid_table(codec, query) })
    }

    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<(Vec<(u32, i32)>, Vec<i32>)> {
        Ok(reference::probe(&table.entries, table.query_len, nprobe))
    }

    fn approx_scores(
        &self,
        passages: &Self::Passages,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        Ok(reference::approx_scores(&passages.codec, &passages.bytes, &table.entries, table.query_len, select))
    }

    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &QuantizedQuery,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        Ok(reference::maxsim(&passages.codec, &passages.bytes, query, &table.entries, select))
    }

    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>> {
        Ok(reference::maxsim_f32(dim, queries, query_offsets, embeddings, passage_offsets))
    }

    fn top_k(&self, scores: &Self::Scores, select: Select<'_>, k: usize) -> Result<Vec<Hit>> {
        Ok(reference::top_k(scores, select, k))
    }
}
