//! Searcher without an index, whose searches can be held.

use selvedge_backend::{Embeddings, Pid, Similarities};
use selvedge_index::Index;
use selvedge_search::{Error, Filter, FilterStats, GoesOn, Hit, PassageSet, Ranking, Result, Search, SearchParams};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Query that makes [`Fake`] panic.
pub const PANIC: f32 = 1000.0;
/// Query for which [`Fake`] returns an error.
pub const ERROR: f32 = 1001.0;
/// Query for which [`Fake`] returns one ranking less than there are queries.
pub const FEW: f32 = 1002.0;

/// Batch that [`Fake`] has answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub queries: Vec<f32>,
    pub k: usize,
    pub num_passages: Option<usize>,
    /// Whether a thread of a rayon pool has called.
    pub is_in_pool: bool,
}

/// Gate that holds searches until they are let through.
#[derive(Default)]
pub struct Gate {
    /// Number of searches that have begun, and of those that may end.
    counts: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Gate {
    /// Begins a search, and waits until it may end.
    pub fn pass(&self) {
        let mut counts = self.counts.lock().unwrap();
        counts.0 += 1;
        let number = counts.0;
        self.changed.notify_all();
        drop(self.changed.wait_while(counts, |counts| counts.1 < number).unwrap());
    }

    /// Waits until this many searches have begun.
    pub fn wait_for(&self, num: usize) {
        drop(self.changed.wait_while(self.counts.lock().unwrap(), |counts| counts.0 < num).unwrap());
    }

    /// Lets all searches end.
    pub fn open(&self) {
        self.counts.lock().unwrap().1 = usize::MAX;
        self.changed.notify_all();
    }
}

/// Value that panics when it is freed.
pub struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("planned");
    }
}

/// Searcher of queries of one component. It finds the passage of that number, records batches, and holds a search until
/// its gate is open.
#[derive(Default)]
pub struct Fake {
    pub batches: Mutex<Vec<Batch>>,
    pub gate: Arc<Gate>,
    pub _bomb: Option<Bomb>,
    /// Number of batches that were told to stop.
    pub stopped: AtomicUsize,
}

impl Fake {
    /// Makes a searcher that holds each search.
    pub fn held() -> Arc<Self> {
        Arc::default()
    }

    /// Makes a searcher that holds no search.
    pub fn open() -> Arc<Self> {
        let fake = Self::held();
        fake.gate.open();
        fake
    }

    pub fn batches(&self) -> Vec<Vec<f32>> {
        self.batches.lock().unwrap().iter().map(|batch| batch.queries.clone()).collect()
    }

    pub fn sizes(&self) -> Vec<usize> {
        self.batches().iter().map(Vec::len).collect()
    }
}

impl Search for Fake {
    fn search_batch(
        &self,
        queries: &[&[f32]],
        params: &SearchParams,
        set: Option<&PassageSet>,
    ) -> Result<Vec<Ranking>> {
        self.gate.pass();
        let queries: Vec<f32> = queries.iter().map(|query| query[0]).collect();
        let is_in_pool = rayon::current_thread_index().is_some();
        let batch = Batch { queries, k: params.k, num_passages: set.map(PassageSet::len), is_in_pool };
        self.batches.lock().unwrap().push(batch.clone());
        assert!(!batch.queries.contains(&PANIC), "planned, of {} queries", batch.queries.len());
        if batch.queries.contains(&ERROR) {
            return Err(Error::NoSuchPassage { pid: 7, num_passages: 5 });
        }
        let ranking = |&query: &f32| Ranking {
            hits: vec![Hit { pid: query as Pid, score: query, raw: query as i32 }],
            ..Ranking::default()
        };
        let is_one_missing = batch.queries.contains(&FEW);
        Ok(batch.queries.iter().skip(usize::from(is_one_missing)).map(ranking).collect())
    }

    /// Asks once the gate is open: then, its callers may have gone away.
    fn search_embeddings_while(
        &self,
        queries: &[Embeddings<'_>],
        params: &SearchParams,
        set: Option<&PassageSet>,
        goes_on: &GoesOn<'_>,
    ) -> Result<Vec<Ranking>> {
        let found = self.search_embeddings(queries, params, set)?;
        if goes_on() {
            return Ok(found);
        }
        self.stopped.fetch_add(1, Ordering::Relaxed);
        Err(Error::Stopped)
    }

    fn device_bytes(&self) -> u64 {
        0
    }

    fn filter_stats(&self) -> FilterStats {
        FilterStats::default()
    }

    fn dim(&self) -> usize {
        1
    }

    fn followed(&self, _: &Index) -> Result<Box<dyn Search>> {
        unimplemented!()
    }

    fn similarities(&self, _: &[f32], _: Pid) -> Result<Similarities> {
        unimplemented!()
    }

    fn backend_name(&self) -> String {
        unimplemented!()
    }

    fn num_passages(&self) -> usize {
        unimplemented!()
    }

    fn num_centroids(&self) -> usize {
        unimplemented!()
    }

    fn params(&self, k: usize, _: Option<&PassageSet>) -> SearchParams {
        SearchParams::exact(k)
    }

    fn passages(&self, _: &[Pid]) -> Result<PassageSet> {
        unimplemented!()
    }

    fn alive(&self) -> Option<&PassageSet> {
        unimplemented!()
    }

    fn filtered(&self, _: &Filter) -> Result<Arc<PassageSet>> {
        unimplemented!()
    }

    fn search(&self, _: &[f32], _: &SearchParams, _: Option<&PassageSet>) -> Result<Ranking> {
        unimplemented!()
    }

    fn reconstruct(&self, _: Pid) -> Result<Vec<f32>> {
        unimplemented!()
    }

    fn candidate_ranks(
        &self,
        _: &[f32],
        _: usize,
        _: &[usize],
        _: &[Pid],
        _: Option<&PassageSet>,
    ) -> Result<Vec<Vec<Option<usize>>>> {
        unimplemented!()
    }
}
