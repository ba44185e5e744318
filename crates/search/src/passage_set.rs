//! Sets of passages that a search may find: of a filter, of pids, or all that are not deleted.

use crate::{Error, Filter, ResidentSegment, Result, Searcher, filter};
use lru::LruCache;
use selvedge_backend::{Backend, DeviceIndex, DeviceSet, Pid};
use selvedge_index::RoaringBitmap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Number of filters whose passages are kept, of a generation and of each segment. A set takes at most about a bit per
/// passage.
const CACHED_FILTERS: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// Set of passages that a search may find; none of them is deleted. It belongs to the [`Searcher`] that made it: pids
/// are other ones in another generation.
#[derive(Clone, Debug)]
pub struct PassageSet {
    owner: Arc<()>,
    segments: Vec<SegmentSet>,
    len: usize,
    /// The set in the memory of a device, from its first search there on.
    on_device: Arc<OnceLock<DeviceSet>>,
    /// Whether these are all passages that are not deleted, rather than a restriction.
    is_everything: bool,
}

/// Part of a set that is in one segment. Pids are within the segment.
#[derive(Clone, Debug)]
pub(crate) struct SegmentSet {
    first_pid: Pid,
    pub(crate) passages: Arc<RoaringBitmap>,
    /// The passages as a list, of the set of all that are not deleted.
    pids: OnceLock<Arc<[Pid]>>,
}

/// The most recently used filters and what they found. The key is what Debug writes, which tells any two filters apart:
/// as text, a [`Value::Text`](selvedge_index::Value) made by hand can look like a date.
pub(crate) struct FilterCache<T> {
    found: Mutex<LruCache<String, Arc<T>>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Counters of the filters whose passages a searcher keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterStats {
    /// Filters that are kept.
    pub kept: usize,
    /// Times that a filter was found among them.
    pub hits: u64,
    /// Times that the passages of a filter were looked for in the columns.
    pub misses: u64,
}

impl<T> FilterCache<T> {
    /// Makes an empty cache.
    pub(crate) fn new() -> Self {
        let found = Mutex::new(LruCache::new(CACHED_FILTERS));
        Self { found, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Returns what is kept for a filter, or makes and keeps it. Two threads may make it at the same time.
    fn get(&self, key: &str, make: impl FnOnce() -> Result<Arc<T>>) -> Result<Arc<T>> {
        if let Some(found) = self.lock().get(key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(Arc::clone(found));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let made = make()?;
        self.lock().put(key.to_owned(), Arc::clone(&made));
        Ok(made)
    }

    /// Counts the filters that are kept, and how often they were of use.
    pub(crate) fn stats(&self) -> FilterStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FilterStats { kept: self.lock().len(), hits: count(&self.hits), misses: count(&self.misses) }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<String, Arc<T>>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PassageSet {
    /// Number of passages.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set has no passage.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pids of the passages, ascending.
    pub fn pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.segments.iter().flat_map(|segment| segment.passages.iter().map(|pid| segment.first_pid + pid))
    }

    /// Passages of each segment, by their pids within it.
    pub fn by_segment(&self) -> impl Iterator<Item = &RoaringBitmap> {
        self.segments.iter().map(|segment| &*segment.passages)
    }

    /// Whether the set leaves out passages that are not deleted. A search depends on this, and not on whether there are
    /// deleted passages: its hits are the same without those.
    pub(crate) fn is_restriction(&self) -> bool {
        !self.is_everything
    }

    /// Part in the segment at a place.
    pub(crate) fn segment(&self, at: usize) -> &SegmentSet {
        &self.segments[at]
    }

    /// Passages of the segment at a place, by their pids within it, as a list.
    ///
    /// The list of all passages that are not deleted is kept: every exhaustive search needs it. That of a filter is
    /// made for each search: kept beside the bitmaps of 128 filters, lists would be most of their memory, and each
    /// passage in one is scored anyway.
    pub(crate) fn pids_of(&self, at: usize) -> Arc<[Pid]> {
        let SegmentSet { passages, pids, .. } = &self.segments[at];
        let list = || passages.iter().collect();
        if self.is_everything { Arc::clone(pids.get_or_init(list)) } else { list() }
    }

    /// Passages of this set that are in another one of the same searcher, too.
    ///
    /// # Errors
    /// [`Error::OtherGeneration`] if the sets belong to different searchers.
    pub fn intersection(&self, other: &Self) -> Result<Self> {
        other.check_owner(&self.owner)?;
        let both = |(a, b): (&SegmentSet, &SegmentSet)| SegmentSet::new(a.first_pid, &*a.passages & &*b.passages);
        Ok(Self::new(&self.owner, self.segments.iter().zip(&other.segments).map(both).collect()))
    }

    fn new(owner: &Arc<()>, segments: Vec<SegmentSet>) -> Self {
        let len = segments.iter().map(|segment| segment.passages.len() as usize).sum();
        Self { owner: Arc::clone(owner), segments, len, on_device: Arc::default(), is_everything: false }
    }

    /// The set in the memory of a device, which has the index of the searcher that made it.
    ///
    /// # Errors
    /// [`Error::Backend`] if the device fails.
    pub(crate) fn on_device(&self, index: &dyn DeviceIndex, num_pids: usize) -> Result<&DeviceSet> {
        if let Some(set) = self.on_device.get() {
            return Ok(set);
        }
        let mut bits = vec![0; num_pids.div_ceil(32)];
        for pid in self.pids() {
            bits[pid as usize / 32] |= 1 << (pid % 32);
        }
        // Two threads may upload it at the same time.
        let set = index.load_set(&bits)?;
        Ok(self.on_device.get_or_init(|| set))
    }

    /// Checks that the set belongs to a searcher.
    fn check_owner(&self, owner: &Arc<()>) -> Result<()> {
        if Arc::ptr_eq(&self.owner, owner) { Ok(()) } else { Err(Error::OtherGeneration) }
    }
}

impl SegmentSet {
    fn new(first_pid: Pid, passages: RoaringBitmap) -> Self {
        Self { first_pid, passages: passages.into(), pids: OnceLock::new() }
    }
}

impl<B: Backend> Searcher<B> {
    /// Returns the passages of these pids, in any order and with any repetitions, that are not deleted.
    ///
    /// # Errors
    /// [`Error::NoSuchPassage`] with the largest pid if it is out of range.
    pub fn passages(&self, pids: &[Pid]) -> Result<PassageSet> {
        let num_passages = self.num_pids();
        if let Some(&pid) = pids.iter().max().filter(|&&pid| pid as usize >= num_passages) {
            return Err(Error::NoSuchPassage { pid, num_passages });
        }
        let all: RoaringBitmap = pids.iter().copied().collect();
        let part = |segment: &ResidentSegment<B>| {
            let pids = segment.first_pid..segment.first_pid + segment.num_passages as Pid;
            let local: RoaringBitmap = all.range(pids).map(|pid| pid - segment.first_pid).collect();
            local - segment.deleted.as_bitmap()
        };
        Ok(self.set_of(part))
    }

    /// Returns the passages for which a filter is true. The sets of the last 128 filters are kept, and of each segment
    /// also for the searchers of other generations that share it.
    ///
    /// # Errors
    /// [`Error::BadFilter`] if [`Filter::check`] refuses it; [`Error::Index`] if a segment has no columns of metadata,
    /// or they are corrupt.
    pub fn filtered(&self, filter: &Filter) -> Result<Arc<PassageSet>> {
        // Before the filter is written, which recurses as deep as it is nested.
        filter.check()?;
        let key = format!("{filter:?}");
        self.filtered.get(&key, || {
            let mut segments = Vec::with_capacity(self.segments.len());
            for segment in &self.segments {
                let found = segment.filtered.get(&key, || {
                    let columns = segment.columns.as_ref().ok_or_else(|| self.no_columns())?;
                    filter::passages(filter, columns, segment.num_passages as u32).map(Arc::new)
                })?;
                let passages = match segment.deleted.is_empty() {
                    true => found,
                    false => Arc::new(&*found - segment.deleted.as_bitmap()),
                };
                segments.push(SegmentSet { first_pid: segment.first_pid, passages, pids: OnceLock::new() });
            }
            Ok(Arc::new(PassageSet::new(&self.owner, segments)))
        })
    }

    /// All passages that are not deleted; `None` if no passage is deleted.
    pub(crate) fn not_deleted(&self) -> Option<PassageSet> {
        let is_whole = self.segments.iter().all(|segment| segment.deleted.is_empty());
        let alive = |segment: &ResidentSegment<B>| {
            let mut all = RoaringBitmap::new();
            all.insert_range(0..segment.num_passages as Pid);
            all - segment.deleted.as_bitmap()
        };
        (!is_whole).then(|| PassageSet { is_everything: true, ..self.set_of(alive) })
    }

    /// Passages that a search within `set` may find; `None` if it may find all.
    ///
    /// # Errors
    /// [`Error::OtherGeneration`] if the set belongs to another searcher.
    pub(crate) fn allowed<'a>(&'a self, set: Option<&'a PassageSet>) -> Result<Option<&'a PassageSet>> {
        match set {
            Some(set) => set.check_owner(&self.owner).map(|()| Some(set)),
            None => Ok(self.alive.as_ref()),
        }
    }

    fn set_of(&self, part: impl Fn(&ResidentSegment<B>) -> RoaringBitmap) -> PassageSet {
        let segment = |segment: &ResidentSegment<B>| SegmentSet::new(segment.first_pid, part(segment));
        PassageSet::new(&self.owner, self.segments.iter().map(segment).collect())
    }

    fn no_columns(&self) -> Error {
        selvedge_index::Error::NoColumns { path: self.path.clone() }.into()
    }
}
