//! Arrays of one number per embedding, for 32 embeddings: they fill whole registers of every instruction set,
//! and loops over them compile to operations on these registers.

/// Number of embeddings that are compressed side by side: as many as one AVX-512 register has u16.
pub(super) const LANES: usize = 32;

/// One number per embedding, aligned so that no register straddles two cache lines.
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
