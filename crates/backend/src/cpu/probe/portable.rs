//! `probe` in plain Rust, eight lanes at a time; the other bodies are this one, compiled for their instruction set.

use crate::cpu::{
    best::{Best, key, value},
    passages::{GROUP, LANES, Table},
};

/// The best `keep` entries of the eight columns from `first` on, each best first.
#[inline(always)]
pub(super) fn run(table: &Table, first: usize, keep: usize) -> Vec<Vec<u64>> {
    let mut best: [Best; LANES] = std::array::from_fn(|_| Best::new(keep));
    // Codes ascend, so an entry equal to the floor ranks below it: only a larger one counts.
    // The initial floor is below every entry, since none is below `-TABLE_LIMIT`.
    let mut floors = [i32::MIN; LANES];
    for (group, maxima) in table.maxima().chunks_exact(table.stride()).enumerate() {
        if !exceeds(eight(maxima, first), &floors) {
            continue;
        }
        for code in group * GROUP..table.num_centroids().min((group + 1) * GROUP) {
            let row = eight(table.padded_row(code), first);
            if exceeds(row, &floors) {
                for ((best, floor), &entry) in best.iter_mut().zip(&mut floors).zip(row) {
                    if entry > *floor {
                        best.push(key(entry, code as u32));
                        *floor = best.floor().map_or(i32::MIN, value);
                    }
                }
            }
        }
    }
    best.into_iter().map(Best::into_sorted).collect()
}

/// Eight entries of a row from `first` on.
#[inline(always)]
fn eight(row: &[i32], first: usize) -> &[i32; LANES] {
    row[first..first + LANES].try_into().expect("whole groups")
}

/// Whether any entry is above its floor.
#[inline(always)]
fn exceeds(row: &[i32; LANES], floors: &[i32; LANES]) -> bool {
    row.iter().zip(floors).fold(false, |any, (entry, floor)| any | (entry > floor))
}
