//! Watching tasks over restarts of the client and losses of Redis.

use std::{collections::HashMap, time::Duration};

use mps_proto::v1::{self, WatchTasksRequest, WatchTasksResponse, watch_tasks_response::Event};
use mps_tests::{Stack, StackOptions, media, stack, wait::until};
use tonic::Streaming;

/// What a client knows: the last state of every task by name.
#[derive(Default)]
struct View {
    tasks: HashMap<String, v1::Task>,
    token: String,
    complete: bool,
    resets: usize,
}

impl View {
    fn take(&mut self, message: WatchTasksResponse) {
        if !message.resume_token.is_empty() {
            self.token = message.resume_token;
        }
        match message.event {
            Some(Event::Task(task)) => drop(self.tasks.insert(task.name.clone(), task)),
            Some(Event::Removed(removed)) => drop(self.tasks.remove(&removed.name)),
            Some(Event::Reset(_)) => {
                self.tasks.clear();
                self.resets += 1;
                self.complete = false;
            }
            Some(Event::InitialStateComplete(_)) => self.complete = true,
            _ => {}
        }
    }

    async fn read_until(&mut self, stream: &mut Streaming<WatchTasksResponse>, what: &str, done: impl Fn(&Self) -> bool) {
        let read = async {
            while !done(self) {
                let message = stream.message().await.expect("stream goes on").expect("stream does not end");
                self.take(message);
            }
        };
        tokio::time::timeout(Duration::from_secs(20), read)
            .await
            .unwrap_or_else(|_| panic!("not within 20 s: {what}"));
    }
}

async fn watch(stack: &Stack, token: &str) -> Streaming<WatchTasksResponse> {
    let request = WatchTasksRequest {
        resume_token: token.to_owned(),
        ..Default::default()
    };
    stack
        .client()
        .await
        .tasks()
        .watch_tasks(request)
        .await
        .expect("watch starts")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn returning_watcher_ends_with_the_last_state_of_every_task() {
    let mut running = Stack::start(StackOptions::default().workers(0)).await;
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 1, "320x240");
    let client = running.client().await;
    let mut names = Vec::new();
    for number in 0..3 {
        let key = format!("in/{number}.mp4");
        running.upload(&clip, &key).await;
        names.push(stack::submit(&client, stack::request(&key, vec![stack::transcode("preset-h264-360p")])).await);
    }
    let mut view = View::default();
    let mut stream = watch(&running, "").await;
    view.read_until(&mut stream, "snapshot", |view| view.complete && !view.token.is_empty())
        .await;
    assert_eq!(view.tasks.len(), 3);
    drop(stream);

    client
        .tasks()
        .cancel_task(v1::CancelTaskRequest {
            name: names[0].clone(),
            ..Default::default()
        })
        .await
        .expect("cancelled");
    client
        .tasks()
        .cancel_task(v1::CancelTaskRequest {
            name: names[1].clone(),
            ..Default::default()
        })
        .await
        .expect("cancelled");
    client
        .tasks()
        .delete_task(v1::DeleteTaskRequest {
            name: names[1].clone(),
            ..Default::default()
        })
        .await
        .expect("deleted");
    let mut stream = watch(&running, &view.token.clone()).await;
    let (cancelled, deleted) = (names[0].clone(), names[1].clone());
    view.read_until(&mut stream, "changes while away", |view| {
        view.tasks
            .get(&cancelled)
            .is_some_and(|task| task.state() == v1::TaskState::Cancelled)
            && !view.tasks.contains_key(&deleted)
    })
    .await;
    assert_eq!(view.resets, 0, "nothing was lost, so nothing is reset");
    drop(stream);

    running.kill_redis();
    running.start_redis();
    client
        .tasks()
        .cancel_task(v1::CancelTaskRequest {
            name: names[2].clone(),
            ..Default::default()
        })
        .await
        .expect("cancelled");
    let mut stream = watch(&running, &view.token.clone()).await;
    let last = names[2].clone();
    view.read_until(&mut stream, "reset and snapshot after Redis was lost", |view| {
        view.resets >= 1 && view.complete && view.tasks.get(&last).is_some_and(|task| task.state() == v1::TaskState::Cancelled)
    })
    .await;
    assert_eq!(view.tasks.len(), 2);
    until("watch is quiet", Duration::from_secs(1), || async { Some(()) }).await;
}
