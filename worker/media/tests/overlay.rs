//! Marks and subtitles through whole passes: what ffmpeg decodes is looked at.

mod improve_tools;
mod pass_tools;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use improve_tools::{Bench, aac, h264, luma, mean};
use mps_proto::{
    v1::{self, Container},
    worker::v1::{ChildMember, PlanNode, PlanSet, PlanSubtitle, PlanWatermark, SetResume, SetTrack},
};
use pass_tools::{ffmpeg, ffprobe, frames};

const SRT: &str = "1\n00:00:01,000 --> 00:00:02,000\nFirst cue\n\n2\n00:00:03,000 --> 00:00:03,500\nSecond\n";

fn mark(bench: &Bench, seconds: Option<(i64, i64)>) -> PlanWatermark {
    ffmpeg("-f lavfi -i color=white:s=64x32 -frames:v 1", &bench.path("mark.png"));
    let offset = |seconds: i64| Some(prost_types::Duration { seconds, nanos: 0 });
    PlanWatermark {
        settings: Some(v1::WatermarkSettings {
            image: Some(v1::ImageWatermark {
                source: Some(v1::image_watermark::Source::Url("http://example.invalid/mark.png".into())),
                width: Some("20%".into()),
                ..Default::default()
            }),
            origin: Some(v1::WatermarkOrigin::BottomRight as i32),
            x: Some("10px".into()),
            y: Some("10px".into()),
            ..Default::default()
        }),
        side_input_id: "mark".into(),
        start_offset: seconds.and_then(|(start, _)| offset(start)),
        end_offset: seconds.and_then(|(_, end)| offset(end)),
    }
}

fn subtitle(mode: v1::subtitle::Mode) -> PlanSubtitle {
    PlanSubtitle {
        subtitle: Some(v1::Subtitle {
            mode: Some(mode as i32),
            language: "de".into(),
            display_name: "Deutsch".into(),
            ..Default::default()
        }),
        side_input_id: "srt".into(),
    }
}

#[test]
fn a_mark_lies_on_a_film_at_its_place_and_time() {
    let bench = Bench::new("color=gray:s=320x240:r=10:d=4");
    let mut node = bench.node(Container::Mp4, Some(h264(240)), None);
    node.watermarks = vec![mark(&bench, Some((1, -1)))];
    let result = bench.run(vec![node], &[("mark", "mark.png")]);
    let file = bench.file(&result);
    assert_eq!(frames(&file), 40);
    for (time, seen) in [(0.5, false), (0.9, false), (1.0, true), (2.9, true), (3.0, false)] {
        let inside = luma(&file, time, "crop=60:28:248:200");
        assert_eq!(inside > 200.0, seen, "{inside} at {time}");
        assert!(luma(&file, time, "crop=240:240:0:0") < 140.0);
    }
}

#[test]
fn a_mark_lies_on_snapshots() {
    let bench = Bench::new("color=gray:s=320x240:r=10:d=2");
    let mut node = bench.snapshot("1s");
    node.watermarks = vec![mark(&bench, None)];
    let result = bench.run(vec![node], &[("mark", "mark.png")]);
    assert!(luma(&bench.file(&result), 0.0, "crop=60:28:248:200") > 225.0);
}

#[test]
fn burnt_subtitles_follow_the_clip() {
    let bench = Bench::new("color=black:s=320x240:r=10:d=5");
    std::fs::write(bench.path("subs.srt"), SRT).unwrap();
    let mut node = bench.node(Container::Mkv, Some(h264(240)), None);
    node.subtitles = vec![subtitle(v1::subtitle::Mode::BurnIn)];
    node.start_offset = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let result = bench.run(vec![node], &[("srt", "subs.srt")]);
    let file = bench.file(&result);
    for (time, seen) in [
        (0.0, true),
        (0.9, true),
        (1.0, false),
        (1.9, false),
        (2.0, true),
        (2.4, true),
        (2.5, false),
    ] {
        let lower = mean(&file, time, "crop=320:60:0:180", "YMAX");
        assert_eq!(lower > 150.0, seen, "{lower} at {time}");
    }
}

#[test]
fn soft_subtitles_stand_in_mp4_mov_and_mkv() {
    for (container, codec) in [
        (Container::Mp4, "mov_text"),
        (Container::Mov, "mov_text"),
        (Container::Mkv, "subrip"),
    ] {
        let bench = Bench::new("testsrc=s=320x240:r=10:d=5");
        std::fs::write(bench.path("subs.srt"), SRT).unwrap();
        let mut node = bench.node(container, Some(h264(240)), Some(aac()));
        let mut second = subtitle(v1::subtitle::Mode::Soft);
        second.subtitle.as_mut().unwrap().is_default = true;
        node.subtitles = vec![subtitle(v1::subtitle::Mode::Soft), second];
        let result = bench.run(vec![node], &[("srt", "subs.srt")]);
        let file = bench.file(&result);
        let stream = ffprobe(
            &file,
            "-select_streams s -show_entries stream=codec_name:stream_tags=language,title",
        );
        assert!(stream.starts_with(codec), "{container:?}: {stream}");
        let defaults = ffprobe(&file, "-select_streams s -show_entries stream_disposition=default");
        assert_eq!(defaults.split_whitespace().collect::<Vec<_>>(), ["0", "1"], "{container:?}");
        assert!(stream.contains("ger") || stream.contains("deu"), "{container:?}: {stream}");
        let back = bench.path("back.srt");
        ffmpeg(&format!("-i {} -map 0:s:0", file.display()), &back);
        let text = std::fs::read_to_string(back).unwrap();
        let text = text.replace("<font face=\"Serif\" size=\"12\">", "").replace("</font>", "");
        assert!(text.contains("00:00:01,000 --> 00:00:02,000\nFirst cue"), "{container:?}: {text}");
        let titles = ffprobe(&file, "-select_streams s -show_entries stream_tags=language");
        assert_eq!(titles.split_whitespace().count(), 2, "{container:?}: {titles}");
        assert!(text.contains("00:00:03,000 --> 00:00:03,500\nSecond"), "{container:?}: {text}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let bench = Bench::new("color=gray:s=320x240:r=10:d=1");
    std::fs::write(bench.path("subs.srt"), b"1\n00:00:00,000 --> 00:00:01,000\n\0\n").unwrap();
    let mut ts = bench.node(Container::Ts, Some(h264(240)), None);
    std::fs::write(bench.path("good.srt"), SRT).unwrap();
    ts.subtitles = vec![PlanSubtitle {
        side_input_id: "good".into(),
        ..subtitle(v1::subtitle::Mode::Soft)
    }];
    let mut binary = bench.node(Container::Mp4, Some(h264(240)), None);
    binary.subtitles = vec![subtitle(v1::subtitle::Mode::BurnIn)];
    let mut copied = bench.node(
        Container::Mp4,
        Some(v1::VideoSettings {
            codec: Some(v1::VideoCodec::Copy as i32),
            ..Default::default()
        }),
        None,
    );
    copied.watermarks = vec![mark(&bench, None)];
    for (node, words) in [
        (ts, "no track of subtitles"),
        (binary, "no text"),
        (copied, "picture that is encoded"),
    ] {
        let result = bench.run(vec![node], &[("srt", "subs.srt"), ("good", "good.srt"), ("mark", "mark.png")]);
        let message = result.nodes[0].failure.clone().unwrap().status.unwrap().message;
        assert!(message.contains(words), "{message}");
    }
}

/// A stream of 6 s in segments of 2 s, with subtitles as a track and in the picture.
fn stream() -> PlanNode {
    let rendition = v1::Rendition { video: Some(h264(240)) };
    let settings = v1::AdaptiveStreamSettings {
        segment_format: Some(v1::SegmentFormat::Fmp4 as i32),
        segment_duration: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
        renditions: vec![rendition],
        ..Default::default()
    };
    PlanNode {
        key: "node".into(),
        settings: Some(v1::NodeSettings {
            settings: Some(v1::node_settings::Settings::AdaptiveStream(settings)),
        }),
        subtitles: vec![subtitle(v1::subtitle::Mode::Soft), subtitle(v1::subtitle::Mode::BurnIn)],
        set: Some(PlanSet {
            set_id: "set".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Tracks and, by track and index, the files of a stream.
fn told(bench: &Bench, resumes: Vec<SetResume>) -> (Vec<SetTrack>, BTreeMap<(i32, i32), PathBuf>) {
    let told: Arc<Mutex<Vec<ChildMember>>> = Arc::default();
    let sink = told.clone();
    let result = bench.run_telling(
        vec![stream()],
        &[("srt", "subs.srt")],
        resumes,
        Arc::new(move |member| sink.lock().unwrap().push(member)),
    );
    assert!(result.nodes[0].failure.is_none(), "{:?}", result.nodes[0].failure);
    let told = told.lock().unwrap();
    let files = told.iter().filter_map(|told| {
        let member = told.member.as_ref()?;
        Some(((member.track, member.index), PathBuf::from(&told.path)))
    });
    (told[0].tracks.clone(), files.collect())
}

#[test]
fn streams_have_subtitles_in_segments_and_keep_time_over_a_resume() {
    let bench = Bench::new("color=black:s=320x240:r=10:d=6");
    std::fs::write(bench.path("subs.srt"), SRT).unwrap();
    let (tracks, files) = told(&bench, Vec::new());
    let kinds: Vec<_> = tracks.iter().map(|track| track.kind.as_str()).collect();
    assert_eq!(kinds, ["video", "subtitle"]);
    assert_eq!((tracks[1].language.as_str(), tracks[1].display_name.as_str()), ("de", "Deutsch"));
    let text = |index: i32| std::fs::read_to_string(&files[&(1, index)]).unwrap();
    assert!(text(0).contains("00:00:01.000 --> 00:00:02.000\nFirst cue"), "{}", text(0));
    assert!(
        text(1).contains("00:00:03.000 --> 00:00:03.500\nSecond") && !text(1).contains("First"),
        "{}",
        text(1)
    );
    assert!(text(2).starts_with("WEBVTT") && !text(2).contains("-->"), "{}", text(2));
    let init = std::fs::read(&files[&(0, -1)]).unwrap();
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![1, 1],
        ..Default::default()
    };
    let (_, rest) = told(&bench, vec![resume]);
    assert!(!rest.contains_key(&(0, 0)) && !rest.contains_key(&(1, 0)));
    let film = bench.path("rest.mp4");
    let parts = [init, std::fs::read(&rest[&(0, 1)]).unwrap()].concat();
    std::fs::write(&film, parts).unwrap();
    // ffmpeg counts from the first picture of the file.
    for (time, seen) in [(0.5, false), (0.9, false), (1.0, true), (1.4, true), (1.5, false)] {
        let lower = mean(&film, time, "crop=320:60:0:180", "YMAX");
        assert_eq!(lower > 150.0, seen, "{lower} at {time}");
    }
}
