//! Unpacking with AVX-512, up to 128 components at a time, in a permuted order: see [`order`].
//!
//! At 1 and 2 bits one `vpermb` fills each quadword with eight consecutive bytes, which begin at every fourth byte of
//! the row; `vpmultishiftqb` extracts the windows of eight components from a quadword, `gf2p8affineqb` turns them into
//! labels (by the XOR of bits of [`crate::trellis_label`], or the lowest bits for buckets), and `vpshufb` looks up the
//! levels.

use super::LevelTable;
use std::arch::x86_64::*;

/// Bytes past an unpacked row that may be overwritten.
pub(in crate::cpu) const SLACK: usize = 64;

/// Bytes of a row that one step unpacks: 128 components at most.
fn step(nbits: u8) -> usize {
    match nbits {
        1 => 16,
        2 => 32,
        _ => 64,
    }
}

/// The component at each byte of an unpacked row. `None` stands for holes: at 1 and 2 bits, rows whose number
/// of bytes is not a multiple of 4 have some.
pub(in crate::cpu) fn order(nbits: u8, dim: usize) -> Vec<Option<usize>> {
    let width = crate::packed_row_bytes(dim, nbits);
    let mut order = Vec::new();
    for at in (0..width).step_by(step(nbits)) {
        let bytes = step(nbits).min(width - at);
        match nbits {
            1 | 2 => {
                for register in 0..2 {
                    for out in 0..bytes.next_multiple_of(4) * 64 / step(nbits) {
                        let (byte, plane) = window_of(nbits, register, out);
                        order.push((at + byte < width).then_some(plane * width + at + byte));
                    }
                }
            }
            4 => {
                order.extend((at..at + bytes).map(Some));
                order.extend((width + at..width + at + bytes).map(Some));
            }
            _ => order.extend((at..at + bytes).map(Some)),
        }
    }
    order
}

/// The window that byte `out` of a register holds, at 1 and 2 bits, as the byte of the step and the plane.
fn window_of(nbits: u8, register: usize, out: usize) -> (usize, usize) {
    let (quad, lane) = (out / 8, out % 8);
    match nbits {
        2 => (quad * 4 + lane % 4, register * 2 + lane / 4),
        _ => (quad / 2 * 4 + lane % 4, register * 4 + quad % 2 * 2 + lane / 4),
    }
}

/// A level table in the form that the instructions take.
pub(in crate::cpu) struct Unpacker {
    nbits: u8,
    /// Bytes of a packed row.
    width: usize,
    /// Bytes that each quadword of a register gathers.
    gather: [u8; 64],
    /// [`Self::gather`] for a row of one step, whose first bytes follow its last.
    ring: [u8; 64],
    /// Position of each window's first bit in its quadword, for the windows of the two registers.
    shifts: [[u8; 64]; 2],
    /// The matrix that turns a window into a label: [`label_matrix`].
    matrix: u64,
    bytes: [u8; 256],
}

impl Unpacker {
    pub(in crate::cpu) fn new(table: &LevelTable, dim: usize) -> Self {
        let nbits = table.nbits;
        let first_of_quad = |quad: usize| window_of(nbits, 0, quad * 8).0;
        let shift = |register, out| {
            let (byte, plane) = window_of(nbits, register, out);
            ((byte - first_of_quad(out / 8)) * 8 + plane * nbits as usize) as u8
        };
        let width = crate::packed_row_bytes(dim, nbits);
        Self {
            nbits,
            width,
            ring: std::array::from_fn(|out| ((first_of_quad(out / 8) + out % 8) % width.max(1)) as u8),
            gather: std::array::from_fn(|out| (first_of_quad(out / 8) + out % 8) as u8),
            shifts: std::array::from_fn(|register| std::array::from_fn(|out| shift(register, out))),
            matrix: label_matrix(table),
            bytes: table.bytes,
        }
    }

    /// Unpacks `rows (n, W) u8` into rows of `stride` bytes; up to [`SLACK`] bytes after the last are overwritten.
    ///
    /// # Panics
    /// If `out` is shorter than `n * stride + SLACK`, or `stride` than an unpacked row.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    pub(in crate::cpu) fn unpack(&self, rows: &[u8], stride: usize, out: &mut [u8]) {
        if self.width == 0 {
            return;
        }
        let num = rows.len() / self.width;
        let per_byte = 8 / self.nbits as usize;
        assert!(self.width.next_multiple_of(4) * per_byte <= stride, "unpacked rows do not overlap");
        assert!(out.len() >= num * stride + SLACK, "stores end within the output");
        let out = out.as_mut_ptr();
        if matches!(self.nbits, 1 | 2) && self.width <= step(self.nbits) {
            // SAFETY: rows of at most `stride` bytes, and the bytes that the last store writes past them, are in `out`.
            return unsafe { self.rings(rows, stride, out) };
        }
        for (t, row) in rows.chunks_exact(self.width).enumerate() {
            let out = out.wrapping_add(t * stride);
            // SAFETY: as above.
            unsafe {
                match self.nbits {
                    1 => self.windows::<16>(row, out),
                    2 => self.windows::<32>(row, out),
                    4 => self.halves(row, out),
                    _ => self.whole(row, out),
                }
            }
        }
    }

    /// Rows of 1 or 2 bits that are a single step each: the gather indices wrap around the end of a row.
    ///
    /// # Safety
    /// As many rows of `stride` bytes as there are `rows`, and [`SLACK`] bytes, can be written to `out`.
    // Not inlined: among the loops of a caller the constants would not stay in registers.
    #[inline(never)]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    unsafe fn rings(&self, rows: &[u8], stride: usize, out: *mut u8) {
        let (ring, shifts) = (load(&self.ring), [load(&self.shifts[0]), load(&self.shifts[1])]);
        let (lookup, matrix) = (self.lookup(), _mm512_set1_epi64(self.matrix as i64));
        let half = self.width.next_multiple_of(4) * 64 / step(self.nbits);
        for (t, row) in rows.chunks_exact(self.width).enumerate() {
            let out = out.wrapping_add(t * stride);
            // Bytes after the row are not gathered. SAFETY: as many bytes are read as the row has.
            let bytes = unsafe {
                match row.len() {
                    16 => _mm512_castsi128_si512(_mm_loadu_si128(row.as_ptr().cast())),
                    32 => _mm512_castsi256_si512(_mm256_loadu_si256(row.as_ptr().cast())),
                    _ => load_part(row),
                }
            };
            let quads = _mm512_permutexvar_epi8(ring, bytes);
            for (register, shifts) in shifts.into_iter().enumerate() {
                let windows = _mm512_multishift_epi64_epi8(shifts, quads);
                let labels = _mm512_gf2p8affine_epi64_epi8::<0>(windows, matrix);
                // SAFETY: two halves fill the row, as `order` defines; bytes after them are within `SLACK`.
                unsafe {
                    let half = out.wrapping_add(register * half);
                    _mm512_storeu_si512(half.cast(), _mm512_shuffle_epi8(lookup, labels));
                }
            }
        }
    }

    /// One row of 1 or 2 bits, `STEP` bytes at a time.
    ///
    /// # Safety
    /// An unpacked row and [`SLACK`] bytes can be written to `out`.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    unsafe fn windows<const STEP: usize>(&self, row: &[u8], mut out: *mut u8) {
        let gather = load(&self.gather);
        let matrix = _mm512_set1_epi64(self.matrix as i64);
        let lookup = self.lookup();
        for at in (0..row.len()).step_by(STEP) {
            let left = row.len() - at;
            let mut bytes = load_part(&row[at..]);
            if left <= STEP {
                // The first byte of the ring follows its last; at most 32 precede it.
                bytes = _mm512_mask_set1_epi8(bytes, 1 << left, row[0] as i8);
            }
            let quads = _mm512_permutexvar_epi8(gather, bytes);
            for shifts in &self.shifts {
                let windows = _mm512_multishift_epi64_epi8(load(shifts), quads);
                let labels = _mm512_gf2p8affine_epi64_epi8::<0>(windows, matrix);
                // SAFETY: a step fills two times `bytes.next_multiple_of(4) * 64 / STEP` bytes of the row, as `order`
                // defines; bytes after them are within `SLACK`.
                unsafe {
                    _mm512_storeu_si512(out.cast(), _mm512_shuffle_epi8(lookup, labels));
                    out = out.add(left.min(STEP).next_multiple_of(4) * 64 / STEP);
                }
            }
        }
    }

    /// One row of 4 bits: 64 low halves, then 64 high ones.
    ///
    /// # Safety
    /// As for [`Self::windows`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    unsafe fn halves(&self, row: &[u8], mut out: *mut u8) {
        let (lookup, low) = (self.lookup(), _mm512_set1_epi8(15));
        for at in (0..row.len()).step_by(64) {
            let bytes = load_part(&row[at..]);
            for names in [bytes, _mm512_srli_epi16::<4>(bytes)] {
                // SAFETY: as `order` defines.
                unsafe {
                    let levels = _mm512_shuffle_epi8(lookup, _mm512_and_si512(names, low));
                    _mm512_storeu_si512(out.cast(), levels);
                    out = out.add((row.len() - at).min(64));
                }
            }
        }
    }

    /// One row of 8 bits: a table of 256 in four registers.
    ///
    /// # Safety
    /// As for [`Self::windows`].
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    unsafe fn whole(&self, row: &[u8], out: *mut u8) {
        let quarter = |i: usize| load(self.bytes[64 * i..][..64].try_into().expect("64 of 256"));
        let quarters: [__m512i; 4] = std::array::from_fn(quarter);
        for at in (0..row.len()).step_by(64) {
            let bytes = load_part(&row[at..]);
            let low = _mm512_permutex2var_epi8(quarters[0], bytes, quarters[1]);
            let high = _mm512_permutex2var_epi8(quarters[2], bytes, quarters[3]);
            let levels = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
            // SAFETY: `at` is within the row.
            unsafe { _mm512_storeu_si512(out.add(at).cast(), levels) };
        }
    }

    /// The first sixteen entries in every quarter of a register.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
    fn lookup(&self) -> __m512i {
        // SAFETY: sixteen bytes of a table of 256.
        _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(self.bytes.as_ptr().cast()) })
    }
}

/// The matrix by which `gf2p8affineqb` turns a window into a label: bit `i` of the label is the XOR of the window's
/// bits that byte `7 - i` of the matrix selects.
fn label_matrix(table: &LevelTable) -> u64 {
    let bits = |i: usize| match (table.trellis, table.nbits as usize) {
        (true, nbits) if i < 4 => 0b11 << i | 1 << (i + 8 - nbits),
        (false, nbits) if i < nbits => 1 << i,
        _ => 0u16,
    };
    u64::from_be_bytes(std::array::from_fn(|i| bits(i) as u8))
}

/// A register from memory.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are one register.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// The first 64 bytes, padded with zeros if there are fewer.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni,avx512vbmi,gfni")]
fn load_part(bytes: &[u8]) -> __m512i {
    // SAFETY: only bytes within the slice are read.
    unsafe {
        if bytes.len() < 64 {
            _mm512_maskz_loadu_epi8((1 << bytes.len()) - 1, bytes.as_ptr().cast())
        } else {
            _mm512_loadu_si512(bytes.as_ptr().cast())
        }
    }
}
