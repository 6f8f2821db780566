//! Bad requests: every violation at once, with field paths; nothing is accepted.

use mps_proto::v1::{self, TaskInput, TaskOutput, node::Operation, task_input::Source, transcode_node};
use mps_tests::{
    Stack, StackOptions, media,
    stack::{request, snapshots, submit, transcode},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_request_gets_all_violations_at_once() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let client = stack.client().await;
    let mut bad = request("in/../clip.mp4", vec![transcode("preset-nothing"), snapshots(&["5 apples", "10%"])]);
    bad.priority = 11;
    bad.session_context = "x".repeat(1001);
    bad.nodes[0].key = "Bad Key".into();
    let status = client.tasks().process_media(bad).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_ARGUMENT")
    );
    let fields = fields(&status);
    for wanted in [
        "priority",
        "session_context",
        "input.object.key",
        "nodes[0].key",
        "nodes[0].transcode.template",
        "nodes[1].snapshot.offsets[0]",
    ] {
        assert!(fields.iter().any(|field| field == wanted), "{wanted} is missing in {fields:?}");
    }
    let tasks = client
        .tasks()
        .list_tasks(v1::ListTasksRequest::default())
        .await
        .expect("list works")
        .into_inner()
        .tasks;
    assert!(tasks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clashing_paths_and_an_overwritten_input_are_refused_up_front() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let client = stack.client().await;
    let twice = request("in/clip.mp4", vec![transcode("preset-h264-360p"), transcode("preset-h264-360p")]);
    assert_eq!(client.tasks().process_media(twice).await.unwrap_err().code(), Code::InvalidArgument);

    let mut over = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    if let Some(Operation::Transcode(node)) = &mut over.nodes[0].operation {
        node.output_path = "/in/clip.mp4".into();
    }
    let status = client.tasks().process_media(over).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(fields(&status).iter().any(|field| field.contains("nodes[0]")), "{status:?}");

    let first = submit(&client, request("in/clip.mp4", vec![transcode("preset-h264-360p")])).await;
    let status = client
        .tasks()
        .process_media(request("in/clip.mp4", vec![transcode("preset-h264-360p")]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "OUTPUT_KEY_RESERVED")
    );
    let id = first.rsplit('/').next().expect("a name has an id");
    assert!(format!("{status:?}").contains(id), "the first task is named: {status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_id_replays_and_session_id_refuses() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let client = stack.client().await;
    let mut first = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    first.request_id = "request-1".into();
    first.session_id = "session-1".into();
    let answer = client.tasks().process_media(first.clone()).await.expect("accepted").into_inner();
    let again = client.tasks().process_media(first.clone()).await.expect("replayed").into_inner();
    assert!(again.deduplicated && !answer.deduplicated);
    assert_eq!(again.task.map(|task| task.name), answer.task.map(|task| task.name));

    let mut other = first.clone();
    other.priority = 3;
    let status = client.tasks().process_media(other).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "REQUEST_ID_REUSED")
    );

    let mut other = first;
    other.request_id = "request-2".into();
    other.output = Some(TaskOutput {
        storage: String::new(),
        directory: "elsewhere/".into(),
    });
    let status = client.tasks().process_media(other).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "SESSION_ID_REUSED")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_without_the_permission_is_refused_at_once() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let client = stack.client().await;
    let mut unknown = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    unknown.output = Some(TaskOutput {
        storage: "nowhere".into(),
        directory: "out/".into(),
    });
    let status = client.tasks().process_media(unknown).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::NotFound | Code::FailedPrecondition | Code::InvalidArgument),
        "{status:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validate_only_answers_the_plan_and_accepts_nothing() {
    let stack = Stack::start(StackOptions::default().workers(1)).await;
    let client = stack.client().await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 1, "320x240");
    stack.upload(&clip, "in/clip.mp4").await;
    let mut ask = request("in/clip.mp4", vec![transcode("preset-h264-360p"), snapshots(&["10%"])]);
    ask.validate_only = true;
    let answer = client.tasks().process_media(ask).await.expect("plan").into_inner();
    let plan = answer.plan.expect("the plan is there");
    assert_eq!(plan.units.len(), 1, "one pass for both nodes");
    assert_eq!(plan.units[0].node_keys.len(), 2);
    assert_eq!(plan.units[0].output_keys.len(), 2);
    let tasks = client
        .tasks()
        .list_tasks(v1::ListTasksRequest::default())
        .await
        .expect("list works")
        .into_inner()
        .tasks;
    assert!(tasks.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn url_input_needs_an_output_storage_and_a_plain_scheme() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let client = stack.client().await;
    let mut bad = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    bad.input = Some(TaskInput {
        source: Some(Source::Url("file:///etc/passwd".into())),
    });
    bad.output = None;
    let status = client.tasks().process_media(bad).await.unwrap_err();
    let fields = fields(&status);
    assert!(fields.iter().any(|field| field == "input.url"), "{fields:?}");
    assert!(fields.iter().any(|field| field.starts_with("output")), "{fields:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_out_of_range_are_named_by_path() {
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let settings = v1::TranscodeSettings {
        video: Some(v1::VideoSettings {
            crf: Some(52),
            width_px: Some(15),
            ..Default::default()
        }),
        audio: Some(v1::AudioSettings {
            bitrate_bps: Some(1),
            ..Default::default()
        }),
        ..Default::default()
    };
    let node = v1::TranscodeNode {
        source: Some(transcode_node::Source::Inline(settings)),
        ..Default::default()
    };
    let node = v1::Node {
        operation: Some(Operation::Transcode(node)),
        ..Default::default()
    };
    let status = stack
        .client()
        .await
        .tasks()
        .process_media(request("in/clip.mp4", vec![node]))
        .await
        .unwrap_err();
    let fields = fields(&status);
    for wanted in ["video.crf", "video.width_px", "audio.bitrate_bps"] {
        let path = format!("nodes[0].transcode.inline.{wanted}");
        assert!(fields.contains(&path), "{path} is missing in {fields:?}");
    }
}
