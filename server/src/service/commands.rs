//! Commands from any replica to the one that a worker is connected to, and progress the other way.
//! Commands are hints: the answer to a renewal says the same. Progress may be dropped.

use std::collections::BTreeMap;

use mps_proto::{
    v1,
    worker::v1::{OpenChannelResponse, UnitProgress, open_channel_response::Command},
};
use prost::Message;

use crate::app::App;

/// Sends a command to a worker, wherever it is connected.
pub async fn send(app: &App, worker_id: &str, command: Command) {
    let message = OpenChannelResponse { command: Some(command) };
    app.queue.send_command(worker_id, message.encode_to_vec()).await;
}

/// Commands for one worker, as they come. Never ends.
pub fn stream(app: &App, worker_id: &str) -> impl futures::Stream<Item = OpenChannelResponse> + Send + 'static {
    futures::stream::unfold(app.queue.commands(worker_id), |mut commands| async move {
        loop {
            match OpenChannelResponse::decode(commands.next().await.as_slice()) {
                Ok(command) => return Some((command, commands)),
                Err(error) => tracing::warn!(%error, "command to a worker does not decode"),
            }
        }
    })
}

/// Tells watchers how far units are: one message per task, with all its nodes.
pub async fn publish_progress(app: &App, units: Vec<UnitProgress>) {
    let mut tasks: BTreeMap<String, v1::TaskProgress> = BTreeMap::new();
    for unit in units {
        let progress = tasks.entry(unit.task_name.clone()).or_insert_with(|| v1::TaskProgress {
            name: unit.task_name,
            run: unit.run,
            nodes: BTreeMap::new(),
        });
        // a thawed worker may still speak of an earlier run
        if unit.run == progress.run {
            progress.nodes.extend(unit.nodes);
        }
    }
    for (name, progress) in tasks {
        if let Some((Some(project), id)) = mps_proto::name::parse(&name, "tasks") {
            app.queue.publish_progress(project, id, progress.encode_to_vec()).await;
        }
    }
}
