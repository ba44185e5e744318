//! Numbers that begin with a cache line, as those that registers of 64 bytes are read from should: from anywhere else
//! each such read takes two lines, and large blocks of glibc's allocator begin 16 bytes behind one. And lines that are
//! asked for ahead of time.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// A slice whose first element begins a line. A clone's may begin anywhere, which costs time and nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct AlignedVec<T> {
    memory: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> AlignedVec<T> {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let mut lined = Self { memory: Vec::new(), first: 0, len: 0 };
        lined.resize(len);
        lined
    }

    /// `len` elements: any of those that were here before, and zeros.
    pub(super) fn resize(&mut self, len: usize) {
        let most = LINE / size_of::<T>();
        self.memory.resize(len + most, T::default());
        self.first = self.memory.as_ptr().align_offset(LINE).min(most);
        self.len = len;
    }

    /// Elements that there is memory for.
    pub(super) fn capacity(&self) -> usize {
        self.memory.capacity()
    }
}

impl<T> AlignedVec<T> {
    /// `num` elements from `at` on, with one addition more than a slice asks for: `lined[at..][..num]` looks for the
    /// whole slice first, which cost `maxsim` at 0 bits a third of its speed. An end beyond the slice is found out from
    /// a line behind it on; what is read until then is zeros or old elements.
    #[inline(always)]
    pub(super) fn part(&self, at: usize, num: usize) -> &[T] {
        &self.memory[self.first + at..][..num]
    }

    /// Asks for the line of the element `at`. No bound is looked at: that took `maxsim` longer than what was asked for.
    #[inline(always)]
    pub(super) fn prefetch(&self, at: usize) {
        prefetch_at(self.memory.as_ptr().wrapping_add(self.first + at));
    }
}

impl<T> Deref for AlignedVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.first..][..self.len]
    }
}

impl<T> DerefMut for AlignedVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.first..][..self.len]
    }
}

/// Asks for the cache line in which `line` begins, where there is an instruction for it.
#[inline(always)]
pub(super) fn prefetch<T>(line: &[T]) {
    prefetch_at(line.as_ptr());
}

/// Asks for the cache line that `at` lies in, if there is one.
#[inline(always)]
fn prefetch_at<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 machine has SSE, and a prefetch reads nothing.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_with_a_line_at_any_size() {
        let mut lined = AlignedVec::<i32>::zeros(3);
        for len in [3, 0, 1, 100, 16, 1 << 18, 5] {
            lined.resize(len);
            assert_eq!(lined.len(), len);
            assert_eq!(lined.as_ptr().addr() % LINE, 0, "{len} elements");
            lined.fill(7);
        }
        assert_eq!(*lined.clone(), [7; 5]);
    }
}
