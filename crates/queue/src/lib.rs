//! mps-queue: the Redis facade. Redis is a hint: every call has a deadline and may fail without harm. The keys are in `keys`.

mod error;
mod events;
mod keys;
mod link;
mod subscription;
mod work;
mod writer;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

pub use error::QueueError;
pub use events::{Event, EventReader, Position, Read};
pub use subscription::Subscription;
pub use work::WorkStream;

/// Redis for the server: reconnects by itself; every call has a deadline and may fail without harm.
#[derive(Clone)]
pub struct Queue {
    client: redis::Client,
    link: Arc<link::Link>,
    writer: writer::Writer,
    failures: Arc<AtomicU64>,
}

impl Queue {
    /// Does not wait: connects in the background. Fails only on a URL that cannot be read. Call it within a runtime.
    pub fn connect(redis_url: &str) -> Result<Self, QueueError> {
        let client = open(redis_url)?;
        let link = Arc::new(link::Link::new(client.clone()));
        let failures = Arc::new(AtomicU64::new(0));
        Ok(Self {
            writer: writer::Writer::start(link.clone(), failures.clone()),
            client,
            link,
            failures,
        })
    }

    /// Wakes one worker of a pool. A hint: failures are counted, not returned.
    pub async fn wake(&self, pool: &str) {
        self.writer.send(writer::wake(&keys::work(pool)));
    }

    /// Wakes one worker of a pool that has a free slot for probes. A hint too.
    pub async fn wake_for_probe(&self, pool: &str) {
        self.writer.send(writer::wake(&keys::probe(pool)));
    }

    /// Publishes a command for a worker to whichever replica holds its channel. A hint too.
    pub async fn send_command(&self, worker_id: &str, payload: Vec<u8>) {
        self.writer.send(writer::publish(keys::command_channel(worker_id), payload));
    }

    /// Commands of one worker.
    pub fn commands(&self, worker_id: &str) -> Subscription {
        Subscription::start(self.client.clone(), keys::command_channel(worker_id))
    }

    /// Stores progress of a task (a hash with TTL) and publishes it to watchers of the project: bytes of a `TaskProgress`.
    pub async fn publish_progress(&self, project: &str, task_id: &str, payload: Vec<u8>) {
        self.writer.send(writer::progress(project, task_id, payload));
    }

    /// The last progress of each task, `None` where there is none (or no Redis).
    pub async fn progress_of(&self, task_ids: &[String]) -> Vec<Option<Vec<u8>>> {
        if task_ids.is_empty() {
            return Vec::new();
        }
        let mut pipeline = redis::pipe();
        for id in task_ids {
            pipeline.hget(keys::progress(id), "message");
        }
        let read = self
            .link
            .call(|mut connection| async move { pipeline.query_async(&mut connection).await });
        match read.await {
            Ok(found) => found,
            Err(error) => {
                self.count_failure(&error);
                vec![None; task_ids.len()]
            }
        }
    }

    /// Progress of a project's tasks.
    pub fn progress(&self, project: &str) -> Subscription {
        Subscription::start(self.client.clone(), keys::progress_channel(project))
    }

    /// Whether Redis answers now.
    pub async fn ping(&self) -> Result<(), QueueError> {
        self.link
            .call(|mut connection| async move { redis::cmd("PING").query_async::<()>(&mut connection).await })
            .await
    }

    /// Hints that did not reach Redis since the start.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn count_failure(&self, error: &QueueError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, "redis call failed");
    }
}

/// A client; nothing is connected yet. TLS needs a provider of cryptography for the whole process: the first one wins.
fn open(redis_url: &str) -> Result<redis::Client, QueueError> {
    if redis_url.starts_with("rediss:") {
        let _already_set = rustls::crypto::ring::default_provider().install_default();
    }
    redis::Client::open(redis_url).map_err(QueueError::from)
}
