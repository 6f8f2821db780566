//! The loops beside the calls. A loop that panics is logged and started again; all stop at shutdown.

use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;

use crate::{app::App, outbox, service, watch};

/// Pause before a loop that ended is started again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Starts every loop; they end when `app.shutdown` is cancelled.
pub fn start(app: &App) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    loops.spawn(keep_running("outbox relay", app.clone(), outbox::run));
    loops.spawn(keep_running("watch hub", app.clone(), watch::run));
    loops.spawn(keep_running("reconciler", app.clone(), service::reconcile::run));
    loops.spawn(keep_running("sets", app.clone(), service::sets::run));
    loops.spawn(keep_running("janitor", app.clone(), service::janitor::run));
    loops
}

async fn keep_running<F>(name: &'static str, app: App, run: fn(App) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let shutdown = app.shutdown.clone();
    loop {
        let attempt = std::panic::AssertUnwindSafe(run(app.clone())).catch_unwind();
        let ended = shutdown.run_until_cancelled(attempt).await;
        match ended {
            None => return,
            Some(Ok(())) => tracing::warn!(name, "a loop ended and is started again"),
            Some(Err(_panic)) => tracing::error!(name, "a loop panicked and is started again"),
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(RESTART_AFTER)).await.is_none() {
            return;
        }
    }
}
