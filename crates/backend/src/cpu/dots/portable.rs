//! Dot products in plain Rust, of bytes that were widened to i16. Every instruction set has fast products of
//! i16 whose neighbours are added as i32 (`pmaddwd` on any x86-64, `smull` on ARM), but compilers do not find
//! them. The crate `wide` has them: with it the portable bodies are 2.6 to 7 times as fast on x86-64 as with
//! loops over i8.

use wide::{i16x8, i32x4};

/// Components per multiplication.
const LANES: usize = 8;
/// Rows that share the loads of another row.
const ROWS: usize = 4;

/// Rows of bytes as i16, each with zeros up to a multiple of [`LANES`].
pub(in crate::cpu) struct Wide {
    dim: usize,
    stride: usize,
    data: Vec<i16>,
}

impl Wide {
    /// `num` rows of `dim` zeros.
    pub(in crate::cpu) fn zeros(dim: usize, num: usize) -> Self {
        let stride = dim.next_multiple_of(LANES);
        Self { dim, stride, data: vec![0; stride * num] }
    }

    /// The rows of `bytes (n, dim) i8`.
    pub(in crate::cpu) fn new(dim: usize, bytes: &[i8]) -> Self {
        let mut rows = Self::zeros(dim, bytes.len() / dim);
        bytes.chunks_exact(dim).enumerate().for_each(|(i, row)| rows.set(i, 0, row));
        rows
    }

    /// Replaces components of row `i` from `first` on.
    #[inline(always)]
    pub(in crate::cpu) fn set(&mut self, i: usize, first: usize, bytes: &[i8]) {
        let row = &mut self.data[i * self.stride..][..self.dim][first..];
        row.iter_mut().zip(bytes).for_each(|(out, &byte)| *out = byte.into());
    }

    /// Row `i`, zeros included.
    #[inline(always)]
    pub(in crate::cpu) fn row(&self, i: usize) -> &[i16] {
        &self.data[i * self.stride..][..self.stride]
    }

    /// Calls `visit` with the number of each row and its exact dot product with `other`, a row of the same length. A
    /// sum of up to 2^15 products, each at most `128 * 128` in absolute value, is at most `2^29`.
    #[inline(always)]
    pub(in crate::cpu) fn dots(&self, other: &[i16], mut visit: impl FnMut(usize, i32)) {
        let four = self.data.chunks_exact(ROWS * self.stride);
        let (num, rest) = (four.len() * ROWS, four.remainder());
        for (i, rows) in four.enumerate() {
            let rows: [&[i16]; ROWS] = std::array::from_fn(|r| &rows[r * self.stride..][..self.stride]);
            dots(rows, other).into_iter().zip(i * ROWS..).for_each(|(dot, row)| visit(row, dot));
        }
        for (row, i) in rest.chunks_exact(self.stride).zip(num..) {
            visit(i, dots([row], other)[0]);
        }
    }
}

/// Dot products of a few rows with another one.
#[inline(always)]
fn dots<const R: usize>(rows: [&[i16]; R], other: &[i16]) -> [i32; R] {
    let other = other.as_chunks::<LANES>().0;
    let rows = rows.map(|row| &row.as_chunks::<LANES>().0[..other.len()]);
    let mut sums = [i32x4::ZERO; R];
    for (i, &other) in other.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum += i16x8::new(row[i]).dot(i16x8::new(other));
        }
    }
    sums.map(i32x4::reduce_add)
}
