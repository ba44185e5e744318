//! Requests to a shard: the choice of a replica, the next one after a failure, another one if the first is slow.
//!
//! An answer counts once it was parsed: a replica that sends anything else has failed.

use super::client::{Call, ShardClient};
use super::error::CallError;
use super::pace::{Rest, Times};
use super::table::{ShardEntry, Table};
use axum::body::Bytes;
use axum::http::{HeaderValue, Method};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use selvedge::shards::{HEDGED_PART, HedgeBudget};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Least time in which a replica that does not answer has failed: clients may ask for less.
const SILENCE: Duration = Duration::from_secs(1);

/// Phase of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Embeddings of the query, by one shard.
    Encode,
    /// Statistics of words.
    Statistics,
    /// Passages of each shard.
    Rank,
    /// Texts and more of the hits.
    Output,
    /// Anything else, such as a document.
    Look,
}

impl Phase {
    const COUNT: usize = 5;

    fn name(self) -> &'static str {
        match self {
            Self::Encode => "encode",
            Self::Statistics => "statistics",
            Self::Rank => "rank",
            Self::Output => "output",
            Self::Look => "look",
        }
    }
}

/// A shard with its replicas.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Number, from 0.
    pub(crate) number: usize,
    /// Number of shards of the collection.
    of: usize,
    /// Name of the index on the servers.
    pub(crate) index: String,
    /// Least generation of the index.
    pub(crate) generation: u32,
    pub(crate) replicas: Vec<Arc<Replica>>,
    /// Recent times of each phase.
    times: Arc<[Times; Phase::COUNT]>,
    next: AtomicUsize,
}

/// A copy of a shard.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Base URL of its server.
    pub(crate) base: String,
    rest: Rest,
    /// Requests that wait for its answer.
    waiting: AtomicUsize,
}

/// A request that waits for the answer of a replica.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A collection whose shards are asked.
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) shards: Vec<Shard>,
    key: Option<HeaderValue>,
}

/// Connections and budget that all calls share.
pub(crate) struct Caller {
    client: ShardClient,
    budget: Mutex<HedgeBudget>,
    /// Least delay of a hedge.
    floor: Duration,
}

/// Answer of a shard, with the place of the replica that gave it.
#[derive(Debug)]
pub(crate) struct Answered<T> {
    pub(crate) replica: usize,
    pub(crate) value: T,
}

impl Collection {
    /// The collection of a table that was checked. What its shards and replicas have noted in `before`, its earlier
    /// state, stays.
    pub(crate) fn new(table: &Table, before: Option<&Self>) -> Self {
        let shard = |(number, entry): (usize, &ShardEntry)| {
            let known = before.and_then(|before| before.shards.get(number)).filter(|shard| shard.index == entry.index);
            let replica = |base: &String| {
                let same = known.and_then(|shard| shard.replicas.iter().find(|replica| replica.base == *base));
                let new = || Replica { base: base.clone(), rest: Rest::default(), waiting: AtomicUsize::new(0) };
                same.map_or_else(|| Arc::new(new()), Arc::clone)
            };
            Shard {
                number,
                of: table.shards.len(),
                index: entry.index.clone(),
                generation: entry.generation,
                replicas: entry.replicas.iter().map(replica).collect(),
                times: known.map(|shard| Arc::clone(&shard.times)).unwrap_or_default(),
                next: AtomicUsize::new(0),
            }
        };
        let key = table.key.as_ref().and_then(|key| HeaderValue::from_str(&format!("Bearer {key}")).ok());
        Self { name: table.name.clone(), shards: table.shards.iter().enumerate().map(shard).collect(), key }
    }

    /// Shards that have a replica which does not rest, then the others.
    pub(crate) fn up_first(&self) -> impl Iterator<Item = &Shard> {
        let (up, down): (Vec<&Shard>, Vec<&Shard>) = self.shards.iter().partition(|shard| shard.is_up());
        up.into_iter().chain(down)
    }

    /// A request of the collection's shards.
    pub(crate) fn call(&self, method: Method, path: String, body: impl Into<Bytes>) -> Call {
        Call { method, path, body: body.into(), key: self.key.clone() }
    }
}

impl Shard {
    /// Path of a route of the index.
    pub(crate) fn path(&self, route: &str) -> String {
        format!("/v1/indexes/{}{route}", self.index)
    }

    /// Whether a replica is not resting after a failure.
    pub(crate) fn is_up(&self) -> bool {
        self.replicas.iter().any(|replica| replica.rest.until().is_none())
    }

    /// Places of the replicas in the order in which they are asked: the one that answered before, then those with the
    /// fewest requests, then the ones that rest.
    fn order(&self, before: Option<usize>) -> Vec<usize> {
        let count = self.replicas.len();
        let start = before.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed) % count);
        let mut order: Vec<usize> = (0..count).map(|i| (start + i) % count).collect();
        order.sort_by_cached_key(|&place| {
            let replica = &self.replicas[place];
            (replica.rest.until(), before != Some(place), replica.waiting.load(Ordering::Relaxed))
        });
        order
    }
}

impl Caller {
    /// Makes a caller without connections.
    pub(crate) fn new(floor: Duration) -> Self {
        Self { client: ShardClient::new(), budget: Mutex::new(HedgeBudget::new(HEDGED_PART)), floor }
    }

    /// Asks a shard, and parses its answer. If a replica fails, the next one is asked at once; if it is slow and the
    /// budget allows it, another one is asked too, and the first answer counts.
    ///
    /// # Errors
    /// [`CallError::Refused`] and [`CallError::Gone`] as a replica says; [`CallError::Failed`] if none answers.
    pub(crate) async fn ask<T>(
        &self,
        shard: &Shard,
        phase: Phase,
        call: &Call,
        before: Option<usize>,
        deadline: Instant,
        parse: impl Fn(Bytes) -> Result<T, String>,
    ) -> Result<Answered<T>, CallError> {
        let (times, parse) = (&shard.times[phase as usize], &parse);
        let send = |place: usize| async move {
            let sent = self.send(&shard.replicas[place], shard.number, call, deadline, parse).await;
            (place, sent)
        };
        let mut places = shard.order(before).into_iter();
        let (mut running, mut reasons) = (FuturesUnordered::new(), Vec::new());
        // Requests that are not answered: the losers of a hedge were at least as slow as this.
        let mut begun: Vec<(usize, Instant)> = Vec::new();
        let hedge = tokio::time::sleep(times.delay(self.floor));
        tokio::pin!(hedge);
        let mut may_hedge = true;
        self.budget().note(shard.of);
        if let Some(first) = places.next() {
            begun.push((first, Instant::now()));
            running.push(send(first));
        }
        loop {
            tokio::select! {
                Some((replica, result)) = running.next() => {
                    let since = begun.iter().position(|&(place, _)| place == replica).map(|at| begun.swap_remove(at).1);
                    match result {
                        Ok(value) => {
                            since.into_iter().for_each(|since| times.note(since.elapsed()));
                            for (loser, since) in begun {
                                times.note(since.elapsed());
                                shard.replicas[loser].rest.beaten(since);
                            }
                            return Ok(Answered { replica, value });
                        }
                        Err(CallError::Failed(reason)) => reasons.push(reason),
                        Err(error) if running.is_empty() => return Err(error),
                        Err(error @ CallError::Refused(..)) => return Err(error),
                        // The replica that was asked first may have it.
                        Err(CallError::Gone) => continue,
                    }
                    match places.next() {
                        Some(next) => {
                            metrics::counter!("selvedge_router_retries_total", "phase" => phase.name()).increment(1);
                            begun.push((next, Instant::now()));
                            running.push(send(next));
                        }
                        None if running.is_empty() => {
                            metrics::counter!("selvedge_router_shard_failures_total", "phase" => phase.name())
                                .increment(1);
                            return Err(CallError::Failed(reasons.join(", ")));
                        }
                        None => {}
                    }
                }
                () = &mut hedge, if may_hedge => {
                    may_hedge = false;
                    // A replica that rests is no better.
                    let next = places.as_slice().first().copied();
                    let next = next.filter(|&next| shard.replicas[next].rest.until().is_none());
                    if let Some(next) = next.filter(|_| self.budget().take()) {
                        places.next();
                        metrics::counter!("selvedge_router_hedges_total", "phase" => phase.name()).increment(1);
                        begun.push((next, Instant::now()));
                        running.push(send(next));
                    }
                }
            }
        }
    }

    fn budget(&self) -> MutexGuard<'_, HedgeBudget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks one replica. It has half of the time that is left, so that another one can be asked after it.
    async fn send<T>(
        &self,
        replica: &Replica,
        shard: usize,
        call: &Call,
        deadline: Instant,
        parse: &impl Fn(Bytes) -> Result<T, String>,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let _waiting = Waiting::new(&replica.waiting);
        let time = deadline.saturating_duration_since(started) / 2;
        let sent = tokio::time::timeout(time, self.client.send(&replica.base, call)).await;
        let failed = |reason: String| CallError::Failed(format!("{}: {reason}", replica.base));
        let is_hasty = sent.is_err() && time < SILENCE;
        let sent = sent.unwrap_or_else(|_| Err(failed(format!("no answer in {} ms", time.as_millis()))));
        let malformed = |reason| failed(format!("the answer is malformed: {reason}"));
        let result = sent.and_then(|body| parse(body).map_err(malformed));
        match &result {
            Err(CallError::Failed(_)) if is_hasty => {}
            Err(CallError::Failed(reason)) => {
                tracing::warn!(shard, "a replica failed: {reason}");
                replica.rest.failed(started);
            }
            _ => replica.rest.answered(),
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_table_keeps_what_is_known_of_its_replicas() {
        let table = |bases: [&str; 3]| {
            let entry = |base: &str, index: &str| ShardEntry {
                index: index.into(),
                replicas: vec![base.to_owned(), "http://h:1".into()],
                generation: 0,
            };
            let shards = vec![entry(bases[0], "a"), entry(bases[1], "b"), entry(bases[2], "c")];
            Table { name: "all".into(), shards, key_env: None, key: None }
        };
        let first = Collection::new(&table(["http://a:1", "http://b:1", "http://c:1"]), None);
        let fail = |shard: usize, place: usize| first.shards[shard].replicas[place].rest.failed(Instant::now());
        fail(0, 0);
        fail(1, 1);
        let second = Collection::new(&table(["http://a:1", "http://new:1", "http://c:1"]), Some(&first));
        let rests = |shard: usize| -> Vec<bool> {
            second.shards[shard].replicas.iter().map(|replica| replica.rest.until().is_some()).collect()
        };
        // A server that fails for one shard may do well for another.
        assert_eq!((rests(0), rests(1), rests(2)), (vec![true, false], vec![false, true], vec![false, false]));
    }

    #[test]
    fn replicas_that_are_busy_or_rest_come_later() {
        let replicas = vec!["http://a:1".to_owned(), "http://b:1".into(), "http://c:1".into()];
        let shards = vec![ShardEntry { index: "a".into(), replicas, generation: 0 }];
        let collection = Collection::new(&Table { name: "all".into(), shards, key_env: None, key: None }, None);
        let shard = &collection.shards[0];
        let firsts: Vec<usize> = (0..4).map(|_| shard.order(None)[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 0]);
        let _waiting = [0, 0, 1].map(|place| Waiting::new(&shard.replicas[place].waiting));
        assert_eq!(shard.order(None), [2, 1, 0]);
        assert_eq!(shard.order(Some(0)), [0, 2, 1], "it has the version");
        shard.replicas[2].rest.failed(Instant::now());
        assert_eq!(shard.order(None), [1, 0, 2]);
    }
}
