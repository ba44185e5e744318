//! Requests to a shard: the choice of a replica, the next one after a failure, another one if the first is slow.

use super::client::{Call, ShardClient};
use super::error::CallError;
use super::pace::{Budget, Rest, Times};
use super::table::{ShardEntry, Table};
use axum::body::Bytes;
use axum::http::{HeaderValue, Method};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
    /// Name of the index on the servers.
    pub(crate) index: String,
    pub(crate) replicas: Vec<Replica>,
    /// Recent times of each phase.
    times: [Times; Phase::COUNT],
    next: AtomicUsize,
}

/// A copy of a shard.
#[derive(Debug)]
pub(crate) struct Replica {
    /// Base URL of its server.
    pub(crate) base: String,
    rest: Rest,
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
    budget: Budget,
    /// Least delay of a hedge.
    floor: Duration,
}

/// Answer of a shard, with the place of the replica that gave it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) replica: usize,
    pub(crate) body: Bytes,
}

impl Collection {
    /// The collection of a table that was checked.
    pub(crate) fn new(table: &Table) -> Self {
        let replica = |base: &String| Replica { base: base.clone(), rest: Rest::default() };
        let shard = |(number, entry): (usize, &ShardEntry)| Shard {
            number,
            index: entry.index.clone(),
            replicas: entry.replicas.iter().map(replica).collect(),
            times: Default::default(),
            next: AtomicUsize::new(0),
        };
        let key = table.key.as_ref().and_then(|key| HeaderValue::from_str(&format!("Bearer {key}")).ok());
        Self { name: table.name.clone(), shards: table.shards.iter().enumerate().map(shard).collect(), key }
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

    /// Places of the replicas in the order in which they are asked: the one that answered before, then the others in
    /// turn, then the ones that rest.
    fn order(&self, before: Option<usize>) -> Vec<usize> {
        let count = self.replicas.len();
        let start = before.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed) % count);
        let mut order: Vec<usize> = (0..count).map(|i| (start + i) % count).collect();
        order.sort_by_key(|&place| self.replicas[place].rest.until());
        order
    }
}

impl Caller {
    /// Makes a caller without connections.
    pub(crate) fn new(floor: Duration) -> Self {
        Self { client: ShardClient::new(), budget: Budget::default(), floor }
    }

    /// Asks a shard. If a replica fails, the next one is asked at once; if it is slow and the budget allows it, another
    /// one is asked too, and the first answer counts.
    ///
    /// # Errors
    /// [`CallError::Refused`] and [`CallError::Gone`] as a replica says; [`CallError::Failed`] if none answers.
    pub(crate) async fn ask(
        &self,
        shard: &Shard,
        phase: Phase,
        call: &Call,
        before: Option<usize>,
        deadline: Instant,
    ) -> Result<Answered, CallError> {
        let times = &shard.times[phase as usize];
        let mut places = shard.order(before).into_iter();
        let (mut running, mut reasons) = (FuturesUnordered::new(), Vec::new());
        // The losers of a hedge were at least as slow as this.
        let mut begun: Vec<(usize, Instant)> = Vec::new();
        let hedge = tokio::time::sleep(times.delay(self.floor));
        tokio::pin!(hedge);
        let mut may_hedge = true;
        self.budget.note();
        if let Some(first) = places.next() {
            begun.push((first, Instant::now()));
            running.push(self.send(shard, first, call, deadline));
        }
        loop {
            tokio::select! {
                Some((replica, result)) = running.next() => {
                    let since = begun.iter().position(|&(place, _)| place == replica).map(|at| begun.swap_remove(at).1);
                    match result {
                        Ok(body) => {
                            since.into_iter().chain(begun.iter().map(|&(_, since)| since))
                                .for_each(|since| times.note(since.elapsed()));
                            return Ok(Answered { replica, body });
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
                            running.push(self.send(shard, next, call, deadline));
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
                    if let Some(next) = next.filter(|_| self.budget.take()) {
                        places.next();
                        metrics::counter!("selvedge_router_hedges_total", "phase" => phase.name()).increment(1);
                        begun.push((next, Instant::now()));
                        running.push(self.send(shard, next, call, deadline));
                    }
                }
            }
        }
    }

    /// Asks one replica. It has half of the time that is left, so that another one can be asked after it.
    async fn send(
        &self,
        shard: &Shard,
        place: usize,
        call: &Call,
        deadline: Instant,
    ) -> (usize, Result<Bytes, CallError>) {
        let replica = &shard.replicas[place];
        let time = deadline.saturating_duration_since(Instant::now()) / 2;
        let sent = tokio::time::timeout(time, self.client.send(&replica.base, call)).await;
        let silent = || CallError::Failed(format!("{}: no answer in {} ms", replica.base, time.as_millis()));
        let result = sent.unwrap_or_else(|_| Err(silent()));
        match &result {
            Err(CallError::Failed(reason)) => {
                tracing::warn!(shard = shard.number, "a replica failed: {reason}");
                replica.rest.failed();
            }
            _ => replica.rest.answered(),
        }
        (place, result)
    }
}
