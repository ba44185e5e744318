//! The ops on a CPU. An op is a folder, or a file if it has a single body: `mod.rs` is its safe entry (lengths,
//! threads, choice of the instruction set), and each instruction set has a file with its body. `dots`, `levels` and
//! `tile` are shared by ops.
//!
//! Parallel work runs on the current rayon pool; no result depends on the number of threads. The ops of one query in an
//! approximate search (`centroid_table`, `probe`, scores of up to 16,384 passages picked by [`Select::Pids`]) stay on
//! the calling thread: many queries at once fill the cores better than one query that is split. The instruction set is
//! chosen once per block of work, never per vector.
// Some helpers are used by SIMD bodies only.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

/// Runs `portable::run`, `avx2::run` (also for AVX-VNNI) or `avx512::run` of the calling module, by `isa`.
macro_rules! dispatch {
    ($isa:expr, $($argument:expr),* $(,)?) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `run` requires nothing but the instruction set, and a `Cpu` is only made after
            // `Isa::is_available` confirmed that this machine has it.
            $crate::Isa::Avx2 | $crate::Isa::AvxVnni => unsafe { avx2::run($($argument),*) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            $crate::Isa::Avx512 => unsafe { avx512::run($($argument),*) },
            _ => portable::run($($argument),*),
        }
    };
}

/// Declares bodies `avx2` and `avx512` of the calling module: its `portable::run`, compiled for these instruction sets.
/// Use it if the compiler vectorizes the loops of `run` by itself.
macro_rules! autovectorize {
    (fn run($($argument:ident: $type:ty),* $(,)?) $(-> $out:ty)?) => {
        #[cfg(target_arch = "x86_64")]
        mod avx2 {
            use super::*;

            #[target_feature(enable = "avx2,fma")]
            pub(super) fn run($($argument: $type),*) $(-> $out)? {
                portable::run($($argument),*)
            }
        }

        #[cfg(target_arch = "x86_64")]
        mod avx512 {
            use super::*;

            #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
            pub(super) fn run($($argument: $type),*) $(-> $out)? {
                portable::run($($argument),*)
            }
        }
    };
}

mod aligned;
mod approx_scores;
mod assign;
mod best;
#[cfg(target_arch = "x86_64")]
mod bit_unpacker;
mod centroid_sums;
mod centroid_table;
mod compress;
mod decompress;
mod dots;
mod largest;
mod levels;
mod linear_f32;
mod linear_int8;
mod maxsim;
mod maxsim_f32;
mod passages;
mod probe;
mod products;
mod query;
mod rotate;
mod tile;
mod top_k;

pub use assign::Centroids;
pub use linear_f32::LinearF32;
pub use linear_int8::{LinearInt8, RoundedRows};
pub use passages::{Passages, Table};
pub use query::Query;
pub(crate) use rotate::rotate;

use crate::groups::{self, Groups};
use crate::{
    Assignment, Backend, CheckedCodec, CompressedPassages, Error, HostScores, Isa, Packed, Probed, QuantizedQuery,
    RawHit, Result, Select,
};
use std::ops::Range;

/// The CPU, with the instruction set that its ops use.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// Available on this machine: only [`Cpu::with_isa`] sets it, after a check.
    isa: Isa,
}

impl Cpu {
    /// A CPU backend with the best instruction set of this machine, or the one that `SELVEDGE_ISA` names.
    ///
    /// # Errors
    /// [`Error::BadIsa`] if `SELVEDGE_ISA` names an unknown instruction set, or one that this machine lacks.
    pub fn new() -> Result<Self> {
        Self::with_isa(Isa::from_env()?)
    }

    /// A CPU backend with the instruction set `isa`.
    ///
    /// # Errors
    /// [`Error::UnavailableIsa`] if this machine lacks it.
    pub fn with_isa(isa: Isa) -> Result<Self> {
        if isa.is_available() { Ok(Self { isa }) } else { Err(Error::UnavailableIsa { requested: isa }) }
    }

    /// The instruction set that the ops use.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Backend for Cpu {
    type Centroids = Centroids;
    /// The checked codec itself: `compress` derives its tables per block of embeddings at no noticeable cost.
    type Codec = CheckedCodec;
    type Passages = Passages;
    type Query = Query;
    type Table = Table;
    type Scores = HostScores;

    fn name(&self) -> String {
        format!("cpu/{}", self.isa.name())
    }

    fn load_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Ok(Centroids::new(self.isa, dim, centroids))
    }

    fn load_grouped_centroids(&self, dim: usize, centroids: &[i8]) -> Result<Self::Centroids> {
        Ok(Centroids::grouped(self.isa, dim, centroids, &Groups::new(self, dim, centroids)?))
    }

    fn assign(&self, centroids: &Self::Centroids, embeddings: &[f32]) -> Result<Vec<u32>> {
        Ok(centroids.assign(self.isa, embeddings))
    }

    fn assignment(&self, num_centroids: usize) -> Assignment {
        if num_centroids >= groups::LEAST_CENTROIDS { Assignment::Grouped } else { Assignment::Exact }
    }

    fn centroid_sums(
        &self,
        dim: usize,
        embeddings: &[f32],
        codes: &[u32],
        num_centroids: usize,
    ) -> Result<(Vec<f32>, Vec<u32>)> {
        Ok(centroid_sums::centroid_sums(dim, embeddings, codes, num_centroids))
    }

    fn compress(&self, codec: &Self::Codec, embeddings: &[f32], codes: &[u32]) -> Result<Packed> {
        Ok(compress::compress(self.isa, codec, embeddings, codes))
    }

    fn load_codec(&self, codec: CheckedCodec) -> Result<Self::Codec> {
        Ok(codec)
    }

    fn load_passages(&self, codec: &Self::Codec, passages: CompressedPassages) -> Result<Self::Passages> {
        Passages::new(codec.clone(), passages)
    }

    fn decompress(&self, passages: &Self::Passages, tokens: Range<usize>) -> Result<Vec<f32>> {
        Ok(decompress::decompress(self.isa, passages, tokens))
    }

    fn load_query(&self, codec: &Self::Codec, query: QuantizedQuery) -> Result<Self::Query> {
        Ok(Query::new(self.isa, codec, query))
    }

    fn download_query(&self, query: &Self::Query) -> Result<QuantizedQuery> {
        Ok(query.rounded().clone())
    }

    fn query_len(&self, query: &Self::Query) -> usize {
        query.rounded().len()
    }

    fn score_unit(&self, query: &Self::Query) -> Result<f32> {
        Ok(query.score_unit())
    }

    fn centroid_table(&self, codec: &Self::Codec, query: &Self::Query) -> Result<Self::Table> {
        Ok(centroid_table::centroid_table(self.isa, codec, query))
    }

    fn probe(&self, table: &Self::Table, nprobe: usize) -> Result<Probed> {
        Ok(probe::probe(self.isa, table, nprobe))
    }

    fn approx_scores(
        &self,
        passages: &Self::Passages,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        Ok(approx_scores::approx_scores(self.isa, passages, table, select))
    }

    fn maxsim(
        &self,
        passages: &Self::Passages,
        query: &Self::Query,
        table: &Self::Table,
        select: Select<'_>,
    ) -> Result<Self::Scores> {
        Ok(maxsim::maxsim(self.isa, passages, query, table, select))
    }

    fn maxsim_f32(
        &self,
        dim: usize,
        queries: &[f32],
        query_offsets: &[usize],
        embeddings: &[f32],
        passage_offsets: &[usize],
    ) -> Result<Vec<f32>> {
        Ok(maxsim_f32::maxsim_f32(self.isa, dim, queries, query_offsets, embeddings, passage_offsets))
    }

    fn top_k(&self, scores: &Self::Scores, k: usize) -> Result<Vec<RawHit>> {
        Ok(top_k::top_k(scores.scores(), scores.select(), k))
    }
}

#[cfg(test)]
mod tests;
