//! Counts calls by method and code, and how long they take until the answer starts (of a stream: until it is open).

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use axum::{extract::Request, middleware::Next, response::Response};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, core::Collector};
use tonic::{Code, Status};

use crate::grpc::roles;

static CALLS: LazyLock<Option<IntCounterVec>> = LazyLock::new(|| {
    let options = Opts::new("mps_grpc_calls_total", "Calls by method and code.");
    registered(IntCounterVec::new(options, &["method", "code"]))
});
static SECONDS: LazyLock<Option<HistogramVec>> = LazyLock::new(|| {
    let options = HistogramOpts::new("mps_grpc_call_seconds", "Time from a call to the start of its answer.");
    registered(HistogramVec::new(options, &["method", "code"]))
});
/// A call that took so long is worth a line in the log.
const SLOW: Duration = Duration::from_secs(10);

/// A metric that the process's registry knows. One that cannot be registered counts, but is not shown; one that cannot be made is `None`.
pub(crate) fn registered<C: Collector + Clone + 'static>(metric: prometheus::Result<C>) -> Option<C> {
    let made = metric.inspect(|metric| {
        let registered = mps_telemetry::registry().register(Box::new(metric.clone()));
        if let Err(error) = registered {
            tracing::error!(%error, "a metric is not shown");
        }
    });
    made.inspect_err(|error| tracing::error!(%error, "a metric could not be made")).ok()
}

pub(super) async fn count(request: Request, next: Next) -> Response {
    let method = label(request.uri().path());
    let start = Instant::now();
    let response = next.run(request).await;
    let code = code_of(&response);
    let name = format!("{code:?}");
    let took = start.elapsed();
    let labels = [method.as_str(), &name];
    if let Some(calls) = CALLS.as_ref() {
        calls.with_label_values(&labels).inc();
    }
    if let Some(seconds) = SECONDS.as_ref() {
        seconds.with_label_values(&labels).observe(took.as_secs_f64());
    }
    if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss) {
        tracing::warn!(method, code = name, "a call failed");
    } else if took > SLOW && method != roles::WAIT_TASK.trim_start_matches('/') {
        tracing::info!(method, duration_ms = took.as_millis() as u64, "a call was slow");
    }
    response
}

/// The method, or "unknown": what callers invent must not grow the set of labels.
fn label(path: &str) -> String {
    let known = roles::rule(path).is_some() || path.starts_with("/mps.worker.v1.WorkerService/");
    if known {
        path.trim_start_matches('/').to_owned()
    } else {
        "unknown".to_owned()
    }
}

/// An error stands in the headers; a good answer has its code in the trailers, which are not there yet.
fn code_of(response: &Response) -> Code {
    let in_headers = Status::from_header_map(response.headers());
    in_headers.map_or(Code::Ok, |status| status.code())
}
