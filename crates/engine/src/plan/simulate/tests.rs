//! The simulation against formulas of queues and of reliability.

use super::*;

/// Four cores per machine that take 1 to 2 ms, 0.5 ms on the network, and nothing that fails.
fn fleet(shards: usize, replicas: usize) -> Fleet {
    Fleet {
        shards,
        replicas,
        cores: 4,
        qps: 10.0,
        search_ms: (0..1000).map(|i| 1.0 + f64::from(i) / 1000.0).collect(),
        hop_ms: 0.5,
        straggler_share: 0.0,
        straggler_factor: 20.0,
        failure_every_ms: 0.0,
        repair_ms: 60e3,
        detect_ms: 0.0,
        hedge_ms: 0.0,
        hedge_budget: 0.05,
    }
}

fn near(found: f64, expected: f64, part: f64) -> bool {
    (found / expected - 1.0).abs() < part
}

/// Without queues, the median of the slowest of S uniform times is at the quantile 2^(-1/S).
#[test]
fn a_query_waits_for_its_slowest_shard() {
    for shards in [1, 4, 32] {
        let found = fleet(shards, 1).simulate(20_000, 1);
        let expected = 1.5 + 0.5f64.powf(1.0 / shards as f64);
        assert!(near(found.p50_ms, expected, 0.01), "{shards}: {found:?}, expected {expected}");
        assert_eq!(found.answered, 1.0);
    }
}

/// M/D/1 with 0.5 queries per ms and times of 1 ms: cores are busy half of the time, and half of the queries
/// do not wait.
#[test]
fn busy_cores_have_queues() {
    let one = Fleet { cores: 1, qps: 500.0, search_ms: vec![1.0], hop_ms: 0.0, ..fleet(1, 1) };
    let found = one.simulate(100_000, 2);
    assert!(near(found.busy, 0.5, 0.02), "{found:?}");
    assert!((1.0..1.1).contains(&found.p50_ms) && found.p99_ms > 3.0, "{found:?}");
    // The network delays answers, and occupies no core.
    let far = Fleet { hop_ms: 10.0, ..one }.simulate(100_000, 2);
    assert!(near(far.p50_ms, found.p50_ms + 10.0, 0.01) && near(far.busy, 0.5, 0.02), "{far:?}");
}

/// M/M/1 with a load of 0.7: the latency is exponential, of mean 1 / (1 - 0.7) times that of a search.
#[test]
fn latencies_are_those_of_an_exponential_server() {
    let search_ms = (0..10_000).map(|i| -(1.0 - (f64::from(i) + 0.5) / 1e4).ln()).collect();
    let one = Fleet { cores: 1, qps: 700.0, search_ms, hop_ms: 0.0, ..fleet(1, 1) };
    let (found, mean) = (one.simulate(200_000, 3), 1.0 / 0.3);
    assert!(near(found.p50_ms, mean * 2f64.ln(), 0.03), "{found:?}");
    assert!(near(found.p99_ms, mean * 100f64.ln(), 0.06), "{found:?}");
    assert!(near(found.request_p98_ms, mean * 50f64.ln(), 0.05), "{found:?}");
}

#[test]
fn hedges_answer_for_stragglers_within_their_budget() {
    let slow = Fleet { straggler_share: 0.01, ..fleet(16, 2) };
    let without = slow.simulate(20_000, 3);
    let with = Fleet { hedge_ms: 3.0, ..slow.clone() }.simulate(20_000, 3);
    assert!(without.p99_ms > 20.0 && with.p99_ms < 6.0, "{without:?} {with:?}");
    assert!(with.hedged > 0.005 && with.hedged <= 0.05, "{with:?}");
    let stingy = Fleet { hedge_ms: 3.0, hedge_budget: 0.001, ..slow }.simulate(20_000, 3);
    assert!(stingy.hedged <= 0.0011 && stingy.p99_ms > with.p99_ms, "{stingy:?}");
}

/// A machine is there 9 of 10 times; 4 shards of one replica are all there 0.9^4 of the time, of two 0.99^4.
#[test]
fn replicas_answer_for_those_that_are_down() {
    let failing = |replicas| Fleet { qps: 1.0, failure_every_ms: 90e3, repair_ms: 10e3, ..fleet(4, replicas) };
    for replicas in [1, 2] {
        let (fleet, expected) = (failing(replicas), (1.0 - 0.1f64.powi(replicas as i32)).powi(4));
        let found = fleet.simulate(100_000, 4);
        assert!(near(found.answered, expected, 0.03), "{found:?}, expected {expected}");
        assert!(near(fleet.availability(), expected, 1e-9));
    }
}

/// Machines that are down 100 s of 1000 s, and known to be after 30 s: half of the queries are sent to each, so three
/// in a hundred wait for the detection. A hedge does not wait.
#[test]
fn a_failure_that_is_not_known_delays() {
    let unknown = Fleet { failure_every_ms: 900e3, repair_ms: 100e3, detect_ms: 30e3, ..fleet(1, 2) };
    let without = unknown.simulate(160_000, 5);
    assert!(without.p50_ms < 3.0 && (500.0..30e3).contains(&without.p99_ms), "{without:?}");
    let with = Fleet { hedge_ms: 4.0, hedge_budget: 1.0, ..unknown }.simulate(160_000, 5);
    assert!(with.p99_ms < 10.0, "{with:?}");
}

#[test]
fn a_seed_decides() {
    let noisy = Fleet { straggler_share: 0.01, failure_every_ms: 100e3, hedge_ms: 3.0, ..fleet(3, 2) };
    assert_eq!(noisy.simulate(5000, 7), noisy.simulate(5000, 7));
    assert_ne!(noisy.simulate(5000, 7), noisy.simulate(5000, 8));
}

/// One query of each run has no time between queries, and machines that never answer have no latency.
#[test]
fn the_least_fleets_have_outcomes() {
    let found = fleet(1, 1).simulate(1, 0);
    assert!(found.p50_ms > 1.0 && found.busy == 0.0, "{found:?}");
    let down = Fleet { failure_every_ms: 1e-9, repair_ms: 1e12, ..fleet(1, 1) }.simulate(10, 0);
    assert!(down.answered == 0.0 && down.p50_ms.is_infinite(), "{down:?}");
}
