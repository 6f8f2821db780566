//! Order of work: priority, then fair shares, then age.

use std::time::Duration;

use futures::{StreamExt, stream};
use mps_client::Client;
use mps_proto::v1::{self, TaskState, WaitingReason};
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{request, submit, transcode},
};

async fn flood(client: &Client, count: usize) {
    stream::iter(0..count)
        .for_each_concurrent(32, |number| async move {
            let mut low = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
            low.priority = -5;
            low.output = Some(v1::TaskOutput {
                storage: String::new(),
                directory: format!("out/{number}/"),
            });
            submit(client, low).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn urgent_task_and_other_project_overtake_10000_queued_tasks() {
    let mut stack = Stack::start(StackOptions::on(DatabaseKind::Postgres).workers(0)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 1, "320x240");
    stack.upload(&clip, "in/clip.mp4").await;
    let client = stack.client().await;
    flood(&client, 10_000).await;

    let mut access = client.access();
    let project = v1::CreateProjectRequest {
        project_id: "other".into(),
        display_name: "Other".into(),
    };
    access.create_project(project).await.expect("project is made");
    let key = v1::CreateApiKeyRequest {
        parent: "projects/other".into(),
        role: v1::Role::Operator as i32,
        ..Default::default()
    };
    let secret = access.create_api_key(key).await.expect("key is made").into_inner().secret;
    let other = stack.client_with(&secret).await;
    other
        .upload_file("local", "in/clip.mp4", &clip, |_| {})
        .await
        .expect("upload works");

    let mut low = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    low.priority = -5;
    let fair = submit(&other, low).await;
    let mut urgent = request("in/clip.mp4", vec![transcode("preset-h264-360p")]);
    urgent.priority = 10;
    urgent.output = Some(v1::TaskOutput {
        storage: String::new(),
        directory: "out/urgent/".into(),
    });
    let urgent = submit(&client, urgent).await;
    let waiting = mps_tests::stack::get(&client, &urgent).await.expect("task is there");
    assert_eq!(waiting.waiting_reason(), WaitingReason::NoWorker);

    stack.options.slots = 1;
    stack.add_worker();
    let urgent = stack.wait_ended(&urgent, Duration::from_secs(60)).await;
    let fair = stack.wait_ended(&fair, Duration::from_secs(60)).await;
    assert_eq!(
        (urgent.state(), fair.state()),
        (TaskState::Succeeded, TaskState::Succeeded),
        "{urgent:#?} {fair:#?}"
    );
    assert!(
        urgent.start_time.map(|t| (t.seconds, t.nanos)) < fair.start_time.map(|t| (t.seconds, t.nanos)),
        "the urgent task starts first"
    );
    let filter = "state = TASK_STATE_SUCCEEDED".to_owned();
    let done = client
        .tasks()
        .list_tasks(v1::ListTasksRequest {
            filter,
            page_size: 100,
            ..Default::default()
        })
        .await
        .expect("list works");
    let done = done.into_inner().tasks.len();
    assert!(
        done <= 6,
        "the other project's task is not behind the first one's 10,000, but {done} ended before it was seen to have ended"
    );
}
