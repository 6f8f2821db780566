//! What every part of the server shares.

use std::sync::Arc;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

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
    /// Cancelled when the process is asked to end: streams end by themselves, loops stop.
    pub shutdown: CancellationToken,
}

impl App {
    /// Connects what is shared. The schema must be there already; Redis is connected in the background.
    pub async fn open(config: Config, store: Store) -> anyhow::Result<Self> {
        let queue = mps_queue::Queue::connect(config.redis_url.expose())?;
        let config = Arc::new(config);
        Ok(Self {
            hub: Hub::new(&config.limits),
            storages: Storages::load(config.clone(), store.clone()).context("keys of storages")?,
            config,
            store,
            queue,
            nudge: Nudge::default(),
            keys: KeyCache::default(),
            replica_id: mps_proto::name::new_id().into(),
            shutdown: CancellationToken::new(),
        })
    }
}
