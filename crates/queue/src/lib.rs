//! mps-queue: the Redis facade. Every key is named here.

use std::time::Duration;

/// Redis for the server: reconnects by itself; every call has a deadline and may fail without harm.
#[derive(Clone)]
pub struct Queue {}

impl Queue {
    /// Wakes one worker of a pool. A hint: failures are counted, not returned.
    pub async fn wake(&self, _pool: &str) {}
    /// Tells every replica to hand a command to a worker: bytes of a `WorkerCommand`.
    pub async fn send_command(&self, _worker_id: &str, _payload: Vec<u8>) {}
    /// Stores progress of a task (a hash with TTL) and publishes it to watchers of the project: bytes of a `TaskProgress`.
    pub async fn publish_progress(&self, _project: &str, _task_id: &str, _payload: Vec<u8>) {}
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
