//! A thousand watchers on one server, one of which never reads.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::FuturesUnordered};
use mps_proto::v1::{self, TaskState, watch_tasks_response::Event};
use mps_tests::{
    Stack, StackOptions,
    bench::cpu::resident_mb,
    stack::{request, submit, transcode},
};
use tonic::Streaming;

const WATCHERS: usize = 1000;
/// Streams that share a connection.
const PER_CONNECTION: usize = 50;
/// Changes that each watcher must see.
const TASKS: usize = 20;

async fn wait_for(mut stream: Streaming<v1::WatchTasksResponse>, name: &str) -> Streaming<v1::WatchTasksResponse> {
    loop {
        let message = stream.message().await.expect("stream goes on").expect("stream does not end");
        if let Some(Event::Task(task)) = message.event
            && task.name == name
            && task.state() == TaskState::Cancelled
        {
            return stream;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_watchers_see_each_change_although_one_never_reads() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let mut streams = Vec::new();
    while streams.len() < WATCHERS {
        let client = stack.client().await;
        for _ in 0..PER_CONNECTION {
            let stream = client
                .tasks()
                .watch_tasks(v1::WatchTasksRequest::default())
                .await
                .expect("watch starts");
            streams.push(stream.into_inner());
        }
    }
    let deaf = stack
        .client()
        .await
        .tasks()
        .watch_tasks(v1::WatchTasksRequest::default())
        .await
        .expect("watch starts");
    let server = stack.server.as_ref().expect("server runs").pid().as_raw();
    let before = resident_mb(server);

    let client = stack.client().await;
    let mut slowest = Duration::ZERO;
    for number in 0..TASKS {
        let name = submit(&client, request(&format!("in/{number}.mp4"), vec![transcode("preset-h264-360p")])).await;
        let cancel = v1::CancelTaskRequest {
            name: name.clone(),
            ..Default::default()
        };
        client.tasks().cancel_task(cancel).await.expect("cancelled");
        let changed = Instant::now();
        let mut waiting: FuturesUnordered<_> = streams.drain(..).map(|stream| wait_for(stream, &name)).collect();
        let all = async {
            let mut back = Vec::with_capacity(WATCHERS);
            while let Some(stream) = waiting.next().await {
                back.push(stream);
            }
            back
        };
        streams = tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .expect("every watcher sees the change");
        slowest = slowest.max(changed.elapsed());
    }
    // Client and server share this machine's cores: the promise of 1 s is the server's, the rest is room for a thousand clients.
    assert!(slowest < Duration::from_secs(3), "the slowest change took {slowest:?}");
    let grown = resident_mb(server) - before;
    assert!(grown < 100.0, "the server grew by {grown:.0} MB");
    drop(deaf);
}
