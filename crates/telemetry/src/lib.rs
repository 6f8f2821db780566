//! mps-telemetry: tracing, OpenTelemetry and metrics, the same for server, worker and child.

mod bridge;
mod propagate;

use std::{io::IsTerminal, time::Duration};

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub use propagate::{current_traceparent, set_parent};

/// How long an export may take, and the flush at the end.
const EXPORT_DEADLINE: Duration = Duration::from_secs(3);

/// How a process reports.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Service name, such as "mps-server".
    pub service: String,
    /// `tracing` filter, such as "info".
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
    /// OTLP gRPC endpoint, such as "http://collector:4317"; nothing is exported without it. Needs a tokio runtime.
    pub otlp_endpoint: Option<String>,
}

/// Flushes what is left when it drops.
#[must_use = "telemetry ends when the guard drops"]
pub struct Guard {
    tracers: SdkTracerProvider,
    meters: Option<SdkMeterProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _unreachable_collector = self.tracers.shutdown_with_timeout(EXPORT_DEADLINE);
        if let Some(meters) = &self.meters {
            let _unreachable_collector = meters.shutdown_with_timeout(EXPORT_DEADLINE);
        }
    }
}

/// Starts logging to standard error, and exporting where it is configured. Spans get ids in any case, so that a trace can be followed
/// through logs and into other processes without a collector.
pub fn init(options: &Options) -> anyhow::Result<Guard> {
    let filter = EnvFilter::builder()
        .parse(&options.filter)
        .with_context(|| format!("log filter \"{}\" is malformed", options.filter))?;
    let resource = Resource::builder().with_service_name(options.service.clone()).build();
    let tracers = tracer_provider(options, resource.clone())?;
    let meters = meter_provider(options, resource)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("mps"))
        .with_filter(LevelFilter::INFO);
    let output = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let output = if options.json {
        output.json().flatten_event(true).with_filter(filter).boxed()
    } else {
        output.with_target(false).with_filter(filter).boxed()
    };
    tracing_subscriber::registry().with(spans).with(output).try_init()?;
    if let Some(meters) = &meters {
        bridge::start(meters.clone());
    }
    Ok(Guard { tracers, meters })
}

fn tracer_provider(options: &Options, resource: Resource) -> anyhow::Result<SdkTracerProvider> {
    let mut builder = SdkTracerProvider::builder().with_resource(resource);
    if let Some(endpoint) = &options.otlp_endpoint {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_DEADLINE)
            .build()
            .context("OTLP exporter of traces")?;
        builder = builder.with_batch_exporter(exporter);
    }
    Ok(builder.build())
}

fn meter_provider(options: &Options, resource: Resource) -> anyhow::Result<Option<SdkMeterProvider>> {
    let Some(endpoint) = &options.otlp_endpoint else {
        return Ok(None);
    };
    let exporter = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_DEADLINE)
        .build()
        .context("OTLP exporter of metrics")?;
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(exporter)
        .build();
    Ok(Some(provider))
}

/// The process's metrics as Prometheus text.
pub fn metrics_text() -> String {
    prometheus::TextEncoder::new()
        .encode_to_string(&registry().gather())
        .unwrap_or_else(|error| format!("# metrics cannot be written: {error}\n"))
}

/// Where metrics of this process are registered. What is registered here also goes to the OTLP collector, where one is configured.
pub fn registry() -> &'static prometheus::Registry {
    prometheus::default_registry()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_goes_on_over_a_process_boundary_without_a_collector() {
        let options = Options {
            service: "test".into(),
            filter: "off".into(),
            ..Options::default()
        };
        let _guard = init(&options).unwrap();
        assert_eq!(current_traceparent(), "");
        let outer = tracing::info_span!("outer");
        let sent = outer.in_scope(current_traceparent);
        assert_eq!(sent.len(), 55, "{sent}");

        let inner = tracing::info_span!("inner");
        set_parent(&inner, &sent);
        let received = inner.in_scope(current_traceparent);
        let trace_id = |traceparent: &str| traceparent.split('-').nth(1).unwrap().to_owned();
        assert_eq!(trace_id(&received), trace_id(&sent));
        assert_ne!(received, sent);

        let apart = tracing::info_span!("apart");
        set_parent(&apart, "no traceparent");
        assert_ne!(trace_id(&apart.in_scope(current_traceparent)), trace_id(&sent));
    }

    #[test]
    fn malformed_filter_is_refused() {
        let options = Options {
            filter: "info,=[".into(),
            ..Options::default()
        };
        assert!(init(&options).is_err());
    }

    #[test]
    fn registered_metrics_are_written_as_text() {
        let counter = prometheus::IntCounter::new("mps_test_total", "A test.").unwrap();
        registry().register(Box::new(counter.clone())).unwrap();
        counter.inc();
        assert!(metrics_text().contains("mps_test_total 1"));
    }
}
