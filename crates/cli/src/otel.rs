//! Export of traces by OpenTelemetry's protocol over HTTP, to where its standard environment variables say.

use async_trait::async_trait;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, Registry};

/// Target of the spans of the server.
const TARGET: &str = "traces";
/// Environment variables that name the collector; without one, nothing is exported.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
/// Environment variable with the name of the service, `selvedge` by default.
const NAME: &str = "OTEL_SERVICE_NAME";
/// Longest time of an export.
const PATIENCE: Duration = Duration::from_secs(10);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Client of the collector. It blocks: the thread that exports does nothing else.
#[derive(Debug)]
struct Client(ureq::Agent);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.run(request.map(|body| body.to_vec()))?;
        let body = answer.body_mut().read_to_vec()?;
        Ok(answer.map(|_| Bytes::from(body)))
    }
}

/// The layer that exports spans; `None` if no collector is named, or the reason for which it cannot be used.
pub(crate) fn layer() -> Result<Option<impl Layer<Registry>>, String> {
    if ENDPOINTS.iter().all(|name| std::env::var_os(name).is_none()) {
        return Ok(None);
    }
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
    let exporter = SpanExporter::builder().with_http().with_http_client(Client(agent.into())).build();
    let exporter = exporter.map_err(|error| error.to_string())?;
    let resource = Resource::builder();
    let resource = if std::env::var_os(NAME).is_some() { resource } else { resource.with_service_name("selvedge") };
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let provider = PROVIDER.get_or_init(|| provider);
    global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("selvedge"));
    Ok(Some(
        layer
            .with_location(false)
            .with_threads(false)
            .with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO)),
    ))
}

/// Exports what waits to be exported.
pub(crate) fn end() {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown()
    {
        tracing::warn!("the last traces are not exported: {error}");
    }
}
