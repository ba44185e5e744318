//! The best centroids of each query token, from its column of the centroid table.
//!
//! Eight columns at a time are read row by row; a row in which no lane exceeds its column's floor,
//! as most rows are, costs one compare.

use super::{
    best::{Best, id, key, value},
    passages::{LANES, Table},
};

/// `table (K, Q)` -> the best `min(nprobe, K)` of each column, best first, `(Q, min(nprobe, K))`, and
/// the best entry left out of each, or else the last one taken, `(Q) i32`.
pub(super) fn probe(table: &Table, nprobe: usize) -> (Vec<(u32, i32)>, Vec<i32>) {
    let take = nprobe.min(table.num_centroids());
    let keep = (take + 1).min(table.num_centroids());
    let groups = (0..table.query_len()).step_by(LANES);
    let columns: Vec<Vec<u64>> = groups.flat_map(|first| best_of_group(table, first, keep)).collect();
    let columns = || columns.iter().take(table.query_len());
    let taken = columns().flat_map(|keys| keys[..take].iter().map(|&key| (id(key), value(key)))).collect();
    let left_out = columns().map(|keys| value(keys[keep - 1])).collect();
    (taken, left_out)
}

/// The best `keep` entries of the eight columns from `first` on.
fn best_of_group(table: &Table, first: usize, keep: usize) -> Vec<Vec<u64>> {
    let mut best: [Best; LANES] = std::array::from_fn(|_| Best::new(keep));
    // Codes ascend, so an entry equal to the floor's is worse than the floor: only a larger one counts.
    // Before there is one, any entry exceeds it: none is below `-TABLE_LIMIT`.
    let mut floors = [i32::MIN; LANES];
    for code in 0..table.num_centroids() {
        let row: &[i32; LANES] = table.padded_row(code)[first..first + LANES].try_into().expect("whole groups");
        let exceeds = row.iter().zip(&floors).fold(false, |any, (entry, floor)| any | (entry > floor));
        if exceeds {
            for ((best, floor), &entry) in best.iter_mut().zip(&mut floors).zip(row) {
                if entry > *floor {
                    best.push(key(entry, code as u32));
                    *floor = best.floor().map_or(i32::MIN, value);
                }
            }
        }
    }
    best.into_iter().map(Best::into_sorted).collect()
}
