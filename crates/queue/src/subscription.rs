//! A PUBLISH subscription that reconnects by itself. What is published meanwhile is lost: it was a hint.

use std::time::Duration;

use futures::StreamExt;
use redis::Client;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use crate::{QueueError, link::CALL_DEADLINE};

/// Payloads that may wait; more are dropped.
const QUEUE: usize = 1_024;
/// Silence after which the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Payloads published to one channel. Ends its connection when it drops.
pub struct Subscription {
    payloads: mpsc::Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl Subscription {
    pub(crate) fn start(client: Client, channel: String) -> Self {
        let (sender, payloads) = mpsc::channel(QUEUE);
        let reader = tokio::spawn(async move {
            loop {
                if let Err(error) = follow(&client, &channel, &sender).await {
                    tracing::debug!(%error, channel, "subscription was interrupted");
                }
                tokio::time::sleep(RETRY_EVERY).await;
            }
        });
        Self { payloads, reader }
    }

    /// The next payload. May be dropped and called again.
    pub async fn next(&mut self) -> Vec<u8> {
        match self.payloads.recv().await {
            Some(payload) => payload,
            // The reader ends only with the runtime.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads until the connection breaks.
async fn follow(client: &Client, channel: &str, sender: &mpsc::Sender<Vec<u8>>) -> Result<(), QueueError> {
    let connecting = async {
        let mut pubsub = client.get_async_pubsub().await?;
        pubsub.subscribe(channel).await?;
        Ok::<_, redis::RedisError>(pubsub)
    };
    let pubsub = timeout(CALL_DEADLINE, connecting).await.map_err(|_| QueueError::no_answer())??;
    let (mut sink, mut messages) = pubsub.split();
    loop {
        match timeout(PING_EVERY, messages.next()).await {
            Ok(Some(message)) => drop(sender.try_send(message.get_payload_bytes().to_vec())),
            Ok(None) => return Err(QueueError::no_answer()),
            Err(_silent) => timeout(CALL_DEADLINE, sink.ping_message::<redis::Value>("alive"))
                .await
                .map_err(|_| QueueError::no_answer())?
                .map(drop)?,
        }
    }
}
