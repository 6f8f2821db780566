//! One file in, processed files out.

use std::time::Duration;

use mps_proto::v1::{NodeState, TaskState};
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{request, snapshots, submit, transcode},
};

async fn outputs_are_right_on(kind: DatabaseKind) {
    let stack = Stack::start(StackOptions::on(kind)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 4, "1280x720");
    stack.upload(&clip, "in/clip.mp4").await;

    let nodes = vec![
        transcode("preset-h264-720p"),
        transcode("preset-h264-360p"),
        snapshots(&["0.5s", "50%", "-1s"]),
    ];
    let name = submit(&stack.client().await, request("in/clip.mp4", nodes)).await;
    let task = stack.wait_ended(&name, Duration::from_secs(180)).await;

    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", stack.logs());
    assert_eq!(task.node_statuses.len(), 3);
    for (node, height) in task.node_statuses.iter().zip([720, 360]) {
        assert_eq!(node.state(), NodeState::Succeeded);
        let path = stack.fetch_output(&node.outputs[0]).await;
        let probe = media::ffprobe(&path);
        let video = media::stream(&probe, "video").expect("output has video");
        assert_eq!(
            (video["height"].as_i64(), video["codec_name"].as_str()),
            (Some(height), Some("h264"))
        );
        assert_eq!(media::stream(&probe, "audio").expect("output has audio")["codec_name"], "aac");
        assert!((media::duration(&probe) - 4.0).abs() < 0.05, "duration {}", media::duration(&probe));
        assert_eq!(media::decode_fully(&path), 120);
        let counters = node.counters.as_ref().expect("counters are reported");
        assert_eq!(counters.video_decoders, 1, "the input is decoded once for all nodes");
        assert!(
            (120..=125).contains(&counters.decoded_frames),
            "{} frames were decoded",
            counters.decoded_frames
        );
    }
    let pictures = &task.node_statuses[2].outputs;
    assert_eq!(pictures.len(), 3);
    for picture in pictures {
        let probe = media::ffprobe(&stack.fetch_output(picture).await);
        assert_eq!(media::stream(&probe, "video").expect("a picture")["codec_name"], "mjpeg");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_task_gives_right_outputs_in_one_pass_on_sqlite() {
    outputs_are_right_on(DatabaseKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_task_gives_right_outputs_in_one_pass_on_postgres() {
    outputs_are_right_on(DatabaseKind::Postgres).await;
}
