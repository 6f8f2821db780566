//! Watchers of this replica: one reader of the watch log, newest-wins queues per watcher.

/// Watchers of this replica.
#[derive(Clone, Default)]
pub struct Hub {}
