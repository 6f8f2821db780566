//! The background writer of hints: callers never wait for Redis, and many hints go in one round trip. When its queue is full, hints are dropped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use redis::{Cmd, Pipeline};
use tokio::sync::mpsc;

use crate::{keys, link::Link};

/// Hints that may wait.
const QUEUE: usize = 4_096;
/// Hints in one round trip.
const BATCH: usize = 128;

/// Commands that belong together.
pub(crate) type Hint = Vec<Cmd>;

#[derive(Clone)]
pub(crate) struct Writer {
    hints: mpsc::Sender<Hint>,
    failures: Arc<AtomicU64>,
}

impl Writer {
    pub(crate) fn start(link: Arc<Link>, failures: Arc<AtomicU64>) -> Self {
        let (hints, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(run(link, waiting, failures.clone()));
        Self { hints, failures }
    }

    pub(crate) fn send(&self, hint: Hint) {
        if self.hints.try_send(hint).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Ends when the last sender is gone.
async fn run(link: Arc<Link>, mut waiting: mpsc::Receiver<Hint>, failures: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let count = batch.len() as u64;
        let mut pipeline = Pipeline::new();
        for command in batch.drain(..).flatten() {
            pipeline.add_command(command).ignore();
        }
        let write = link.call(|mut connection| async move { pipeline.query_async::<()>(&mut connection).await });
        if let Err(error) = write.await {
            failures.fetch_add(count, Ordering::Relaxed);
            tracing::debug!(%error, count, "hints did not reach redis");
        }
    }
}

/// A wake-up in a stream of `keys`.
pub(crate) fn wake(stream: &str) -> Hint {
    let mut command = redis::cmd("XADD");
    command.arg(stream).arg("MAXLEN").arg("~").arg(keys::MAX_WAKE_UPS);
    command.arg("*").arg("v").arg(1);
    vec![command]
}

pub(crate) fn publish(channel: String, payload: Vec<u8>) -> Hint {
    let mut command = redis::cmd("PUBLISH");
    command.arg(channel).arg(payload);
    vec![command]
}

pub(crate) fn progress(project: &str, task_id: &str, payload: Vec<u8>) -> Hint {
    let key = keys::progress(task_id);
    let mut store = redis::cmd("HSET");
    store.arg(&key).arg("message").arg(&payload);
    let mut expire = redis::cmd("EXPIRE");
    expire.arg(&key).arg(keys::PROGRESS_TTL.as_secs());
    let mut hint = vec![store, expire];
    hint.extend(publish(keys::progress_channel(project), payload));
    hint
}
