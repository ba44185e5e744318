//! Selection of the largest keys, in order, for `probe` and `top_k`.

/// The `keep` largest of the keys that were pushed, in any order.
///
/// Keys are collected in a buffer of `2 * keep` keys. When it is full, a selection halves it, and the smallest
/// remaining key becomes the floor: later keys below it are rejected.
pub(super) struct Best {
    keep: usize,
    floor: Option<u64>,
    keys: Vec<u64>,
}

impl Best {
    /// An empty selection of `keep` keys.
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, floor: None, keys: Vec::new() }
    }

    /// The key below which new keys are rejected, if there is one yet.
    pub(super) fn floor(&self) -> Option<u64> {
        self.floor
    }

    /// Adds a key, unless it is below the floor.
    #[inline(always)]
    pub(super) fn push(&mut self, key: u64) {
        if self.keep == 0 || self.floor.is_some_and(|floor| key < floor) {
            return;
        }
        self.keys.push(key);
        if self.keys.len() / 2 >= self.keep {
            self.shrink();
        }
    }

    /// Drops all but the `keep` largest keys.
    fn shrink(&mut self) {
        let (_, &mut floor, _) = self.keys.select_nth_unstable_by(self.keep - 1, |a, b| b.cmp(a));
        self.keys.truncate(self.keep);
        self.floor = Some(floor);
    }

    /// The keys, largest first.
    pub(super) fn into_sorted(mut self) -> Vec<u64> {
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.keys.truncate(self.keep);
        self.keys
    }
}

/// A key that orders by `value`, and among equals ranks the lower `id` higher.
pub(super) fn key(value: i32, id: u32) -> u64 {
    u64::from(value as u32 ^ 1 << 31) << 32 | u64::from(!id)
}

/// The `value` of a key.
pub(super) fn value(key: u64) -> i32 {
    ((key >> 32) as u32 ^ 1 << 31) as i32
}

/// The `id` of a key.
pub(super) fn id(key: u64) -> u32 {
    !(key as u32)
}
