//! Health, readiness and metrics over HTTP.

mod gauges;

use std::{io, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use crate::app::App;

/// How long readiness waits for the database.
const READY_DEADLINE: Duration = Duration::from_secs(1);

/// Serves until shutdown. Listeners are bound before and serve from the same moment, so only the database decides readiness.
pub async fn serve(app: App, listener: TcpListener) -> io::Result<()> {
    let shutdown = app.shutdown.clone();
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app);
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}

async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n");
    }
    match tokio::time::timeout(READY_DEADLINE, app.store.is_ready()).await {
        Ok(Ok(true)) => (StatusCode::OK, "ready\n"),
        Ok(Ok(false)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database's schema is older than this release\n",
        ),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}

async fn metrics(State(app): State<App>) -> String {
    gauges::refresh(&app);
    mps_telemetry::metrics_text()
}
