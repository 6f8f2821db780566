//! The relay: carries committed outbox rows to the watch log.

use std::sync::Arc;

/// Tells the relay that outbox rows were committed.
#[derive(Clone, Default)]
pub struct Nudge(Arc<tokio::sync::Notify>);

impl Nudge {
    pub fn committed(&self) {
        self.0.notify_one();
    }
}

impl Nudge {
    /// Returns when rows were committed since the last call, or the time is over.
    pub async fn wait(&self, at_most: std::time::Duration) {
        let _ = tokio::time::timeout(at_most, self.0.notified()).await;
    }
}

/// Runs until the process ends.
pub async fn run(_app: crate::app::App) {
    std::future::pending::<()>().await;
}
