//! A folder with an input, passes over it, and looks at what came out.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildOrder, ChildResult, PlanNode, PlanOutput, SetResume},
};

use crate::pass_tools::{carry_out_watched, ffmpeg, filtered, order};

pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A film of a source of ffmpeg's, without loss, and with a tone.
    pub fn new(source: &str) -> Self {
        Self::with_sound(source, "sine=f=440:d=1:r=48000")
    }

    pub fn with_sound(source: &str, sound: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let arguments =
            format!("-f lavfi -i {source} -f lavfi -i {sound} -c:v libx264 -preset veryfast -crf 4 -pix_fmt yuv420p -c:a pcm_s16le");
        ffmpeg(&arguments, &bench.path("input.mkv"));
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn node(&self, container: v1::Container, video: Option<v1::VideoSettings>, audio: Option<v1::AudioSettings>) -> PlanNode {
        let settings = v1::TranscodeSettings {
            container: Some(container as i32),
            video,
            audio,
            ..Default::default()
        };
        planned(Settings::Transcode(settings), "out", "mkv")
    }

    pub fn snapshot(&self, offset: &str) -> PlanNode {
        let settings = v1::SnapshotSettings {
            format: Some(v1::ImageFormat::Png as i32),
            ..Default::default()
        };
        PlanNode {
            offsets: vec![offset.into()],
            ..planned(Settings::Snapshot(settings), "picture", "png")
        }
    }

    pub fn run(&self, nodes: Vec<PlanNode>, side_inputs: &[(&str, &str)]) -> ChildResult {
        self.run_telling(nodes, side_inputs, Vec::new(), std::sync::Arc::new(|_| ()))
    }

    /// `members` is told of members of sets.
    pub fn run_telling(
        &self,
        nodes: Vec<PlanNode>,
        side_inputs: &[(&str, &str)],
        sets: Vec<SetResume>,
        members: mps_media::job::Members,
    ) -> ChildResult {
        let side = |(id, name): &(&str, &str)| ((*id).to_owned(), self.path(name).display().to_string());
        let order = ChildOrder {
            side_inputs: side_inputs.iter().map(side).collect(),
            sets,
            ..order(&self.path("input.mkv"), nodes, &self.path("outputs"))
        };
        let result = carry_out_watched(&order, &|_| (), &members);
        assert!(result.failure.is_none(), "{:?}", result.failure);
        result
    }

    pub fn file(&self, result: &ChildResult) -> PathBuf {
        let node = &result.nodes[0];
        assert!(node.failure.is_none(), "{:?}", node.failure);
        PathBuf::from(&node.files[0].path)
    }
}

fn planned(settings: Settings, id: &str, format: &str) -> PlanNode {
    PlanNode {
        key: "node".into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        outputs: vec![PlanOutput {
            output_id: id.into(),
            format: format.into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub fn h264(height: i32) -> v1::VideoSettings {
    v1::VideoSettings {
        codec: Some(v1::VideoCodec::H264 as i32),
        rate_control: Some(v1::RateControl::Crf as i32),
        crf: Some(8),
        height_px: Some(height),
        speed: Some(v1::EncoderSpeed::Fast as i32),
        ..Default::default()
    }
}

pub fn aac() -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(v1::AudioCodec::Aac as i32),
        bitrate_bps: Some(128_000),
        ..Default::default()
    }
}

/// Mean luma of a frame after a filter.
pub fn luma(file: &Path, time: f64, filter: &str) -> f64 {
    mean(file, time, filter, "YAVG")
}

/// A mean that ffmpeg's signalstats tells of a frame after a filter.
pub fn mean(file: &Path, time: f64, filter: &str, name: &str) -> f64 {
    let from = time - 0.01;
    let arguments = format!("-vf select='gte(t,{from})',{filter},format=yuv420p,signalstats,metadata=print:file=- -frames:v 1");
    let printed = filtered(&[file], &arguments);
    let key = format!("lavfi.signalstats.{name}=");
    let value = printed.lines().find_map(|line| line.split(&key).nth(1));
    value.unwrap_or_else(|| panic!("{name} in {printed}")).trim().parse().unwrap()
}
