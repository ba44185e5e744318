//! Unpacking in plain Rust.

use super::LevelTable;
use crate::layout::window_label;

/// Unpacks one `row (W) u8` into `out (D) u8`.
#[inline(always)]
pub(in crate::cpu) fn unpack(table: &LevelTable, row: &[u8], out: &mut [u8]) {
    let Some(&first) = row.first() else {
        out.fill(0);
        return;
    };
    let mask = ((1u16 << table.nbits) - 1) as u8;
    for (plane, out) in out.chunks_exact_mut(row.len()).enumerate() {
        let shift = plane * table.nbits as usize;
        if table.trellis {
            let following = row[1..].iter().chain([&first]);
            for ((out, &packed), &following) in out.iter_mut().zip(row).zip(following) {
                let window = (u16::from_le_bytes([packed, following]) >> shift) as u8;
                *out = table.bytes[window_label(window, table.nbits) as usize];
            }
        } else {
            for (out, &packed) in out.iter_mut().zip(row) {
                *out = table.bytes[(packed >> shift & mask) as usize];
            }
        }
    }
}
