//! Odd inputs through every kind of node that makes pictures, in a process of its own: files that ffprobe reads, or a typed failure with a
//! hint; never a hang.

mod odd_corpus;

use std::path::Path;

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildResult, DamagePolicy, NodeResult, PlanNode, PlanOutput, PlanSeries},
};
use odd_corpus::{
    Corpus, ffprobe,
    process::{self, is_typed},
};

/// Inputs of which every kind must make its pictures.
const RIGHT: [&str; 35] = [
    "plain",
    "faststart",
    "bit_flips",
    "one_frame",
    "no_audio",
    "odd_size",
    "variable_rate",
    "rotated",
    "interlaced",
    "interlaced_h264",
    "hdr",
    "two_languages",
    "stream_copied",
    "animated_gif",
    "still_png",
    "still_jpg",
    "still_webp",
    "still_gif",
    "fragmented",
    "mkv",
    "webm",
    "ts",
    "flv",
    "avi",
    "late_sound",
    "long_sound",
    "short_sound",
    "surround",
    "subtitles",
    "changing_size",
    "prores",
    "wmv",
    "wide_pixels",
    "four_four_four",
    "tiny_sound",
];
/// Inputs without a picture to show, and those that are no whole media.
const WRONG: [&str; 9] = [
    "empty",
    "text",
    "random",
    "cut_without_index",
    "cut_with_index",
    "no_video",
    "mp3",
    "cover_m4a",
    "cover_mp3",
];

fn nodes() -> Vec<PlanNode> {
    let interval = Some(prost_types::Duration {
        seconds: 0,
        nanos: 300_000_000,
    });
    let picture = v1::SnapshotSettings {
        width_px: Some(120),
        height_px: Some(120),
        fit: Some(v1::Fit::Pad.into()),
        pad_fill: Some(v1::PadFill::Blur.into()),
        ..Default::default()
    };
    let samples = v1::SampleSnapshotSettings {
        picture: Some(picture),
        interval,
        ..Default::default()
    };
    let sprite = v1::ImageSpriteSettings {
        interval,
        columns: Some(3),
        rows: Some(2),
        ..Default::default()
    };
    let gif = v1::AnimatedImageSettings {
        width_px: Some(100),
        ..Default::default()
    };
    let webp = v1::AnimatedImageSettings {
        format: Some(v1::AnimatedFormat::Webp.into()),
        ..gif
    };
    vec![
        node("samples", Settings::SampleSnapshot(samples), &["jpg"]),
        node("sprite", Settings::ImageSprite(sprite), &["jpg", "vtt"]),
        node("cover", Settings::Cover(picture), &["jpg"]),
        node("gif", Settings::AnimatedImage(gif), &["gif"]),
        node("webp", Settings::AnimatedImage(webp), &["webp"]),
    ]
}

fn node(key: &str, settings: Settings, formats: &[&str]) -> PlanNode {
    let outputs = formats.iter().map(|format| PlanOutput {
        output_id: format!("{key}-{format}"),
        format: (*format).into(),
        ..PlanOutput::default()
    });
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        outputs: outputs.collect(),
        series: Some(PlanSeries {
            key: "{number}.jpg".into(),
            reference: "{number}.jpg".into(),
            max_files: 1000,
            ..PlanSeries::default()
        }),
        ..PlanNode::default()
    }
}

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

/// Those that look at some pictures, and those that look at a clip, in a pass each.
fn passes() -> [Vec<PlanNode>; 2] {
    let mut first = nodes();
    let second = first.split_off(3);
    [first, second]
}

fn run(corpus: &Corpus, case: &str, nodes: Vec<PlanNode>, folder: &Path) -> ChildResult {
    process::carry_out(case, &corpus.make(case), nodes, DamagePolicy::Warn, &[], folder)
}

fn is_right(case: &str, node: &NodeResult) {
    assert!(node.failure.is_none(), "{case}: {}: {:?}", node.key, node.failure);
    let series = node.series.iter().map(|file| &file.path);
    let files: Vec<_> = node.files.iter().map(|file| &file.path).chain(series).collect();
    assert!(!files.is_empty(), "{case}: {}", node.key);
    for file in files {
        let path = Path::new(file);
        if file.ends_with(".vtt") {
            assert!(std::fs::read_to_string(path).unwrap().contains("#xywh=0,0,"), "{case}");
        } else if node.key == "webp" {
            // ffmpeg 5.1 does not read animated WebP.
            assert!(std::fs::read(path).unwrap().starts_with(b"RIFF"), "{case}");
        } else {
            let width = ffprobe(path, "-select_streams v:0 -show_entries stream=width");
            let width: u32 = width.parse().unwrap_or_else(|_| panic!("{case}: {}: {width:?}", node.key));
            assert!(width > 0 && width <= 480, "{case}: {}: {width}", node.key);
        }
    }
}

#[test]
fn odd_films_and_stills_give_every_kind_of_picture() {
    let corpus = Corpus::new();
    for case in RIGHT {
        for nodes in passes() {
            let folder = tempfile::tempdir().unwrap();
            let result = run(&corpus, case, nodes, folder.path());
            assert!(result.failure.is_none(), "{case}: {:?}", result.failure);
            for node in &result.nodes {
                is_right(case, node);
            }
        }
    }
}

#[test]
fn what_has_no_whole_picture_is_refused_with_a_reason() {
    let corpus = Corpus::new();
    for case in WRONG {
        let folder = tempfile::tempdir().unwrap();
        let result = run(&corpus, case, nodes(), folder.path());
        if let Some(failure) = &result.failure {
            is_typed(case, failure);
            continue;
        }
        for node in &result.nodes {
            match &node.failure {
                Some(failure) => is_typed(case, failure),
                None => is_right(case, node),
            }
        }
    }
}
