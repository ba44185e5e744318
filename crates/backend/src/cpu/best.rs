//! The best few of many, in order: what `probe` and `top_k` share.

/// Keeps the `keep` largest of the keys that are pushed, in whatever order.
///
/// Keys gather in a buffer of twice the size; when it is full, a selection halves it, and the least
/// key that survives becomes the floor under which later ones are turned away.
pub(super) struct Best {
    keep: usize,
    floor: Option<u64>,
    keys: Vec<u64>,
}

impl Best {
    /// Keeps `keep` keys.
    pub(super) fn new(keep: usize) -> Self {
        Self { keep, floor: None, keys: Vec::new() }
    }

    /// The key under which newcomers are turned away, once there is one.
    pub(super) fn floor(&self) -> Option<u64> {
        self.floor
    }

    /// Offers one key.
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

    /// Drops all but the best `keep`.
    fn shrink(&mut self) {
        let (_, &mut floor, _) = self.keys.select_nth_unstable_by(self.keep - 1, |a, b| b.cmp(a));
        self.keys.truncate(self.keep);
        self.floor = Some(floor);
    }

    /// The best, largest first.
    pub(super) fn into_sorted(mut self) -> Vec<u64> {
        self.keys.sort_unstable_by(|a, b| b.cmp(a));
        self.keys.truncate(self.keep);
        self.keys
    }
}

/// A key that sorts by `value`, and among equals puts the lower `id` first.
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
