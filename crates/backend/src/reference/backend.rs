//! The reference ops as a [`Backend`].

use crate::{
    Backend, CheckedCodec, CompressedPassages, Embeddings, HostScores, Packed, Probed, QuantizedQuery, RawHit, Result,
    Select, groups::Groups, reference,
};
use std::ops::Range;

/// The naive loops as a backend, for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

/// Centroids, `(K, D) i8`.
#[derive(Clone, Debug)]
pub struct LoadedCentroids {
    dim: usize,
    rows: Vec<i8>,
    groups: Option<Groups>,
}

/// Passages and the codec that compressed them.
#[derive(Clone, Debug)]
pub struct LoadedPassages {
    codec: CheckedCodec,
    bytes: CompressedPassages,
}

/// A rounded query and its score unit.
#[derive(Clone, Debug)]
pub struct LoadedQuery {
    rounded: QuantizedQuery,
    score_unit: f32,
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
    type Query = LoadedQuery;
    type Table = ReferenceTable;
    type Scores = HostScores;

    fn name(&self) -> String {
        "reference".into()
    }

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Ok(LoadedCentroids { dim, rows: centroids.to_vec(), groups: None })
    }

    fn load_grouped_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        let groups = Some(Groups::new(self, dim, centroids)?);
        Ok(LoadedCentroids { dim, rows: centroids.to_vec(), groups })
    }

    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
        let LoadedCentroids { dim, rows, groups } = centroids;
        Ok(match groups {
            None => reference::assign(*dim, embeddings, rows),
            Some(Groups { representatives, members }) => {
                reference::assign_grouped(*dim, embeddings, rows, representatives, members)
            }
        })
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
        passages.validate_lengths(codec.sizes())?;
        Ok(LoadedPassages { codec: codec.clone(), bytes: passages })
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        Ok(reference::decompress(&passages.codec, &passages.bytes, tokens))
    }

    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query> {
        Ok(LoadedQuery { score_unit: codec.score_unit(&query), rounded: query })
    }

    fn quantize_query(&self, codec: &Self::Codec, embeddings: Embeddings<'_>) -> Result<Self::Query> {
        self.load_query(codec, reference::quantize_query(codec, &embeddings.to_host()?))
    }

    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery> {
        Ok(query.rounded.clone())
    }

    fn query_len(&self, query: &Self::Query) -> usize {
        query.rounded.len()
    }

    fn score_unit(&self, query: &Self::Query) -> Result<f32> {
        Ok(query.score_unit)
    }

    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table> {
        let query = &query.rounded;
        Ok(ReferenceTable { query_len: query.len(), entries: reference::centroid_table(codec, query) })
    }

    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed> {
        Ok(reference::probe(&table.entries, table.query_len, nprobe))
    }

    fn approx_scores(
        &self,
        passages: &Self::Passages,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        let scores =
            reference::approx_scores(&passages.codec, &passages.bytes, &table.entries, table.query_len, select);
        Ok(HostScores::new(scores, select))
    }

    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &Self::Query,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        let scores = reference::maxsim(&passages.codec, &passages.bytes, &query.rounded, &table.entries, select);
        Ok(HostScores::new(scores, select))
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

    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>> {
        Ok(reference::top_k(scores.scores(), scores.select(), k))
    }
}
