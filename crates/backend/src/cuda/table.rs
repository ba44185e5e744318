//! The centroid table of a query in device memory: kernels/table.cuh.

use super::{
    constants::PANEL,
    context::Buffer,
    modules::{Argument, value},
};
use crate::{CodecParams, missing_score::GROUP};
use bytemuck::{Pod, Zeroable};
use std::{mem::offset_of, sync::Arc};

/// The centroid table of a query in device memory.
#[derive(Debug)]
pub struct Table {
    /// Entries, `(panels, K, 32)`, then the maxima of groups, `(panels, groups, 32)`: of [`entries_len`] times 4
    /// bytes, which i32 fill and i16 fill by half.
    pub(super) entries: Arc<Buffer<i32>>,
    /// Largest squared length of the query's int8 rows, by which the width of an entry is chosen.
    pub(super) norm: Arc<Buffer<u32>>,
    pub(super) narrow_below: u32,
    pub(super) num_centroids: usize,
    pub(super) query_len: usize,
    /// Whether the maxima are written, which `probe` reads.
    pub(super) has_maxima: bool,
}

/// The table as a kernel's argument: `Table` of kernels/table.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct TableArgument {
    entries: u64,
    norm: u64,
    maxima: u64,
    narrow_below: u32,
    num_centroids: u32,
}

// kernels/table.cuh asserts the same.
const _: () = {
    assert!(size_of::<TableArgument>() == 32);
    assert!(offset_of!(TableArgument, maxima) == 16 && offset_of!(TableArgument, num_centroids) == 28);
};

impl Table {
    /// The table as an argument of kernels.
    pub(super) fn argument(&self) -> TableArgument {
        TableArgument {
            entries: *self.entries.pointer(),
            norm: *self.norm.pointer(),
            maxima: if self.has_maxima { self.maxima() } else { 0 },
            narrow_below: self.narrow_below,
            num_centroids: self.num_centroids as u32,
        }
    }

    /// Address of the maxima.
    pub(super) fn maxima(&self) -> u64 {
        let entries = columns(self.num_centroids, self.query_len) * size_of::<i32>();
        self.entries.pointer() + entries as u64
    }

    /// Number of groups of centroids.
    pub(super) fn num_groups(&self) -> usize {
        self.num_centroids.div_ceil(GROUP)
    }
}

impl TableArgument {
    /// Passes the structure to a kernel.
    pub(super) fn argument(&self) -> Argument<'_> {
        value(self)
    }
}

/// Number of entries of a table with its maxima.
pub(super) fn entries_len(num_centroids: usize, query_len: usize) -> usize {
    columns(num_centroids, query_len) + columns(num_centroids.div_ceil(GROUP), query_len)
}

/// Number of entries of `rows` rows, whose columns are in whole panels.
fn columns(rows: usize, query_len: usize) -> usize {
    rows * query_len.next_multiple_of(PANEL)
}

/// Largest squared length of rows `(Q, D) i8`.
pub(super) fn largest_norm(dim: usize, rows: &[i8]) -> u32 {
    let norm = |row: &[i8]| row.iter().map(|&x| i32::from(x).pow(2) as u32).sum();
    rows.chunks_exact(dim).map(norm).max().unwrap_or(0)
}

/// Squared length of a query's int8 row below which all its entries of the table fit an i16.
///
/// By Cauchy's inequality a product is at most `sqrt(norm * longest)`, where `longest` is the largest squared length of
/// a centroid. As an f32 and times the factor it is rounded twice, by `2^-24` of it each; then by 0.5 to an integer.
pub(super) fn narrow_below(codec: &CodecParams) -> u32 {
    let longest = f64::from(largest_norm(codec.dim, &codec.centroids));
    let product = (f64::from(i16::MAX) - 1.0) / (f64::from(codec.table_factor()) * (1.0 + 2f64.powi(-20)));
    // Saturates; 0 for NaN.
    (product * product / longest) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::centroid_table::tests::codec_of_ones;

    #[test]
    fn entries_of_the_longest_rows_fit() {
        for scale in [0.5, 1.0, 3.3, 57.0, 4000.0] {
            let codec = CodecParams { centroid_scale: scale, ..codec_of_ones(3) };
            // The longest centroid has the squared length 8.
            let largest = |norm: u32| (f64::from(norm) * 8.0).sqrt() * f64::from(codec.table_factor());
            let limit = narrow_below(&codec);
            assert!(largest(limit - 1).round() <= 32767.0, "{scale}");
            assert!(largest(limit + 2) > 32765.0, "{scale}");
        }
        let with = |centroid_scale| narrow_below(&CodecParams { centroid_scale, ..codec_of_ones(3) });
        assert_eq!([0.0, f32::NAN, 1e30].map(with), [u32::MAX, 0, 0]);
        let zeros = CodecParams { centroids: vec![0; 24].into(), ..codec_of_ones(3) };
        assert_eq!(narrow_below(&zeros), u32::MAX);
    }

    #[test]
    fn columns_are_in_whole_panels() {
        assert_eq!([0, 1, 32, 33].map(|query_len| entries_len(3, query_len)), [0, 128, 128, 256]);
    }

    #[test]
    fn the_largest_norm_is_that_of_the_longest_row() {
        assert_eq!(largest_norm(2, &[1, 2, -127, 127, 3, 4]), 2 * 127 * 127);
        assert_eq!(largest_norm(2, &[]), 0);
    }
}
