//! A case's nodes, taken through the crate in a process of their own.

use std::path::{Path, PathBuf};

use mps_proto::{
    rpc,
    v1::{self, AudioCodec, Container, ErrorReason, VideoCodec, node_settings::Settings},
    worker::v1::{ChildResult, DamagePolicy, Failure, PlanNode, PlanOutput},
};
use prost::Message;

use super::case::Case;
use crate::odd_corpus::process;

pub const FILM: &str = "film";
pub const PICTURE: &str = "picture";

pub fn carry_out(case: &Case, film: &Path, folder: &Path) -> ChildResult {
    let mut nodes = vec![transcode(case)];
    nodes.extend(case.snapshot.map(snapshot));
    process::carry_out(&case.seed.to_string(), film, nodes, DamagePolicy::Warn, &[], folder)
}

fn transcode(case: &Case) -> PlanNode {
    let (container, format) = match case.wanted.container {
        "mov" => (Container::Mov, "mov"),
        "mkv" => (Container::Mkv, "mkv"),
        "webm" => (Container::Webm, "webm"),
        "ts" => (Container::Ts, "ts"),
        "flv" => (Container::Flv, "flv"),
        _ => (Container::Mp4, "mp4"),
    };
    let settings = v1::TranscodeSettings {
        container: Some(container.into()),
        video: Some(video(case.wanted.video)),
        audio: case.audio.is_some().then(|| audio(case.wanted.audio)),
        ..Default::default()
    };
    let span = |milliseconds: u32| prost_types::Duration {
        seconds: i64::from(milliseconds / 1000),
        nanos: (milliseconds % 1000) as i32 * 1_000_000,
    };
    PlanNode {
        start_offset: case.clip.map(|(start, _)| span(start)),
        end_offset: case.clip.map(|(_, end)| span(end)),
        ..node(FILM, Settings::Transcode(settings), format)
    }
}

fn video(codec: &str) -> v1::VideoSettings {
    let (codec, crf) = match codec {
        "hevc" => (VideoCodec::H265, Some(6)),
        "vp8" => (VideoCodec::Vp8, Some(4)),
        "vp9" => (VideoCodec::Vp9, Some(6)),
        "copy" => (VideoCodec::Copy, None),
        _ => (VideoCodec::H264, Some(6)),
    };
    v1::VideoSettings {
        codec: Some(codec.into()),
        rate_control: crf.map(|_| v1::RateControl::Crf.into()),
        crf,
        gop_frames: crf.map(|_| 25),
        speed: crf.map(|_| v1::EncoderSpeed::Fastest.into()),
        ..Default::default()
    }
}

fn audio(codec: &str) -> v1::AudioSettings {
    let codec = match codec {
        "mp3" => AudioCodec::Mp3,
        "ac3" => AudioCodec::Ac3,
        "opus" => AudioCodec::Opus,
        "vorbis" => AudioCodec::Vorbis,
        "flac" => AudioCodec::Flac,
        "pcm_s16le" => AudioCodec::Pcm16,
        "copy" => AudioCodec::Copy,
        _ => AudioCodec::Aac,
    };
    let lossy = !matches!(codec, AudioCodec::Flac | AudioCodec::Pcm16 | AudioCodec::Copy);
    v1::AudioSettings {
        codec: Some(codec.into()),
        bitrate_bps: lossy.then_some(128_000),
        channels: (codec != AudioCodec::Copy).then_some(2),
        ..Default::default()
    }
}

fn snapshot(offset: u32) -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Png.into()),
        ..Default::default()
    };
    PlanNode {
        offsets: vec![format!("{}s", f64::from(offset) / 1000.0)],
        ..node(PICTURE, Settings::Snapshot(settings), "png")
    }
}

fn node(key: &str, settings: Settings, format: &str) -> PlanNode {
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        outputs: vec![PlanOutput {
            output_id: key.into(),
            format: format.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// The file of a node, or why there is none.
pub fn file(result: &ChildResult, key: &str) -> Result<PathBuf, Failure> {
    if let Some(failure) = &result.failure {
        return Err(failure.clone());
    }
    let node = result.nodes.iter().find(|node| node.key == key).unwrap();
    match &node.failure {
        Some(failure) => Err(failure.clone()),
        None => Ok(PathBuf::from(&node.files[0].path)),
    }
}

/// Reasons of a node's warnings.
pub fn warnings(result: &ChildResult, key: &str) -> Vec<ErrorReason> {
    let node = result.nodes.iter().find(|node| node.key == key);
    let reasons = node.into_iter().flat_map(|node| &node.warnings).filter_map(reason);
    reasons.collect()
}

/// The reason that a status tells.
pub fn reason(status: &rpc::Status) -> Option<ErrorReason> {
    let info = rpc::ErrorInfo::decode(status.details.first()?.value.as_slice()).ok()?;
    ErrorReason::from_str_name(&format!("ERROR_REASON_{}", info.reason))
}
