//! The int8 micro-kernels of `assign`, `centroid_table`, `maxsim` and `linear_int8`: dot products of a few
//! rows with one or two panels of query tokens (or centroids, or outputs) at a time.
//!
//! For SIMD bodies query tokens are interleaved: a register holds four components of each of its tokens, and four
//! components of a row are broadcast against it. Each 32-bit lane of the sums then belongs to one query token, like
//! each entry of a row of a centroid table, so nothing is ever summed across lanes.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx_vnni;
pub(super) mod portable;

use super::{aligned::AlignedVec, passages::LANES};
use crate::{Isa, int8_rows::assert_int8_rows};

/// Int8 rows, interleaved.
#[derive(Debug)]
pub(super) struct Panels {
    /// Bytes of an interleaved row.
    width: usize,
    /// Rows in a panel.
    lanes: usize,
    /// `(ceil(Q / lanes), width / 4, lanes, 4) i8`; zeros after the last row.
    data: AlignedVec<i8>,
    /// Sum of each row's components, `(Q rounded up to a multiple of lanes) i32`.
    sums: Vec<i32>,
}

/// Number of rows in a panel of `isa`: the number of i32 in a register.
pub(super) fn lanes(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 2 * LANES,
        Isa::AvxVnni | Isa::Avx2 | Isa::Portable => LANES,
    }
}

impl Panels {
    /// Interleaves `rows (Q, D) i8`, with components in the given `order`, zero for `None`.
    ///
    /// # Panics
    /// If a component is -128, which the proofs of the kernels exclude, if rows are not whole, or if the length of
    /// `order` is not a multiple of 4.
    pub(super) fn in_order(isa: Isa, dim: usize, rows: &[i8], order: &[Option<usize>]) -> Self {
        assert!(order.len().is_multiple_of(4), "order of {} components, not a multiple of 4", order.len());
        assert_int8_rows(dim, rows);
        let (lanes, width) = (lanes(isa), order.len());
        let padded = (rows.len() / dim).next_multiple_of(lanes);
        let rows = rows.chunks_exact(dim);
        let mut sums: Vec<i32> = rows.clone().map(|row| row.iter().map(|&q| i32::from(q)).sum()).collect();
        let ordered = rows.flat_map(|row| order.iter().map(|component| component.map_or(0, |d| row[d])));
        let mut ordered: Vec<i8> = ordered.collect();
        ordered.resize(padded * width, 0);
        sums.resize(padded, 0);
        let mut data = AlignedVec::zeros(ordered.len());
        if width > 0 {
            let panels = data.chunks_exact_mut(lanes * width).zip(ordered.chunks_exact(lanes * width));
            panels.for_each(|(panel, rows)| interleave(lanes, rows.chunks_exact(width), panel));
        }
        Self { width, lanes, data, sums }
    }

    /// Number of panels.
    pub(super) fn len(&self) -> usize {
        self.sums.len() / self.lanes
    }

    /// Rows in a panel.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Bytes of an interleaved row.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Panels `first..first + num`, `(num, width / 4, lanes, 4) i8`.
    pub(super) fn panels(&self, first: usize, num: usize) -> &[i8] {
        let panel = self.lanes * self.width;
        &self.data[first * panel..(first + num) * panel]
    }

    /// Sums of the components of a panel's rows, `(lanes) i32`.
    pub(super) fn sums(&self, panel: usize) -> &[i32] {
        &self.sums[panel * self.lanes..][..self.lanes]
    }
}

/// Rows `(lanes, width) i8` of one panel -> `(width / 4, lanes, 4) i8`.
pub(super) fn interleave<'a>(lanes: usize, rows: impl Iterator<Item = &'a [i8]>, panel: &mut [i8]) {
    for (lane, row) in rows.enumerate() {
        for (four, out) in row.as_chunks::<4>().0.iter().zip(panel[lane * 4..].chunks_mut(lanes * 4)) {
            out[..4].copy_from_slice(four);
        }
    }
}
