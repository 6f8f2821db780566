//! One span per call, which goes on the caller's trace.

use axum::{extract::Request, middleware::Next, response::Response};
use tracing::Instrument;

pub(super) async fn span(request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let span = tracing::info_span!("call", otel.name = path, otel.kind = "server", rpc.method = path);
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        mps_telemetry::set_parent(&span, parent);
    }
    next.run(request).instrument(span).await
}
