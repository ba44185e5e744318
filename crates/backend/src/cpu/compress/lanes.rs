//! A number for each of 32 embeddings: whole registers of any instruction set, in loops that compile to them.

/// Embeddings side by side: one AVX-512 register of u16.
pub(super) const LANES: usize = 32;

/// A number of each embedding, where no register straddles two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct Lanes<T>(pub(super) [T; LANES]);

impl<T: Copy + Default> Default for Lanes<T> {
    #[inline(always)]
    fn default() -> Self {
        Self([T::default(); LANES])
    }
}

impl<T: Copy> Lanes<T> {
    /// `out[lane] = f(self[lane], lane)`.
    #[inline(always)]
    pub(super) fn map<U: Copy + Default>(&self, f: impl Fn(T, usize) -> U) -> Lanes<U> {
        let mut out = Lanes::default();
        for lane in 0..LANES {
            out.0[lane] = f(self.0[lane], lane);
        }
        out
    }
}
