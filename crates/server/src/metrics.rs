//! Metrics in the text format of Prometheus.

use crate::state::App;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use std::sync::OnceLock;
use std::time::Duration;

/// Upper bounds of the buckets of times, in seconds.
const SECONDS: [f64; 16] = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
/// Upper bounds of the buckets of batches, in texts.
const TEXTS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Time after which the sizes of an index that was deleted are forgotten. Each rendering sets all others.
const GAUGE_LIFE: Duration = Duration::from_secs(60);

/// Starts to record, once per process.
pub(crate) fn start() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .idle_timeout(MetricKindMask::GAUGE, Some(GAUGE_LIFE))
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_texts".into()), &TEXTS));
        let recorder = builder.expect("there are buckets").build_recorder();
        let handle = recorder.handle();
        // Another recorder of the program has what is recorded; this one is then empty.
        let _ = metrics::set_global_recorder(recorder);
        handle
    })
}

/// All metrics, with the sizes of the indexes as they are now.
pub(crate) fn render(app: &App) -> String {
    for served in app.indexes() {
        let labels = || [("index", served.name.clone())];
        metrics::gauge!("selvedge_waiting_writes", &labels()).set(served.waiting_writes() as f64);
        let Ok(open) = served.open() else { continue };
        let snapshot = open.engine.snapshot();
        let index = snapshot.index();
        metrics::gauge!("selvedge_passages", &labels()).set(f64::from(index.num_passages()));
        metrics::gauge!("selvedge_tokens", &labels()).set(index.num_tokens() as f64);
        metrics::gauge!("selvedge_segments", &labels()).set(index.segments().len() as f64);
        metrics::gauge!("selvedge_index_bytes", &labels()).set(index.bytes_on_disk().values().sum::<u64>() as f64);
        metrics::gauge!("selvedge_generation", &labels()).set(f64::from(index.generation()));
        let searcher = snapshot.shared_searcher();
        metrics::gauge!("selvedge_device_bytes", &labels()).set(searcher.device_bytes() as f64);
        let filters = searcher.filter_stats();
        metrics::gauge!("selvedge_cached_filters", &labels()).set(filters.kept as f64);
        metrics::gauge!("selvedge_filter_hits", &labels()).set(filters.hits as f64);
        metrics::gauge!("selvedge_filter_misses", &labels()).set(filters.misses as f64);
        let stats = open.queue.stats();
        metrics::counter!("selvedge_search_requests_total", &labels()).absolute(stats.num_requests);
        metrics::counter!("selvedge_search_batches_total", &labels()).absolute(stats.num_batches);
        metrics::counter!("selvedge_search_cancelled_total", &labels()).absolute(stats.num_cancelled);
        metrics::gauge!("selvedge_search_waiting", &labels()).set(stats.num_waiting as f64);
    }
    start().render()
}
