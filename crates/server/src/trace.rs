//! Spans of requests and of their stages.
//!
//! They have a target of their own, which the log leaves out: without an exporter they are never made. With the feature
//! `otel`, the span of a request continues the trace that its header `traceparent` names.

use axum::http::{HeaderMap, Method};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// Target of all spans.
const TARGET: &str = "traces";

/// The span of a request. Its status is recorded at its end.
pub(crate) fn request(method: &Method, route: &str, id: &str, headers: &HeaderMap) -> Span {
    let span = info_span!(
        target: TARGET,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        request_id = id,
    );
    #[cfg(feature = "otel")]
    parent::set(&span, headers);
    #[cfg(not(feature = "otel"))]
    let _ = headers;
    span
}

/// Records the status of the answer.
pub(crate) fn answered(span: &Span, status: axum::http::StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "error");
    }
}

/// The span of a stage of a request.
pub(crate) fn stage(name: &'static str) -> Span {
    info_span!(target: TARGET, "stage", otel.name = name)
}

#[cfg(feature = "otel")]
mod parent {
    use super::{HeaderMap, Span};
    use opentelemetry::global;
    use opentelemetry::propagation::Extractor;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    struct Headers<'a>(&'a HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(axum::http::HeaderName::as_str).collect()
        }
    }

    /// Makes a span the child of the one that the client names, if it names one.
    pub(super) fn set(span: &Span, headers: &HeaderMap) {
        if !span.is_disabled() {
            let parent = global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
            // It fails if nothing exports traces.
            let _ = span.set_parent(parent);
        }
    }
}
