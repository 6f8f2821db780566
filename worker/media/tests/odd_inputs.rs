//! Each odd input through a whole pass (a 360-line transcode and a snapshot at 10 %) in a process of its own:
//! a right output by ffprobe's word, or a typed failure with a hint; in time, and never a shortened file without a word.

mod odd_corpus;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use mps_proto::{
    rpc,
    v1::{self, ErrorReason, node_settings::Settings},
    worker::v1::{ChildResult, DamagePolicy, Failure, NodeResult, PlanNode, PlanOutput},
};
use odd_corpus::{Corpus, ffprobe, process};
use prost::Message;

fn transcode() -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(v1::Container::Mp4 as i32),
        video: Some(v1::VideoSettings {
            codec: Some(v1::VideoCodec::H264 as i32),
            rate_control: Some(v1::RateControl::Crf as i32),
            crf: Some(23),
            height_px: Some(360),
            fit: Some(v1::Fit::Contain as i32),
            allow_upscale: Some(false),
            frame_rate_den: Some(1),
            gop_frames: Some(250),
            profile: Some("high".into()),
            speed: Some(v1::EncoderSpeed::Fastest as i32),
            ..v1::VideoSettings::default()
        }),
        audio: Some(v1::AudioSettings {
            codec: Some(v1::AudioCodec::Aac as i32),
            bitrate_bps: Some(128_000),
            ..v1::AudioSettings::default()
        }),
        ..Default::default()
    };
    node("film", Settings::Transcode(settings), "mp4", "video/mp4", &[])
}

fn snapshot() -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Jpeg as i32),
        fit: Some(v1::Fit::Contain as i32),
        quality: Some(85),
        ..v1::SnapshotSettings::default()
    };
    node("picture", Settings::Snapshot(settings), "jpg", "image/jpeg", &["10%"])
}

fn node(key: &str, settings: Settings, format: &str, content_type: &str, offsets: &[&str]) -> PlanNode {
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        offsets: offsets.iter().map(|offset| (*offset).to_owned()).collect(),
        outputs: vec![PlanOutput {
            output_id: format!("{key}-output"),
            number: 0,
            format: format.into(),
            content_type: content_type.into(),
        }],
        ..PlanNode::default()
    }
}

/// What a pass over one input gave.
struct Outcome {
    case: String,
    input: PathBuf,
    result: ChildResult,
    _folder: tempfile::TempDir,
}

/// Carries out orders for the other tests.
#[test]
#[ignore = "started by the other tests"]
fn carry_out_an_order() {
    process::carry_out_what_is_asked();
}

fn run(corpus: &Corpus, case: &str, policy: DamagePolicy) -> Outcome {
    let input = corpus.make(case);
    let folder = tempfile::tempdir().unwrap();
    let result = process::carry_out(case, &input, vec![transcode(), snapshot()], policy, &[], folder.path());
    Outcome {
        case: case.into(),
        input,
        result,
        _folder: folder,
    }
}

fn details(status: &rpc::Status) -> rpc::ErrorInfo {
    let detail = status.details.first().unwrap_or_else(|| panic!("no detail: {status:?}"));
    rpc::ErrorInfo::decode(detail.value.as_slice()).unwrap()
}

/// Reason of a failure, which must come with a message and a hint.
fn reason(case: &str, failure: &Failure) -> String {
    let status = failure
        .status
        .as_ref()
        .unwrap_or_else(|| panic!("{case}: a failure without a status"));
    let info = details(status);
    assert!(!status.message.is_empty(), "{case}: no message");
    assert!(
        info.metadata.get("hint").is_some_and(|hint| !hint.is_empty()),
        "{case}: no hint: {}",
        status.message
    );
    info.reason
}

impl Outcome {
    fn node(&self, key: &str) -> &NodeResult {
        let found = self.result.nodes.iter().find(|node| node.key == key);
        found.unwrap_or_else(|| panic!("{}: no result of {key}: {:?}", self.case, self.result.failure))
    }

    fn file(&self, key: &str) -> PathBuf {
        let node = self.node(key);
        assert!(node.failure.is_none(), "{}: {key} failed: {:?}", self.case, node.failure);
        PathBuf::from(&node.files[0].path)
    }

    fn warnings(&self, key: &str) -> Vec<String> {
        self.node(key).warnings.iter().map(|warning| details(warning).reason).collect()
    }

    fn failed_as_a_whole(&self) -> String {
        let failure = self
            .result
            .failure
            .as_ref()
            .unwrap_or_else(|| panic!("{}: it should fail: {:?}", self.case, self.result.nodes));
        reason(&self.case, failure)
    }

    /// The film has the frames and the sound of the input, in a picture of this size.
    fn is_right(&self, frames: u64, size: &str) {
        let film = self.file("film");
        assert_eq!(frames_of(&film), frames, "{}: video frames", self.case);
        assert_eq!(
            ffprobe(&film, "-select_streams v:0 -show_entries stream=width,height"),
            size,
            "{}",
            self.case
        );
        assert_eq!(
            ffprobe(&film, "-select_streams v:0 -show_entries stream=codec_name,pix_fmt"),
            "h264,yuv420p",
            "{}",
            self.case
        );
        let (wanted, found) = (sound_seconds(&self.input), sound_seconds(&film));
        // The first packet of WMA only fills its decoder; ffmpeg leaves it out, GStreamer does not.
        let slack = if self.case == "wmv" { 0.05 } else { 0.03 };
        assert!(
            (wanted - found).abs() < slack,
            "{}: {found} s of sound, the input has {wanted} s",
            self.case
        );
        self.has_a_picture();
    }

    fn has_a_picture(&self) {
        let picture = self.file("picture");
        assert_eq!(ffprobe(&picture, "-show_entries stream=codec_name"), "mjpeg", "{}", self.case);
    }
}

/// Frames that ffmpeg decodes, without those that an edit list leaves out.
fn frames_of(path: &Path) -> u64 {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-noautorotate", "-i"])
        .arg(path)
        .args(["-map", "0:v:0?", "-vsync", "passthrough", "-f", "framecrc", "-"])
        .output()
        .unwrap();
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter(|line| !line.starts_with('#')).count() as u64
}

/// Seconds of sound that ffmpeg decodes from the first track.
fn sound_seconds(path: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-map", "0:a:0?", "-ac", "1", "-ar", "48000", "-f", "s16le", "-"])
        .output()
        .unwrap();
    output.stdout.len() as f64 / 2.0 / 48_000.0
}

#[test]
fn what_is_no_media_fails_as_a_whole() {
    let corpus = Corpus::new();
    for case in ["empty", "text", "random", "cut_without_index"] {
        assert_eq!(
            run(&corpus, case, DamagePolicy::Warn).failed_as_a_whole(),
            "INPUT_NOT_MEDIA",
            "{case}"
        );
    }
}

#[test]
fn a_cut_file_is_never_green_without_a_word() {
    let corpus = Corpus::new();
    let outcome = run(&corpus, "cut_with_index", DamagePolicy::Warn);
    let told = match &outcome.result.failure {
        Some(failure) => reason("cut", failure),
        None => match &outcome.node("film").failure {
            Some(failure) => reason("cut", failure),
            None => outcome.warnings("film").join(" "),
        },
    };
    assert!(told.contains(ErrorReason::InputTruncated.reason()), "{told}");
}

#[test]
fn damage_is_counted_or_fails_by_policy() {
    let corpus = Corpus::new();
    let warned = run(&corpus, "bit_flips", DamagePolicy::Warn);
    warned.file("film");
    assert!(warned.warnings("film").contains(&ErrorReason::InputDamaged.reason().to_owned()));
    let failed = run(&corpus, "bit_flips", DamagePolicy::Fail);
    let failure = failed
        .result
        .failure
        .as_ref()
        .or(failed.result.nodes.first().and_then(|node| node.failure.as_ref()));
    assert_eq!(reason("bit_flips", failure.expect("damage should fail it")), "INPUT_DAMAGED");
}

#[test]
fn plain_containers_come_out_whole() {
    let corpus = Corpus::new();
    for case in ["plain", "faststart", "fragmented", "mkv", "webm", "ts", "flv", "avi"] {
        run(&corpus, case, DamagePolicy::Warn).is_right(60, "320,180");
    }
}

#[test]
fn odd_pictures_come_out_right() {
    let corpus = Corpus::new();
    for (case, size) in [
        ("one_frame", "320,180"),
        ("no_audio", "320,180"),
        ("variable_rate", "320,180"),
        ("odd_size", "640,360"),
        ("hdr", "320,180"),
        ("rotated", "180,320"),
    ] {
        let outcome = run(&corpus, case, DamagePolicy::Warn);
        outcome.is_right(frames_of(&outcome.input), size);
    }
}

#[test]
fn other_makers_files_come_out_right() {
    let corpus = Corpus::new();
    for (case, size) in [
        ("subtitles", "320,180"),
        ("prores", "320,180"),
        ("wmv", "320,180"),
        ("opus", "320,180"),
        ("four_four_four", "320,180"),
        ("wide_pixels", "426,180"),
    ] {
        let outcome = run(&corpus, case, DamagePolicy::Warn);
        outcome.is_right(frames_of(&outcome.input), size);
    }
}

#[test]
fn a_picture_that_changes_its_size_keeps_its_frames() {
    let corpus = Corpus::new();
    run(&corpus, "changing_size", DamagePolicy::Warn).is_right(120, "320,180");
}

#[test]
fn a_track_that_lasts_less_than_a_fifth_of_the_film_is_kept() {
    let corpus = Corpus::new();
    let outcome = run(&corpus, "left_out_sound", DamagePolicy::Warn);
    assert_eq!(frames_of(&outcome.file("film")), 60);
    let sound = ffprobe(&outcome.file("film"), "-select_streams a:0 -show_entries stream=duration");
    assert!(sound.parse::<f64>().is_ok_and(|seconds| (0.09..0.2).contains(&seconds)), "{sound}");
    assert!(outcome.warnings("film").is_empty());
}

#[test]
fn interlaced_film_comes_out_progressive() {
    let corpus = Corpus::new();
    let outcome = run(&corpus, "interlaced", DamagePolicy::Warn);
    outcome.is_right(frames_of(&outcome.input), "320,192");
    assert_eq!(
        ffprobe(&outcome.file("film"), "-select_streams v:0 -show_entries stream=field_order"),
        "progressive"
    );
}

#[test]
fn odd_sound_comes_out_right() {
    let corpus = Corpus::new();
    for case in [
        "two_languages",
        "stream_copied",
        "cut_short",
        "long_sound",
        "short_sound",
        "late_sound",
        "surround",
        "tiny_sound",
    ] {
        let outcome = run(&corpus, case, DamagePolicy::Warn);
        outcome.is_right(frames_of(&outcome.input), "320,180");
    }
}

#[test]
fn sound_without_film_is_kept_or_refused_with_a_reason() {
    let corpus = Corpus::new();
    for case in ["no_video", "cover_m4a", "cover_mp3", "mp3"] {
        let outcome = run(&corpus, case, DamagePolicy::Warn);
        if let Some(failure) = &outcome.result.failure {
            assert_eq!(reason(case, failure), "STREAM_MISSING", "{case}");
            continue;
        }
        match &outcome.node("film").failure {
            Some(failure) => assert_eq!(reason(case, failure), "STREAM_MISSING", "{case}"),
            None => {
                let (wanted, found) = (sound_seconds(&outcome.input), sound_seconds(&outcome.file("film")));
                assert!(
                    (wanted - found).abs() < 0.03,
                    "{case}: {found} s of sound, the input has {wanted} s"
                );
            }
        }
        let picture = outcome.node("picture").failure.as_ref().expect("sound has no picture");
        assert_eq!(reason(case, picture), "STREAM_MISSING", "{case}");
    }
}

#[test]
fn an_animated_gif_ends() {
    let corpus = Corpus::new();
    let outcome = run(&corpus, "animated_gif", DamagePolicy::Warn);
    outcome.is_right(20, "160,90");
    let seconds: f64 = ffprobe(&outcome.file("film"), "-show_entries format=duration").parse().unwrap();
    assert!((seconds - 2.0).abs() < 0.1, "{seconds} s");
}

#[test]
fn still_pictures_end() {
    let corpus = Corpus::new();
    for case in ["still_png", "still_jpg", "still_webp", "still_gif"] {
        let outcome = run(&corpus, case, DamagePolicy::Warn);
        if let Some(failure) = &outcome.result.failure {
            panic!("{case}: {failure:?}");
        }
        outcome.has_a_picture();
        if let Some(failure) = &outcome.node("film").failure {
            reason(case, failure);
        }
    }
}
