//! Progress of a project's tasks, read from Redis only while somebody watches the project. It is never stored with the task.

use mps_proto::{name, v1::TaskProgress};
use mps_queue::Subscription;
use prost::Message;
use tokio::task::JoinHandle;

use super::Hub;

/// Reads until it drops.
pub(super) struct ProgressReader(JoinHandle<()>);

impl ProgressReader {
    pub(super) fn start(hub: Hub, project: String, mut subscription: Subscription) -> Self {
        Self(tokio::spawn(async move {
            loop {
                let payload = subscription.next().await;
                let Ok(progress) = TaskProgress::decode(payload.as_slice()) else {
                    continue;
                };
                if let Some((_, id)) = name::parse(&progress.name, "tasks") {
                    hub.dispatch_progress(&project, id, &progress);
                }
            }
        }))
    }
}

impl Drop for ProgressReader {
    fn drop(&mut self) {
        self.0.abort();
    }
}
