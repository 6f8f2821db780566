//! Marks and subtitles through whole passes: what ffmpeg decodes is looked at.

mod improve_tools;
mod pass_tools;

use improve_tools::{Bench, aac, h264, luma, mean};
use mps_proto::{
    v1::{self, Container},
    worker::v1::{PlanSubtitle, PlanWatermark},
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
    std::fs::write(bench.path("subs.srt"), b"1\n00:00:00,000 --> 00:00:01,000\n\xe4\n").unwrap();
    let mut ts = bench.node(Container::Ts, Some(h264(240)), None);
    std::fs::write(bench.path("good.srt"), SRT).unwrap();
    ts.subtitles = vec![PlanSubtitle {
        side_input_id: "good".into(),
        ..subtitle(v1::subtitle::Mode::Soft)
    }];
    let mut latin = bench.node(Container::Mp4, Some(h264(240)), None);
    latin.subtitles = vec![subtitle(v1::subtitle::Mode::BurnIn)];
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
        (latin, "not UTF-8"),
        (copied, "picture that is encoded"),
    ] {
        let result = bench.run(vec![node], &[("srt", "subs.srt"), ("good", "good.srt"), ("mark", "mark.png")]);
        let message = result.nodes[0].failure.clone().unwrap().status.unwrap().message;
        assert!(message.contains(words), "{message}");
    }
}
