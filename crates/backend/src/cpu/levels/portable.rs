//! Unpacking in plain Rust.

use super::LevelTable;

/// Unpacks one `row (W) u8` into `out (D) u8`.
#[inline(always)]
pub(in crate::cpu) fn unpack(table: &LevelTable, row: &[u8], out: &mut [u8]) {
    if row.is_empty() {
        out.fill(0);
        return;
    }
    let mask = ((1u16 << table.nbits) - 1) as u8;
    for (plane, out) in out.chunks_exact_mut(row.len()).enumerate() {
        for (out, &packed) in out.iter_mut().zip(row) {
            *out = table.bytes[(packed >> (plane * table.nbits as usize) & mask) as usize];
        }
    }
}
