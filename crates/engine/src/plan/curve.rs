//! Latency and availability of a fleet as its number of shards grows, each shard as large as before.

use super::draw;
use super::simulate::{Fleet, Outcome};

/// Numbers of shards.
const SHARDS: [usize; 13] = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000];
/// Numbers of replicas whose availability is shown.
pub(super) const REPLICAS: [usize; 3] = [1, 2, 3];

/// Outcomes from 1 to 1,000 shards.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Curve {
    /// Replicas of each shard.
    pub replicas: usize,
    /// Time after which a request is hedged.
    pub hedge_ms: f64,
    /// Outcomes by the number of shards.
    pub points: Vec<CurvePoint>,
}

/// Outcomes of one number of shards.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct CurvePoint {
    /// Number of shards.
    pub shards: usize,
    /// Without hedges.
    pub unhedged: Outcome,
    /// With hedges.
    pub hedged: Outcome,
    /// Share of the time in which every shard has one of 1, 2 or 3 replicas that runs.
    pub availability: [f64; 3],
}

impl Curve {
    /// Simulates `queries` of a fleet with 1 to 1,000 shards. If shards have a single replica, they get a second one to
    /// hedge with, and twice as many queries per second.
    ///
    /// # Panics
    /// If there are no queries.
    pub fn of(fleet: &Fleet, queries: usize, seed: u64) -> Self {
        let replicas = fleet.replicas.max(2);
        let qps = fleet.qps * replicas as f64 / fleet.replicas as f64;
        let fleet = Fleet { replicas, qps, hedge_ms: 0.0, ..fleet.clone() };
        let hedge_ms = fleet.simulate(queries, seed).request_p98_ms.max(super::HEDGE_FLOOR_MS);
        let point = |shards| {
            let unhedged = Fleet { shards, ..fleet.clone() };
            let hedged = Fleet { hedge_ms, ..unhedged.clone() };
            let available = |replicas| Fleet { replicas, ..unhedged.clone() }.availability();
            CurvePoint {
                shards,
                unhedged: unhedged.simulate(queries, seed),
                hedged: hedged.simulate(queries, seed),
                availability: REPLICAS.map(available),
            }
        };
        Self { replicas, hedge_ms, points: SHARDS.map(point).to_vec() }
    }

    /// Draws the curves as SVG: latencies on the left, the unavailable share of the time on the right.
    pub fn svg(&self) -> String {
        let line = |name: &str, color, of: &dyn Fn(&CurvePoint) -> f64| draw::Line {
            name: name.into(),
            color,
            points: self.points.iter().map(|point| (point.shards as f64, of(point))).collect(),
        };
        let latency = vec![
            line("p50", "#d29922", &|point| point.unhedged.p50_ms),
            line("p99", "#db6d28", &|point| point.unhedged.p99_ms),
            line("p50 hedged", "#3fb950", &|point| point.hedged.p50_ms),
            line("p99 hedged", "#2f81f7", &|point| point.hedged.p99_ms),
        ];
        let colors = ["#db6d28", "#2f81f7", "#a371f7"];
        let unavailable = REPLICAS.iter().zip(colors).enumerate().map(|(number, (replicas, color))| {
            line(&format!("{replicas} replicas"), color, &|point| 1.0 - point.availability[number])
        });
        let title = format!("fan-out in ms, {} replicas, hedged after {:.1} ms", self.replicas, self.hedge_ms);
        draw::svg(&[
            draw::Panel { title, lines: latency },
            draw::Panel { title: "share of the time without an answer of all".into(), lines: unavailable.collect() },
        ])
    }
}
