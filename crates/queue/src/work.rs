//! A worker's wake-up stream. A wake-up carries no unit, so nothing is kept pending: who dies after reading one costs the others
//! at most their own polling interval.

use std::time::Duration;

use redis::{Client, aio::MultiplexedConnection};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    QueueError, keys,
    link::{CALL_DEADLINE, connect},
};

/// Longest single blocking read; shorter than any proxy's idle timeout.
const MAX_BLOCK: Duration = Duration::from_secs(10);
/// Pause after a failure.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// Consumers that were idle so long belong to workers that are gone.
const FORGET_CONSUMERS_AFTER_MS: u64 = 3_600_000;

/// A worker's wake-up stream.
pub struct WorkStream {
    client: Option<Client>,
    /// Its key.
    stream: String,
    consumer: String,
    connection: Option<MultiplexedConnection>,
    /// A read outlives the call that started it, so that dropping `wait` neither loses a wake-up nor leaves a blocked connection behind.
    reading: Option<JoinHandle<Result<(MultiplexedConnection, bool), QueueError>>>,
}

impl WorkStream {
    /// Wake-ups for units of tasks. Never fails; connects in the background and reconnects by itself. With a URL that cannot be read
    /// there are no wake-ups.
    pub fn connect(redis_url: &str, pool: &str, consumer: &str) -> Self {
        Self::of(redis_url, keys::work(pool), consumer)
    }

    /// Wake-ups for probes.
    pub fn of_probes(redis_url: &str, pool: &str, consumer: &str) -> Self {
        Self::of(redis_url, keys::probe(pool), consumer)
    }

    fn of(redis_url: &str, stream: String, consumer: &str) -> Self {
        let client = crate::open(redis_url);
        if let Err(error) = &client {
            tracing::warn!(%error, "no wake-ups: the worker asks on its own");
        }
        Self {
            client: client.ok(),
            stream,
            consumer: consumer.to_owned(),
            connection: None,
            reading: None,
        }
    }

    /// Returns when a wake-up came or the time is over. May be dropped and called again.
    pub async fn wait(&mut self, at_most: Duration) {
        let until = Instant::now() + at_most;
        while Instant::now() < until {
            match tokio::time::timeout_at(until, self.read(until)).await {
                Ok(Ok(true)) | Err(_) => return,
                Ok(Ok(false)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "wake-ups were interrupted");
                    tokio::time::sleep_until(until.min(Instant::now() + RETRY_EVERY)).await;
                }
            }
        }
    }

    /// Whether a wake-up came by `until`.
    async fn read(&mut self, until: Instant) -> Result<bool, QueueError> {
        let Some(client) = self.client.clone() else {
            return std::future::pending().await;
        };
        let reading = self.reading.get_or_insert_with(|| {
            let block = until.saturating_duration_since(Instant::now()).min(MAX_BLOCK);
            let connection = self.connection.take();
            let (stream, consumer) = (self.stream.clone(), self.consumer.clone());
            tokio::spawn(async move {
                let mut connection = match connection {
                    Some(connection) => connection,
                    None => join_group(&client, &stream).await?,
                };
                let woken = read_one(&mut connection, &stream, &consumer, block).await?;
                Ok((connection, woken))
            })
        });
        let read = reading.await;
        self.reading = None;
        let (connection, woken) = read.unwrap_or_else(|_| Err(QueueError::no_answer()))?;
        self.connection = Some(connection);
        Ok(woken)
    }
}

impl Drop for WorkStream {
    fn drop(&mut self) {
        if let Some(reading) = &self.reading {
            reading.abort();
        }
    }
}

/// Connects, makes the group where it is not there, and forgets consumers that are gone.
async fn join_group(client: &Client, key: &str) -> Result<MultiplexedConnection, QueueError> {
    let mut connection = connect(client, MAX_BLOCK + CALL_DEADLINE).await?;
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(key).arg(keys::WORKERS_GROUP).arg("$").arg("MKSTREAM");
    match create.query_async::<()>(&mut connection).await {
        Err(error) if error.code() != Some("BUSYGROUP") => return Err(error.into()),
        _ => {}
    }
    forget_consumers(&mut connection, key).await?;
    Ok(connection)
}

async fn forget_consumers(connection: &mut MultiplexedConnection, key: &str) -> Result<(), QueueError> {
    let mut list = redis::cmd("XINFO");
    list.arg("CONSUMERS").arg(key).arg(keys::WORKERS_GROUP);
    let consumers: redis::streams::StreamInfoConsumersReply = list.query_async(connection).await?;
    for consumer in consumers.consumers {
        if consumer.idle as u64 > FORGET_CONSUMERS_AFTER_MS {
            let mut forget = redis::cmd("XGROUP");
            forget.arg("DELCONSUMER").arg(key).arg(keys::WORKERS_GROUP).arg(&consumer.name);
            forget.query_async::<()>(connection).await?;
        }
    }
    Ok(())
}

/// One stream, one message: COUNT is per stream, so several streams in one read would take one of each.
async fn read_one(connection: &mut MultiplexedConnection, stream: &str, consumer: &str, block: Duration) -> Result<bool, QueueError> {
    let mut read = redis::cmd("XREADGROUP");
    read.arg("GROUP").arg(keys::WORKERS_GROUP).arg(consumer).arg("COUNT").arg(1);
    read.arg("BLOCK").arg(block.as_millis().max(1) as u64);
    read.arg("NOACK").arg("STREAMS").arg(stream).arg(">");
    let answer: redis::Value = read.query_async(connection).await?;
    Ok(answer != redis::Value::Nil)
}
