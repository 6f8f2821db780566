//! Files whose number follows from the input, and files that nodes need besides it.

use std::time::Duration;

use mps_proto::v1::{self, ErrorReason, NodeState, TaskState};
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{request, snapshots, submit},
};

fn samples(every: &str) -> v1::Node {
    let seconds: f64 = every.parse().unwrap();
    let interval = prost_types::Duration::try_from(Duration::from_secs_f64(seconds)).unwrap();
    let settings = v1::SampleSnapshotSettings {
        interval: Some(interval),
        ..Default::default()
    };
    let node = v1::SampleSnapshotNode {
        source: Some(v1::sample_snapshot_node::Source::Inline(settings)),
        ..Default::default()
    };
    v1::Node {
        operation: Some(v1::node::Operation::SampleSnapshot(node)),
        ..Default::default()
    }
}

/// Snapshots with a mark from an object.
fn marked(key: &str) -> v1::Node {
    let mut node = snapshots(&["1s"]);
    let object = v1::StorageObject {
        storage: "local".into(),
        key: key.into(),
    };
    let image = v1::WatermarkSettings {
        image: Some(v1::ImageWatermark {
            source: Some(v1::image_watermark::Source::Object(object)),
            ..Default::default()
        }),
        ..Default::default()
    };
    if let Some(v1::node::Operation::Snapshot(snapshot)) = &mut node.operation {
        snapshot.output_path = "marked.jpg".into();
        snapshot.watermarks.push(v1::Watermark {
            source: Some(v1::watermark::Source::Inline(image)),
            ..Default::default()
        });
    }
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_are_as_many_as_the_input_has_room_for() {
    let stack = Stack::start(StackOptions::on(DatabaseKind::Sqlite)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 4, "320x180");
    stack.upload(&clip, "in/clip.mp4").await;
    let name = submit(&stack.client().await, request("in/clip.mp4", vec![samples("0.5")])).await;
    let task = stack.wait_ended(&name, Duration::from_secs(120)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", stack.logs());
    let outputs = &task.node_statuses[0].outputs;
    let numbers: Vec<i32> = outputs.iter().map(|output| output.number).collect();
    assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    for output in outputs {
        assert!(output.key.ends_with(&format!("_{}.jpg", output.number)), "{}", output.key);
        assert!(output.source_offset.is_some() && output.media.is_some());
        let probe = media::ffprobe(&stack.fetch_output(output).await);
        assert_eq!(media::stream(&probe, "video").expect("a picture")["codec_name"], "mjpeg");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mark_that_is_not_there_fails_its_node_only() {
    let stack = Stack::start(StackOptions::on(DatabaseKind::Sqlite)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 4, "320x180");
    stack.upload(&clip, "in/clip.mp4").await;
    let nodes = vec![snapshots(&["1s"]), marked("in/missing.png")];
    let name = submit(&stack.client().await, request("in/clip.mp4", nodes)).await;
    let task = stack.wait_ended(&name, Duration::from_secs(120)).await;
    assert_eq!(task.state(), TaskState::PartiallySucceeded, "{task:#?}\n{}", stack.logs());
    assert_eq!(task.node_statuses[0].state(), NodeState::Succeeded);
    let error = task.node_statuses[1].error.clone().unwrap();
    assert!(error.message.starts_with("in/missing.png: "), "{}", error.message);
    let details = format!("{:?}", error.details);
    let reason = ErrorReason::InputNotFound
        .as_str_name()
        .trim_start_matches("ERROR_REASON_")
        .to_owned();
    assert!(String::from_utf8_lossy(&error.details[0].value).contains(&reason), "{details}");
}
