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
    let of_projects = tasks.into_values().filter_map(|progress| {
        let (project, id) = mps_proto::name::parse(&progress.name, "tasks")?;
        Some((project?.to_owned(), id.to_owned(), progress))
    });
    let of_projects: Vec<(String, String, v1::TaskProgress)> = of_projects.collect();
    let ids: Vec<String> = of_projects.iter().map(|(_, id, _)| id.clone()).collect();
    let earlier = app.queue.progress_of(&ids).await;
    for ((project, id, mut progress), earlier) in of_projects.into_iter().zip(earlier) {
        if let Some(earlier) = earlier.and_then(|bytes| v1::TaskProgress::decode(bytes.as_slice()).ok()) {
            go_on(&mut progress, earlier);
        }
        app.queue.publish_progress(&project, &id, progress.encode_to_vec()).await;
    }
}

/// Progress never falls within a run: a unit that is tried again shows what was reached until it gets further. Nodes of the task's other
/// units stay as they were told.
fn go_on(progress: &mut v1::TaskProgress, earlier: v1::TaskProgress) {
    if earlier.run != progress.run {
        return;
    }
    for (key, reached) in earlier.nodes {
        match progress.nodes.get_mut(&key) {
            None => {
                progress.nodes.insert(key, reached);
            }
            Some(node) => node.fraction = reached.fraction.into_iter().chain(node.fraction).reduce(f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(run: i32, nodes: &[(&str, Option<f64>)]) -> v1::TaskProgress {
        let node = |(key, fraction): &(&str, Option<f64>)| {
            let progress = v1::NodeProgress {
                fraction: *fraction,
                ..Default::default()
            };
            ((*key).to_owned(), progress)
        };
        v1::TaskProgress {
            name: "projects/p/tasks/t".into(),
            run,
            nodes: nodes.iter().map(node).collect(),
        }
    }

    #[test]
    fn progress_never_falls_within_a_run_and_keeps_the_nodes_of_other_units() {
        let mut now = task(1, &[("a", Some(0.1)), ("b", None), ("c", Some(0.9))]);
        go_on(
            &mut now,
            task(1, &[("a", Some(0.5)), ("b", Some(0.2)), ("c", Some(0.3)), ("d", Some(0.7))]),
        );
        assert_eq!(
            now,
            task(1, &[("a", Some(0.5)), ("b", Some(0.2)), ("c", Some(0.9)), ("d", Some(0.7))])
        );
        let mut next_run = task(2, &[("a", Some(0.1))]);
        go_on(&mut next_run, task(1, &[("a", Some(0.5))]));
        assert_eq!(next_run, task(2, &[("a", Some(0.1))]));
    }
}
