//! The server dies at each edge of a commit: the outputs exist once, whole, and nothing is encoded twice.

use std::time::Duration;

use mps_proto::v1::TaskState;
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{request, submit, transcode},
    wait::until,
};

/// Names the edge at which a debug build of the server aborts, once.
const CRASH_AT: &str = "MPS_TEST_CRASH_AT";

async fn commit_is_rolled_forward_after(edge: &str, kind: DatabaseKind) {
    let mut stack = Stack::start(StackOptions::on(kind).env(CRASH_AT, edge).env("MPS_COMMIT_TTL", "2s")).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 2, "320x240");
    stack.upload(&clip, "in/clip.mp4").await;
    let nodes = vec![transcode("preset-h264-360p"), transcode("preset-m4a-96k")];
    let name = submit(&stack.client().await, request("in/clip.mp4", nodes)).await;

    let crashed = std::time::Instant::now();
    while stack.server.as_mut().is_some_and(|server| server.is_alive()) {
        assert!(
            crashed.elapsed() < Duration::from_secs(60),
            "the server never reached {edge}\n{}",
            stack.logs()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stack.options.server_env.retain(|(key, _)| key != CRASH_AT);
    stack.start_server().await;

    let task = stack.wait_ended(&name, Duration::from_secs(60)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{edge}: {task:#?}\n{}", stack.logs());
    for status in &task.node_statuses {
        assert_eq!(status.attempts, 1, "{edge}: a stored commit is rolled forward, not done again");
        assert_eq!(status.outputs.len(), 1);
        stack.fetch_output(&status.outputs[0]).await;
    }
    let worker = &stack.workers[0];
    until("the worker has dropped its scratch", Duration::from_secs(20), || async {
        worker.children().is_empty().then_some(())
    })
    .await;
}

macro_rules! edges {
    ($($test:ident: $edge:literal on $kind:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            commit_is_rolled_forward_after($edge, DatabaseKind::$kind).await;
        }
    )*};
}

edges! {
    server_killed_after_the_part_lists_were_stored_publishes_on_sqlite: "commit.stored" on Sqlite;
    server_killed_after_the_part_lists_were_stored_publishes_on_postgres: "commit.stored" on Postgres;
    server_killed_between_two_completed_uploads_publishes_on_sqlite: "commit.completed_one" on Sqlite;
    server_killed_between_two_completed_uploads_publishes_on_postgres: "commit.completed_one" on Postgres;
    server_killed_before_publishing_publishes_on_sqlite: "commit.before_publish" on Sqlite;
    server_killed_before_publishing_publishes_on_postgres: "commit.before_publish" on Postgres;
    server_killed_after_publishing_publishes_once_on_sqlite: "commit.published" on Sqlite;
    server_killed_after_publishing_publishes_once_on_postgres: "commit.published" on Postgres;
}
