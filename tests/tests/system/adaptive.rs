//! Adaptive streams as whole tasks: manifests that ffmpeg reads and a browser plays.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use mps_proto::v1::{self, AdaptiveStreamNode, AdaptiveStreamSettings, Node, SegmentFormat, TaskState, node::Operation};
use mps_tests::{
    Stack, StackOptions, browser, media, stack,
    streams::{self, MediaPlaylist},
};

const DIRECTORY: &str = "out/in/clip.mp4/";
/// Of the clip, in segments of 2 s.
const SECONDS: u32 = 14;
const SEGMENTS: usize = 7;

#[tokio::test(flavor = "multi_thread")]
async fn stream_plays_by_hls_and_dash() {
    let running = Stack::start(StackOptions::default().slots(1).env("MPS_CORS_ORIGINS", "*")).await;
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 14, "640x360");
    running.upload(&clip, "in/clip.mp4").await;
    let client = running.client().await;
    let name = stack::submit(
        &client,
        stack::request("in/clip.mp4", vec![streams::node(streams::stream(streams::ladder(&[360, 180])))]),
    )
    .await;
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
    let folder = running.mirror(DIRECTORY).await;
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
    let folder = running.mirror(DIRECTORY).await;
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

/// The folder with everything that a stream of the clip published.
async fn made(running: &Stack, stream: AdaptiveStreamNode) -> PathBuf {
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, SECONDS, "320x180");
    running.upload(&clip, "in/clip.mp4").await;
    let request = stack::request("in/clip.mp4", vec![streams::node(stream)]);
    let name = stack::submit(&running.client().await, request).await;
    let task = running.wait_ended(&name, Duration::from_secs(120)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", running.logs());
    running.mirror(DIRECTORY).await
}

fn media_playlist(folder: &Path, track: usize) -> MediaPlaylist {
    let text = std::fs::read_to_string(folder.join(format!("film_{track}.m3u8"))).expect("the track has a playlist");
    MediaPlaylist::parse(&text)
}

fn assert_whole(folder: &Path, track: usize, suffix: &str) {
    let playlist = media_playlist(folder, track);
    assert!(
        playlist.is_ended && (playlist.seconds - f64::from(SECONDS)).abs() < 0.05,
        "{playlist:?}"
    );
    assert_eq!(playlist.segments.len(), SEGMENTS);
    assert!(playlist.segments.iter().all(|segment| segment.ends_with(suffix)), "{playlist:?}");
    playlist.assert_continuous(folder);
}

fn frames_of<'a>(streams: &'a [(String, u64)], kind: &'a str) -> Vec<u64> {
    let of_kind = streams.iter().filter(|(of, _)| of == kind);
    of_kind.map(|(_, frames)| *frames).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transport_stream_plays_by_hls() {
    let running = Stack::start(StackOptions::default()).await;
    let settings = AdaptiveStreamSettings {
        segment_format: Some(SegmentFormat::Ts.into()),
        ..streams::ladder(&[180, 90])
    };
    let folder = made(&running, streams::stream(settings)).await;
    assert!(!folder.join("film.mpd").exists());
    for track in 0..3 {
        assert_whole(&folder, track, ".ts");
    }
    let streams = media::frames_of_streams(&folder.join("film.m3u8"));
    assert_eq!(frames_of(&streams, "video"), [u64::from(SECONDS) * 30; 2]);
    assert_eq!(frames_of(&streams, "audio").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_sound_alone_plays_by_hls_and_dash() {
    let running = Stack::start(StackOptions::default()).await;
    let folder = made(&running, streams::stream(streams::ladder(&[]))).await;
    assert_whole(&folder, 0, ".m4s");
    for manifest in ["film.m3u8", "film.mpd"] {
        let streams = media::frames_of_streams(&folder.join(manifest));
        let [(kind, packets)] = streams.as_slice() else {
            panic!("{manifest}: {streams:?}");
        };
        let seconds = *packets as f64 * 1024.0 / 48_000.0;
        assert!(
            kind == "audio" && (seconds - f64::from(SECONDS)).abs() < 0.05,
            "{manifest}: {streams:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soft_subtitles_of_a_stream_lie_in_the_segments_that_show_them() {
    let running = Stack::start(StackOptions::default()).await;
    let srt = running.folder.path().join("text.srt");
    std::fs::write(
        &srt,
        "1\n00:00:01,000 --> 00:00:03,000\nfirst\n\n2\n00:00:09,500 --> 00:00:10,000\nsecond\n",
    )
    .unwrap();
    running.upload(&srt, "in/text.srt").await;
    let object = v1::StorageObject {
        storage: "local".into(),
        key: "in/text.srt".into(),
    };
    let subtitle = v1::Subtitle {
        source: Some(v1::subtitle::Source::Object(object)),
        language: "en".into(),
        ..Default::default()
    };
    let stream = AdaptiveStreamNode {
        subtitles: vec![subtitle],
        ..streams::stream(streams::ladder(&[180]))
    };
    let folder = made(&running, stream).await;
    let cue = |time: &str, text: &str| (time.to_owned(), text.to_owned());
    let first = cue("00:00:01,000 --> 00:00:03,000", "first");
    let second = cue("00:00:09,500 --> 00:00:10,000", "second");

    let playlist = media_playlist(&folder, 2);
    assert_eq!((playlist.segments.len(), playlist.is_ended), (SEGMENTS, true), "{playlist:?}");
    let cues: Vec<_> = playlist.segments.iter().map(|segment| media::cues(&folder.join(segment))).collect();
    let (first, second) = (vec![first], vec![second]);
    let shown = [first.clone(), first.clone(), vec![], vec![], second.clone(), vec![], vec![]];
    assert_eq!(cues, shown);

    // Players know text by DASH in one file.
    let mpd = std::fs::read_to_string(folder.join("film.mpd")).expect("the stream has an MPD");
    assert!(mpd.contains("mimeType=\"text/vtt\" lang=\"en\""), "{mpd}");
    let whole = mpd
        .split(['<', '>'])
        .find(|value| value.ends_with(".vtt"))
        .expect("the track has a file");
    assert_eq!(media::cues(&folder.join(whole)), [first, second].concat());
}
