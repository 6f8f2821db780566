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
