//! The CUDA kernels' source text: one `.cu` for each op, and what they share in `.cuh` files.
//!
//! A kernel is compiled at run time, from one text without includes: [`source`] puts the files that an op needs one
//! behind the other, `prelude.cuh` first. Defines specialize it: `DIM`, `NBITS` and `TRELLIS`, where [`Op::options`] says so.
#![forbid(unsafe_code)]

/// An op that has kernels, by the name that it has everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Nearest centroids.
    Assign,
    /// Sums of embeddings by code.
    CentroidSums,
    /// Residuals to packed levels and weight indices.
    Compress,
    /// And back.
    Decompress,
    /// The centroid part of every similarity.
    CentroidTable,
    /// The best centroids of each query token.
    Probe,
    /// Scores from the table alone.
    ApproxScores,
    /// Scores from the compressed bytes.
    Maxsim,
    /// Scores over plain embeddings.
    MaxsimF32,
    /// The best passages.
    TopK,
    /// No op: what the device can do at most.
    Peak,
}

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defines {
    /// Nothing: one kernel for all.
    None,
    /// `DIM`.
    Dim,
    /// `DIM`, `NBITS` and `TRELLIS`.
    Coding,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Assign,
        Self::CentroidSums,
        Self::Compress,
        Self::Decompress,
        Self::CentroidTable,
        Self::Probe,
        Self::ApproxScores,
        Self::Maxsim,
        Self::MaxsimF32,
        Self::TopK,
        Self::Peak,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Assign => "assign",
            Self::CentroidSums => "centroid_sums",
            Self::Compress => "compress",
            Self::Decompress => "decompress",
            Self::CentroidTable => "centroid_table",
            Self::Probe => "probe",
            Self::ApproxScores => "approx_scores",
            Self::Maxsim => "maxsim",
            Self::MaxsimF32 => "maxsim_f32",
            Self::TopK => "top_k",
            Self::Peak => "peak",
        }
    }

    /// What its kernels are specialized for.
    pub fn options(self) -> Defines {
        match self {
            Self::Assign | Self::CentroidTable => Defines::Dim,
            Self::Compress | Self::Decompress | Self::Maxsim => Defines::Coding,
            _ => Defines::None,
        }
    }

    /// Its files, in their order.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        macro_rules! files {
            ($($name:literal),*) => { &[$(($name, include_str!($name))),*] };
        }
        match self {
            Self::Assign => files!("prelude.cuh", "assign.cu"),
            Self::CentroidSums => files!("prelude.cuh", "centroid_sums.cu"),
            Self::Compress => files!("prelude.cuh", "levels.cuh", "trellis.cuh", "compress.cu"),
            Self::Decompress => files!("prelude.cuh", "passages.cuh", "levels.cuh", "decompress.cu"),
            Self::CentroidTable => files!("prelude.cuh", "rows.cuh", "centroid_table.cu"),
            Self::Probe => files!("prelude.cuh", "select.cuh", "probe.cu"),
            Self::ApproxScores => files!("prelude.cuh", "passages.cuh", "approx_scores.cu"),
            Self::Maxsim => files!("prelude.cuh", "passages.cuh", "rows.cuh", "levels.cuh", "maxsim.cu"),
            Self::MaxsimF32 => files!("prelude.cuh", "maxsim_f32.cu"),
            Self::TopK => files!("prelude.cuh", "select.cuh", "top_k.cu"),
            Self::Peak => files!("prelude.cuh", "peak.cu"),
        }
    }
}

/// The whole text of an op's kernels. Messages of a compiler name file and line.
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
