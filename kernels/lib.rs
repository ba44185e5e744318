//! Source text of the CUDA kernels: one `.cu` file per op, with shared code in `.cuh` files.
//!
//! Kernels are compiled at run time, from one text without includes: [`source`] concatenates the files that an op
//! needs, `prelude.cuh` first. The compiler options define the constants that kernels share with launchers, and the
//! macros `DIM`, `NBITS` and `TRELLIS`, as far as [`Op::defines`] names them.
#![forbid(unsafe_code)]

/// An op that has kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Finds the nearest centroid of each embedding.
    Assign,
    /// Sums embeddings by code.
    CentroidSums,
    /// Makes centroids of such sums, and rounds them.
    Kmeans,
    /// Encodes residuals as packed levels and weight indices.
    Compress,
    /// Decodes tokens to vectors.
    Decompress,
    /// Computes the centroid part of every similarity.
    CentroidTable,
    /// Rotates and rounds a query, and arranges it for the scoring kernels.
    QuantizeQuery,
    /// Finds the best centroids of each query token.
    Probe,
    /// Finds the passages of the best centroids.
    Candidates,
    /// Computes scores from the centroid table alone.
    ApproxScores,
    /// Computes scores from the compressed bytes.
    Maxsim,
    /// Decodes tokens to rows of int8.
    Rows,
    /// Computes sums that stand for the scores of several queries, from such rows.
    Filter,
    /// Computes the sums of [`Op::Filter`] by products of warpgroups.
    FilterWgmma,
    /// Keeps the passages that may be among the best by these sums.
    Survivors,
    /// Computes scores over plain embeddings.
    MaxsimF32,
    /// Finds the best passages.
    TopK,
    /// Measures the limits of a device; not an op of the backend.
    Peak,
}

/// Macros by which a kernel is specialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defines {
    /// No macro: one kernel serves all codecs.
    None,
    /// The macro `DIM`.
    Dim,
    /// The macros `DIM`, `NBITS` and `TRELLIS`.
    Coding,
}

impl Op {
    /// Every op.
    pub const ALL: [Self; 18] = [
        Self::Assign,
        Self::CentroidSums,
        Self::Kmeans,
        Self::Compress,
        Self::Decompress,
        Self::CentroidTable,
        Self::QuantizeQuery,
        Self::Probe,
        Self::Candidates,
        Self::ApproxScores,
        Self::Maxsim,
        Self::Rows,
        Self::Filter,
        Self::FilterWgmma,
        Self::Survivors,
        Self::MaxsimF32,
        Self::TopK,
        Self::Peak,
    ];

    /// Name of the op, which its kernel's file, its file in the backend and its bench (if it has one) share.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assign => "assign",
            Self::CentroidSums => "centroid_sums",
            Self::Kmeans => "kmeans",
            Self::Compress => "compress",
            Self::Decompress => "decompress",
            Self::CentroidTable => "centroid_table",
            Self::QuantizeQuery => "quantize_query",
            Self::Probe => "probe",
            Self::Candidates => "candidates",
            Self::ApproxScores => "approx_scores",
            Self::Maxsim => "maxsim",
            Self::Rows => "rows",
            Self::Filter => "filter",
            Self::FilterWgmma => "filter_wgmma",
            Self::Survivors => "survivors",
            Self::MaxsimF32 => "maxsim_f32",
            Self::TopK => "top_k",
            Self::Peak => "peak",
        }
    }

    /// The only architecture that runs the op's kernels; `None` for every one.
    pub fn architecture(self) -> Option<&'static str> {
        match self {
            Self::FilterWgmma => Some("sm_90a"),
            _ => None,
        }
    }

    /// Most components of the embeddings that the op's kernels serve.
    pub const fn most_dim(self) -> usize {
        match self {
            // Left sides of products stay in registers.
            Self::FilterWgmma => 256,
            _ => usize::MAX,
        }
    }

    /// Returns the macros by which the op's kernels are specialized.
    pub fn defines(self) -> Defines {
        match self {
            Self::Assign | Self::CentroidTable | Self::Filter | Self::FilterWgmma => Defines::Dim,
            Self::Compress | Self::Decompress | Self::QuantizeQuery | Self::Maxsim | Self::Rows => Defines::Coding,
            _ => Defines::None,
        }
    }

    /// Files of the op's source, in their order.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        macro_rules! files {
            ($($name:literal),*) => { &[$(($name, include_str!($name))),*] };
        }
        match self {
            Self::Assign => files!("prelude.cuh", "assign.cu"),
            Self::CentroidSums => files!("prelude.cuh", "centroid_sums.cu"),
            Self::Kmeans => files!("prelude.cuh", "kmeans.cu"),
            Self::Compress => files!("prelude.cuh", "levels.cuh", "trellis.cuh", "compress.cu"),
            Self::Decompress => files!("prelude.cuh", "passages.cuh", "levels.cuh", "decompress.cu"),
            Self::CentroidTable => files!("prelude.cuh", "rows.cuh", "table.cuh", "centroid_table.cu"),
            Self::QuantizeQuery => {
                files!("prelude.cuh", "passages.cuh", "rows.cuh", "levels.cuh", "quantize_query.cu")
            }
            Self::Probe => files!("prelude.cuh", "passages.cuh", "table.cuh", "select.cuh", "probe.cu"),
            Self::Candidates => {
                files!("prelude.cuh", "passages.cuh", "table.cuh", "select.cuh", "candidates.cu")
            }
            Self::ApproxScores => files!("prelude.cuh", "passages.cuh", "table.cuh", "approx_scores.cu"),
            Self::Maxsim => {
                files!("prelude.cuh", "passages.cuh", "rows.cuh", "levels.cuh", "windows.cuh", "table.cuh", "maxsim.cu")
            }
            Self::Rows => {
                files!("prelude.cuh", "passages.cuh", "rows.cuh", "levels.cuh", "windows.cuh", "rows.cu")
            }
            Self::Filter => files!("prelude.cuh", "passages.cuh", "rows.cuh", "batch.cuh", "filter.cu"),
            Self::FilterWgmma => files!("prelude.cuh", "rows.cuh", "batch.cuh", "filter_wgmma.cu"),
            Self::Survivors => {
                files!("prelude.cuh", "passages.cuh", "table.cuh", "select.cuh", "batch.cuh", "survivors.cu")
            }
            Self::MaxsimF32 => files!("prelude.cuh", "maxsim_f32.cu"),
            Self::TopK => files!("prelude.cuh", "passages.cuh", "table.cuh", "select.cuh", "top_k.cu"),
            Self::Peak => files!("prelude.cuh", "peak.cu"),
        }
    }
}

/// Returns the whole source of an op's kernels. `#line` directives make a compiler's messages name file and line.
pub fn source(op: Op) -> String {
    let mut text = String::new();
    for (name, content) in op.files() {
        text += &format!("#line 1 \"{name}\"\n{}\n", content.replace("#pragma once\n", "\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_op_has_its_kernel_and_nothing_is_included() {
        for op in Op::ALL {
            let text = source(op);
            assert!(!text.contains("#include"), "{}", op.name());
            assert!(text.contains(&format!("#line 1 \"{}.cu\"", op.name())));
            assert!(text.contains("extern \"C\" __global__"));
        }
    }
}
