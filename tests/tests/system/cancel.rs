//! Cancelling a running task.

use std::time::Duration;

use mps_proto::v1::{CancelTaskRequest, TaskState};
use mps_tests::{
    Stack, StackOptions, media,
    stack::{request, submit, transcode},
    wait::until,
};

async fn child_is_gone_within(redis_down: bool, limit: Duration) {
    let mut stack = Stack::start(StackOptions::default()).await;
    let clip = stack.folder.path().join("slow.mp4");
    media::slow_clip(&clip, 20);
    stack.upload(&clip, "in/slow.mp4").await;
    let client = stack.client().await;
    let name = submit(&client, request("in/slow.mp4", vec![transcode("preset-h264-720p")])).await;
    until("the child runs", Duration::from_secs(20), || async {
        (!stack.workers[0].children().is_empty()).then_some(())
    })
    .await;
    if redis_down {
        stack.kill_redis();
    }
    client
        .tasks()
        .cancel_task(CancelTaskRequest {
            name: name.clone(),
            ..Default::default()
        })
        .await
        .expect("cancel is taken");
    until("the child is gone", limit, || async {
        stack.workers[0].children().is_empty().then_some(())
    })
    .await;
    let task = stack.wait_ended(&name, Duration::from_secs(20)).await;
    assert_eq!(task.state(), TaskState::Cancelled);
    until("scratch is empty", Duration::from_secs(5), || async {
        files_in(&stack.scratch(0)).is_empty().then_some(())
    })
    .await;
}

fn files_in(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .flat_map(|entry| {
            if entry.path().is_dir() {
                files_in(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_child_is_gone_within_5_s() {
    child_is_gone_within(false, Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_child_is_gone_within_10_s_without_redis() {
    child_is_gone_within(true, Duration::from_secs(10)).await;
}
