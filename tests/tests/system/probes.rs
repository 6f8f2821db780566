//! Probes on a busy machine: the question what a file contains waits for no task.

use std::time::{Duration, Instant};

use mps_proto::v1::{self, MediaInfo, TaskState};
use mps_tests::{
    Stack, StackOptions, media,
    stack::{request, submit, transcode},
    wait::until,
};

/// What a caller is promised on a machine of any load.
const PROMISED: Duration = Duration::from_secs(2);

async fn probe(stack: &Stack, key: &str) -> MediaInfo {
    let object = v1::StorageObject {
        storage: "local".into(),
        key: key.into(),
    };
    let request = v1::ProbeMediaRequest {
        parent: "projects/default".into(),
        input: Some(v1::TaskInput {
            source: Some(v1::task_input::Source::Object(object)),
        }),
    };
    let answer = stack.client().await.storages().probe_media(request).await;
    let answer = answer.unwrap_or_else(|status| panic!("not probed: {status:?}\n{}", stack.logs()));
    answer.into_inner().media.expect("an answer carries what was found")
}

/// As many children as there are slots carry out tasks, and more tasks wait.
async fn keep_busy(stack: &Stack) -> Vec<String> {
    let slow = stack.folder.path().join("slow.mp4");
    media::slow_clip(&slow, 8);
    stack.upload(&slow, "in/slow.mp4").await;
    let client = stack.client().await;
    let mut names = Vec::new();
    for number in 0..stack.options.slots + 1 {
        let mut task = request("in/slow.mp4", vec![transcode("preset-h264-720p")]);
        task.output = Some(v1::TaskOutput {
            storage: String::new(),
            directory: format!("out/{number}/"),
        });
        names.push(submit(&client, task).await);
    }
    until("every slot is busy", Duration::from_secs(30), || async {
        let mut decoding = 0;
        for name in &names {
            let task = mps_tests::stack::get(&client, name).await?;
            decoding += usize::from(task.state() == TaskState::Processing);
        }
        let all = decoding == stack.options.slots && stack.workers[0].children().len() == decoding;
        all.then_some(())
    })
    .await;
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_is_answered_while_every_slot_is_busy() {
    let stack = Stack::start(StackOptions::default()).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 4, "320x240");
    stack.upload(&clip, "in/clip.mp4").await;
    let names = keep_busy(&stack).await;
    for round in 0..3 {
        let asked = Instant::now();
        let found = probe(&stack, "in/clip.mp4").await;
        let took = asked.elapsed();
        assert!(took < PROMISED, "probe {round} took {took:?} on a busy machine\n{}", stack.logs());
        assert_eq!((found.container.as_str(), found.streams.len()), ("mp4", 2));
    }
    let client = stack.client().await;
    for name in names {
        let task = mps_tests::stack::get(&client, &name).await.expect("the task is there");
        assert!(!mps_tests::stack::is_ended(task.state()), "the machine was busy all the time");
        let cancel = v1::CancelTaskRequest {
            name,
            ..Default::default()
        };
        client.tasks().cancel_task(cancel).await.expect("cancelled");
    }
}
