//! A vector aligned to a cache line of 64 bytes, and prefetching of cache lines. Loads of 64 bytes at multiples of 64
//! from the start of an aligned vector never cross a line. A plain `Vec` does not ensure that: large blocks of glibc's
//! allocator begin 16 bytes after the start of a line.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// A `Vec` whose first element is aligned to a cache line. A clone may be unaligned, which costs time only.
#[derive(Clone, Debug, Default)]
pub(super) struct AlignedVec<T> {
    memory: Vec<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> AlignedVec<T> {
    /// Elements beyond the length, so that one of the first is aligned.
    const SLACK: usize = LINE / size_of::<T>();

    /// A vector of `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        // Memory that comes as zeros from the system is touched by whoever writes it first.
        let memory = vec![T::default(); len + Self::SLACK];
        let first = Self::first(&memory);
        Self { memory, first, len }
    }

    /// Changes the length; afterwards each element is an old one or zero, in no defined order.
    pub(super) fn resize(&mut self, len: usize) {
        self.memory.resize(len + Self::SLACK, T::default());
        self.first = Self::first(&self.memory);
        self.len = len;
    }

    /// Index of the first element that is aligned to a line.
    fn first(memory: &[T]) -> usize {
        memory.as_ptr().align_offset(LINE).min(Self::SLACK)
    }

    /// Number of elements that the allocation holds.
    pub(super) fn capacity(&self) -> usize {
        self.memory.capacity()
    }
}

impl<T> AlignedVec<T> {
    /// Returns `num` elements from `at` on, with a single bounds check against the allocation. `vec[at..][..num]`
    /// would first compute the slice of the whole vector, which costs `maxsim` at 0 bits a third of its speed. The
    /// result may reach one line past the end of the vector, where elements are zeros or old ones.
    #[inline(always)]
    pub(super) fn part(&self, at: usize, num: usize) -> &[T] {
        &self.memory[self.first + at..][..num]
    }

    /// Prefetches the cache line of element `at`. No bound is checked: a check costs `maxsim` more time than the
    /// prefetch saves.
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

/// Prefetches the cache line in which `line` begins, on machines that have an instruction for it.
#[inline(always)]
pub(super) fn prefetch<T>(line: &[T]) {
    prefetch_at(line.as_ptr());
}

/// Prefetches the cache line that contains `at`; any address is allowed.
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
        let mut aligned = AlignedVec::<i32>::zeros(3);
        for len in [3, 0, 1, 100, 16, 1 << 18, 5] {
            aligned.resize(len);
            assert_eq!(aligned.len(), len);
            assert_eq!(aligned.as_ptr().addr() % LINE, 0, "{len} elements");
            aligned.fill(7);
        }
        assert_eq!(*aligned.clone(), [7; 5]);
    }
}
