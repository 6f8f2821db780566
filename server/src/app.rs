//! What every part of the server shares.

use std::sync::Arc;

use crate::{config::Config, outbox::Nudge, service::access::KeyCache, storage::Storages, store::Store, watch::Hub};

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub store: Store,
    /// Redis: wake-ups, watch log, progress, commands.
    pub queue: mps_queue::Queue,
    /// Opens buckets of storages.
    pub storages: Storages,
    /// Tells the relay that outbox rows were committed.
    pub nudge: Nudge,
    /// Watchers of this replica.
    pub hub: Hub,
    /// API keys that were valid a moment ago.
    pub keys: KeyCache,
    /// Id of this process, for `commit_by` and the like.
    pub replica_id: Arc<str>,
}
