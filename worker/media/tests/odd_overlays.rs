//! Odd inputs under marks, subtitles and improvements, in a process of its own: a file that ffprobe reads, or a typed failure with a hint;
//! never a hang.

mod odd_corpus;

use std::path::Path;

use mps_proto::{
    v1::{self, node_settings::Settings, subtitle::Mode, video_enhancement::Strength},
    worker::v1::{ChildResult, DamagePolicy, PlanNode, PlanOutput, PlanSubtitle, PlanWatermark},
};
use odd_corpus::{
    Corpus, ffprobe,
    process::{self, is_typed},
};

/// Films that must come out whole.
const RIGHT: [&str; 26] = [
    "plain",
    "faststart",
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
    "wide_pixels",
    "four_four_four",
];
/// Inputs of which anything may come but a hang.
const ANY: [&str; 10] = [
    "bit_flips",
    "one_frame",
    "still_png",
    "still_gif",
    "empty",
    "text",
    "cut_with_index",
    "no_video",
    "mp3",
    "tiny_sound",
];

fn film() -> PlanNode {
    let video = v1::VideoSettings {
        codec: Some(v1::VideoCodec::H264 as i32),
        crf: Some(28),
        height_px: Some(120),
        speed: Some(v1::EncoderSpeed::Fastest as i32),
        enhancement: Some(v1::VideoEnhancement {
            denoise: Some(Strength::Weak as i32),
            sharpen: Some(0.3),
            color: Some(Strength::Normal as i32),
            low_light: Some(true),
            lanczos: Some(true),
        }),
        ..Default::default()
    };
    let audio = v1::AudioSettings {
        codec: Some(v1::AudioCodec::Aac as i32),
        enhancement: Some(v1::AudioEnhancement {
            denoise: Some(true),
            loudness_lufs: Some(-16.0),
            true_peak_dbtp: Some(-1.0),
        }),
        ..Default::default()
    };
    let settings = v1::TranscodeSettings {
        container: Some(v1::Container::Mp4 as i32),
        video: Some(video),
        audio: Some(audio),
        ..Default::default()
    };
    let text = v1::TextWatermark {
        text: Some("Mark".into()),
        ..Default::default()
    };
    let mark = PlanWatermark {
        settings: Some(v1::WatermarkSettings {
            text: Some(text),
            ..Default::default()
        }),
        ..Default::default()
    };
    let subtitle = |mode: Mode| PlanSubtitle {
        subtitle: Some(v1::Subtitle {
            mode: Some(mode as i32),
            language: "en".into(),
            ..Default::default()
        }),
        side_input_id: "srt".into(),
    };
    PlanNode {
        key: "film".into(),
        settings: Some(v1::NodeSettings {
            settings: Some(Settings::Transcode(settings)),
        }),
        outputs: vec![PlanOutput {
            output_id: "film".into(),
            format: "mp4".into(),
            ..Default::default()
        }],
        watermarks: vec![mark],
        subtitles: vec![subtitle(Mode::BurnIn), subtitle(Mode::Soft)],
        ..Default::default()
    }
}

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

fn run(corpus: &Corpus, case: &str, folder: &Path) -> ChildResult {
    let srt = folder.join("srt");
    std::fs::write(&srt, "1\n00:00:00,200 --> 00:00:00,900\nSeen\n").unwrap();
    process::carry_out(case, &corpus.make(case), vec![film()], DamagePolicy::Warn, &[("srt", &srt)], folder)
}

#[test]
fn odd_inputs_end_with_a_film_or_a_reason() {
    let corpus = Corpus::new();
    for (case, must) in RIGHT.map(|case| (case, true)).into_iter().chain(ANY.map(|case| (case, false))) {
        let folder = tempfile::tempdir().unwrap();
        let result = run(&corpus, case, folder.path());
        let failure = result
            .failure
            .as_ref()
            .or(result.nodes.first().and_then(|node| node.failure.as_ref()));
        if let Some(failure) = failure {
            is_typed(case, failure);
            assert!(!must, "{case}: {failure:?}");
            continue;
        }
        let node = &result.nodes[0];
        let height = ffprobe(Path::new(&node.files[0].path), "-select_streams v:0 -show_entries stream=height");
        assert!(["120", "90"].contains(&height.as_str()) || !must, "{case}: {height:?}");
        assert!(node.enhancements.len() >= 5, "{case}: {:?}", node.enhancements);
    }
}
