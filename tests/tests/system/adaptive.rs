//! Adaptive streams as whole tasks: manifests that ffmpeg reads and a browser plays.

use std::{path::PathBuf, time::Duration};

use mps_proto::v1::{self, Node, TaskState, node::Operation};
use mps_tests::{Stack, StackOptions, browser, media, stack};

fn ladder() -> Node {
    let rendition = |height: i32| v1::Rendition {
        video: Some(v1::VideoSettings {
            height_px: Some(height),
            ..Default::default()
        }),
    };
    Node {
        key: String::new(),
        operation: Some(Operation::AdaptiveStream(v1::AdaptiveStreamNode {
            source: Some(v1::adaptive_stream_node::Source::Inline(v1::AdaptiveStreamSettings {
                segment_duration: Some(Duration::from_secs(2).try_into().expect("short")),
                renditions: vec![rendition(360), rendition(180)],
                audio: vec![v1::AudioRendition {
                    audio: Some(v1::AudioSettings::default()),
                    ..Default::default()
                }],
                ..Default::default()
            })),
            ..Default::default()
        })),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_plays_by_hls_and_dash() {
    let running = Stack::start(StackOptions::default().slots(1).env("MPS_CORS_ORIGINS", "*")).await;
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 14, "640x360");
    running.upload(&clip, "in/clip.mp4").await;
    let client = running.client().await;
    let name = stack::submit(&client, stack::request("in/clip.mp4", vec![ladder()])).await;
    let task = running.wait_ended(&name, Duration::from_secs(180)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", running.logs());
    let status = &task.node_statuses[0];
    assert!(status.playable_time.is_some());
    assert_eq!(status.outputs.len(), 2, "{:#?}", status.outputs);
    for output in &status.outputs {
        let set = output.set.expect("a manifest tells of its set");
        assert_eq!(set.state(), v1::SetState::Complete);
        assert!(set.member_count >= 7 * 3, "{set:?}");
    }
    let folder = mirror(&running).await;
    for output in &status.outputs {
        let file = output.key.rsplit('/').next().unwrap_or_default();
        let manifest = folder.join(file);
        let probe = media::ffprobe(&manifest);
        assert!(
            media::stream(&probe, "video").is_some() && media::stream(&probe, "audio").is_some(),
            "{probe:#}"
        );
        if browser::is_installed() {
            let kind = if file.ends_with("mpd") { "dash" } else { "hls" };
            let played = browser::play(kind, &manifest.display().to_string(), 10.0, 5.0);
            assert!(played.errors.is_empty(), "{kind}: {played:#?}");
            assert_eq!(played.sizes.len(), 2, "{played:#?}");
            assert!((played.duration - 14.0).abs() < 0.2, "{played:#?}");
        }
    }
}

fn hls(name: &str, source: v1::transcode_node::Source) -> Node {
    Node {
        key: name.to_owned(),
        operation: Some(Operation::Transcode(v1::TranscodeNode {
            source: Some(source),
            output_path: format!("{name}.{{format}}"),
            ..Default::default()
        })),
    }
}

fn fragmented() -> v1::TranscodeSettings {
    v1::TranscodeSettings {
        container: Some(v1::Container::Hls.into()),
        video: Some(v1::VideoSettings {
            height_px: Some(180),
            ..Default::default()
        }),
        audio: Some(v1::AudioSettings::default()),
        hls: Some(v1::HlsSettings {
            segment_duration: Some(Duration::from_secs(3).try_into().expect("short")),
            segment_format: Some(v1::SegmentFormat::Fmp4.into()),
        }),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transcodes_to_hls_play_encoded_and_as_they_are() {
    use v1::transcode_node::Source::{Inline, Template};
    let running = Stack::start(StackOptions::default().slots(1).env("MPS_CORS_ORIGINS", "*")).await;
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 14, "640x360");
    running.upload(&clip, "in/clip.mp4").await;
    let client = running.client().await;
    let nodes = vec![
        hls("encoded", Template("preset-hls-360p".into())),
        hls("copied", Template("preset-remux-hls".into())),
        hls("fragmented", Inline(fragmented())),
    ];
    let name = stack::submit(&client, stack::request("in/clip.mp4", nodes)).await;
    let task = running.wait_ended(&name, Duration::from_secs(180)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", running.logs());
    let folder = mirror(&running).await;
    // The preset makes 25 frames a second.
    for (status, (tracks, frames)) in task.node_statuses.iter().zip([(1, 350), (1, 420), (2, 420)]) {
        let output = &status.outputs[0];
        let set = output.set.expect("a playlist tells of its set");
        assert_eq!(set.state(), v1::SetState::Complete);
        assert!(set.member_count >= tracks * 2, "{set:?}");
        let playlist = folder.join(output.key.rsplit('/').next().unwrap_or_default());
        assert_eq!(media::decode_fully(&playlist), frames, "{}", output.key);
        let probe = media::ffprobe(&playlist);
        assert!(
            media::stream(&probe, "video").is_some() && media::stream(&probe, "audio").is_some(),
            "{probe:#}"
        );
        assert!((media::duration(&probe) - 14.0).abs() < 0.2, "{}", media::duration(&probe));
        if browser::is_installed() {
            let played = browser::play("hls", &playlist.display().to_string(), 10.0, 5.0);
            assert!(played.errors.is_empty(), "{}: {played:#?}", output.key);
            assert!((played.duration - 14.0).abs() < 0.2, "{played:#?}");
        }
    }
}

/// Every output as files in one folder.
async fn mirror(running: &Stack) -> PathBuf {
    let client = running.client().await;
    let folder = running.folder.path().join("mirror");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let listed = client
        .storages()
        .list_objects(v1::ListObjectsRequest {
            storage: "local".into(),
            directory: "out/".into(),
            recursive: true,
            page_size: 1000,
            ..Default::default()
        })
        .await
        .expect("objects can be listed")
        .into_inner();
    for object in listed.objects {
        let file = folder.join(object.key.rsplit('/').next().unwrap_or_default());
        client.download("local", &object.key, &file, |_| {}).await.expect("download works");
    }
    folder
}
