//! Inputs from web servers, good and bad: a right output, or a typed error with a hint, within a deadline.

use std::time::Duration;

use mps_proto::v1::{Task, TaskInput, TaskOutput, TaskState, task_input::Source};
use mps_tests::{
    Stack, StackOptions, media,
    stack::{request, submit, transcode},
    web::{Habit, Web},
};

/// A stack whose worker may fetch from loopback and gives up soon.
async fn stack() -> Stack {
    let options = StackOptions::default().env("MPS_ALLOW_PRIVATE_URLS", "true");
    Stack::start(options).await
}

async fn process(stack: &Stack, url: &str, number: usize) -> Task {
    let mut ask = request("unused.mp4", vec![transcode("preset-h264-360p")]);
    ask.input = Some(TaskInput {
        source: Some(Source::Url(url.into())),
    });
    ask.output = Some(TaskOutput {
        storage: "local".into(),
        directory: format!("out/{number}/"),
    });
    let name = submit(&stack.client().await, ask).await;
    stack.wait_ended(&name, Duration::from_secs(120)).await
}

fn clip(stack: &Stack) -> Vec<u8> {
    let path = stack.folder.path().join("clip.mp4");
    media::clip(&path, 3, "640x360");
    std::fs::read(path).expect("clip was made")
}

fn reason(task: &Task) -> String {
    use prost::Message;
    let details = task.error.iter().flat_map(|error| &error.details);
    details
        .filter(|detail| detail.type_url.ends_with("google.rpc.ErrorInfo"))
        .filter_map(|detail| mps_proto::rpc::ErrorInfo::decode(detail.value.as_slice()).ok())
        .map(|info| info.reason)
        .next()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clip_comes_whole_from_servers_of_every_habit() {
    let stack = stack().await;
    let body = clip(&stack);
    for (number, habit) in [Habit::Plain, Habit::NoRange, Habit::Chunked, Habit::NoLength, Habit::Cut]
        .into_iter()
        .enumerate()
    {
        let web = Web::start(habit, body.clone()).await;
        let task = process(&stack, &web.url("my%20clip.mp4"), number).await;
        assert_eq!(task.state(), TaskState::Succeeded, "{habit:?}: {task:#?}\n{}", stack.logs());
        let output = stack.fetch_output(&task.node_statuses[0].outputs[0]).await;
        assert_eq!(media::decode_fully(&output), 90, "{habit:?}");
        if habit == Habit::Cut {
            assert!(web.requests() >= 3, "a cut download goes on where it was cut");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_changing_and_listing_inputs_are_refused_with_a_reason() {
    let stack = stack().await;
    let body = clip(&stack);
    let playlist = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n".to_vec();
    for (number, (habit, body, name, reasons)) in [
        (Habit::Missing, body.clone(), "clip.mp4", &["INPUT_NOT_FOUND"][..]),
        (Habit::Changing, body.clone(), "clip.mp4", &["INPUT_CHANGED"][..]),
        (
            Habit::Plain,
            playlist.clone(),
            "list.m3u8",
            &["INPUT_NOT_MEDIA", "INPUT_FORBIDDEN"][..],
        ),
        (Habit::Plain, playlist, "list.mp4", &["INPUT_NOT_MEDIA", "INPUT_FORBIDDEN"][..]),
        (Habit::Plain, b"plain words\n".repeat(50), "text.mp4", &["INPUT_NOT_MEDIA"][..]),
        (Habit::Plain, Vec::new(), "empty.mp4", &["INPUT_NOT_MEDIA"][..]),
    ]
    .into_iter()
    .enumerate()
    {
        let web = Web::start(habit, body).await;
        let task = process(&stack, &web.url(name), number).await;
        assert_eq!(task.state(), TaskState::Failed, "{habit:?} {name}");
        assert!(reasons.contains(&reason(&task).as_str()), "{habit:?} {name}: {task:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_addresses_are_refused_unless_allowed() {
    let stack = Stack::start(StackOptions::default()).await;
    let web = Web::start(Habit::Plain, clip(&stack)).await;
    for (number, url) in [
        web.url("clip.mp4"),
        format!("http://localhost:{}/clip.mp4", web.port),
        format!("http://[::ffff:127.0.0.1]:{}/clip.mp4", web.port),
        format!("http://2130706433:{}/clip.mp4", web.port),
    ]
    .into_iter()
    .enumerate()
    {
        let task = process(&stack, &url, number).await;
        assert_eq!(
            (task.state(), reason(&task).as_str()),
            (TaskState::Failed, "INPUT_FORBIDDEN"),
            "{url}: {task:#?}"
        );
    }
    assert_eq!(web.requests(), 0, "nothing was connected to");
}
