//! Nodes of every kind that makes pictures, and the files that come of them: streams as one file for each track.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildMember, ChildResult, PlanNode, PlanOutput, PlanSeries, PlanSet},
};

use crate::pass_tools::{carry_out_watched, order};

/// What became of nodes.
pub struct Made {
    pub folder: tempfile::TempDir,
    pub result: ChildResult,
    tracks: BTreeMap<String, PathBuf>,
}

impl Made {
    /// The first file of a node, or why there is none; of a stream its first track.
    pub fn file(&self, key: &str) -> Result<PathBuf, String> {
        if let Some(failure) = &self.result.failure {
            return Err(format!("{failure:?}"));
        }
        let node = self.result.nodes.iter().find(|node| node.key == key).unwrap();
        if let Some(failure) = &node.failure {
            return Err(format!("{failure:?}"));
        }
        let series = node.series.iter().map(|file| &file.path);
        let files = node.files.iter().map(|file| &file.path);
        let mut all = series.chain(files).filter(|path| !path.ends_with(".vtt")).map(PathBuf::from);
        Ok(self.tracks.get(key).cloned().or_else(|| all.next()).unwrap())
    }

    /// The same of a node that must not fail.
    pub fn good(&self, key: &str) -> PathBuf {
        self.file(key).unwrap_or_else(|failure| panic!("{key}: {failure}"))
    }
}

/// Takes nodes through a pass over a copy of the input.
pub fn made(input: &Path, nodes: Vec<PlanNode>) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(input.file_name().unwrap());
    fs::copy(input, &copy).unwrap();
    let told: Arc<Mutex<Vec<ChildMember>>> = Arc::default();
    let sink = told.clone();
    let members: mps_media::job::Members = Arc::new(move |member| sink.lock().unwrap().push(member));
    let sets: BTreeMap<String, String> = nodes
        .iter()
        .filter_map(|node| Some((node.set.as_ref()?.set_id.clone(), node.key.clone())))
        .collect();
    let result = carry_out_watched(&order(&copy, nodes, &folder.path().join("outputs")), &|_| (), &members);
    let mut tracks = BTreeMap::new();
    for (set, key) in sets {
        let path = folder.path().join(format!("{key}.bin"));
        let joined = joined(&told.lock().unwrap(), &set);
        if !joined.is_empty() {
            fs::write(&path, joined).unwrap();
            tracks.insert(key, path);
        }
    }
    Made { folder, result, tracks }
}

/// The first track of a set.
fn joined(told: &[ChildMember], set: &str) -> Vec<u8> {
    let of_track = told.iter().filter(|member| member.set_id == set);
    let mut parts: Vec<_> = of_track
        .filter_map(|member| {
            let described = member.member.as_ref().filter(|described| described.track == 0)?;
            Some((described.index, fs::read(&member.path).unwrap()))
        })
        .collect();
    parts.sort();
    parts.into_iter().flat_map(|(_, bytes)| bytes).collect()
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

/// H.264 that loses next to nothing, of the input's size.
pub fn video() -> v1::VideoSettings {
    v1::VideoSettings {
        codec: Some(v1::VideoCodec::H264.into()),
        crf: Some(4),
        speed: Some(v1::EncoderSpeed::Fastest.into()),
        ..Default::default()
    }
}

/// An MP4 without sound.
pub fn transcode(key: &str, video: v1::VideoSettings) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(v1::Container::Mp4.into()),
        video: Some(video),
        ..Default::default()
    };
    node(key, Settings::Transcode(settings), &["mp4"])
}

/// A stream of one rendition.
pub fn adaptive(key: &str, height: i32) -> PlanNode {
    let rendition = v1::Rendition {
        video: Some(v1::VideoSettings {
            height_px: Some(height),
            ..video()
        }),
    };
    let settings = v1::AdaptiveStreamSettings {
        segment_format: Some(v1::SegmentFormat::Fmp4.into()),
        segment_duration: span(1000),
        renditions: vec![rendition],
        ..Default::default()
    };
    in_set(node(key, Settings::AdaptiveStream(settings), &[]), v1::SegmentFormat::Fmp4)
}

/// A transcode to HLS in transport streams.
pub fn hls(key: &str, video: v1::VideoSettings) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(v1::Container::Hls.into()),
        video: Some(video),
        ..Default::default()
    };
    in_set(node(key, Settings::Transcode(settings), &[]), v1::SegmentFormat::Ts)
}

fn in_set(node: PlanNode, format: v1::SegmentFormat) -> PlanNode {
    let set = PlanSet {
        set_id: format!("set-{}", node.key),
        segment_duration: span(1000),
        segment_format: format.into(),
        ..PlanSet::default()
    };
    PlanNode { set: Some(set), ..node }
}

pub fn snapshot(key: &str, offset: &str) -> PlanNode {
    PlanNode {
        offsets: vec![offset.into()],
        ..node(key, Settings::Snapshot(picture()), &["png"])
    }
}

fn picture() -> v1::SnapshotSettings {
    v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Png.into()),
        ..Default::default()
    }
}

pub fn cover(key: &str) -> PlanNode {
    node(key, Settings::Cover(picture()), &["png"])
}

/// Samples at the beginning and in the middle; one of a still picture.
pub fn samples(key: &str) -> PlanNode {
    let settings = v1::SampleSnapshotSettings {
        picture: Some(picture()),
        interval_percent: Some(50.0),
        ..Default::default()
    };
    node(key, Settings::SampleSnapshot(settings), &["png"])
}

/// One column of tiles.
pub fn sprite(key: &str, interval_ms: i64, width: i32) -> PlanNode {
    let settings = v1::ImageSpriteSettings {
        interval: span(interval_ms),
        tile_width_px: Some(width),
        columns: Some(1),
        rows: Some(20),
        format: Some(v1::ImageFormat::Png.into()),
        ..Default::default()
    };
    node(key, Settings::ImageSprite(settings), &["png", "vtt"])
}

pub fn animation(key: &str, width: i32) -> PlanNode {
    let settings = v1::AnimatedImageSettings {
        width_px: Some(width),
        ..Default::default()
    };
    node(key, Settings::AnimatedImage(settings), &["gif"])
}

pub fn span(milliseconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: milliseconds / 1000,
        nanos: (milliseconds % 1000) as i32 * 1_000_000,
    })
}

/// RGB of a file's picture at a time, brought to a size. `part`: ffmpeg's words for a part of it, such as `crop=10:10:0:0`.
pub fn pixels(file: &Path, part: &str, time: f64, (width, height): (usize, usize)) -> Vec<[u8; 3]> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(["-ss", &time.to_string()])
        .args(["-vf", &format!("{part},scale={width}:{height}:flags=area,format=rgb24")])
        .args(["-frames:v", "1", "-f", "rawvideo", "-"])
        .output()
        .unwrap();
    let (pixels, _) = output.stdout.as_chunks::<3>();
    assert_eq!(
        pixels.len(),
        width * height,
        "{}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    pixels.to_vec()
}

/// Names of the colours in the corners: top left, top right, bottom left, bottom right.
pub fn corners(file: &Path, part: &str, time: f64) -> String {
    let pixels = pixels(file, part, time, (16, 16));
    let names = [(1, 1), (14, 1), (1, 14), (14, 14)].map(|(x, y)| colour(pixels[y * 16 + x]));
    names.join(" ")
}

/// The nearest of eight plain colours.
pub fn colour(pixel: [u8; 3]) -> &'static str {
    const NAMES: [(&str, [u8; 3]); 8] = [
        ("red", [255, 0, 0]),
        ("lime", [0, 255, 0]),
        ("blue", [0, 0, 255]),
        ("yellow", [255, 255, 0]),
        ("white", [255, 255, 255]),
        ("black", [0, 0, 0]),
        ("gray", [128, 128, 128]),
        ("cyan", [0, 255, 255]),
    ];
    let distance = |known: [u8; 3]| -> i32 {
        known
            .iter()
            .zip(pixel)
            .map(|(one, other)| (i32::from(*one) - i32::from(other)).pow(2))
            .sum()
    };
    NAMES.iter().min_by_key(|(_, known)| distance(*known)).unwrap().0
}

/// What ffmpeg's ssim says of the pictures of two files, after filters for each.
pub fn likeness(one: (&Path, &str), other: (&Path, &str)) -> f64 {
    let graph = format!("-lavfi [0:v]{}[a];[1:v]{}[b];[a][b]ssim", one.1, other.1);
    let text = crate::pass_tools::filtered(&[one.0, other.0], &graph);
    let value = text.split("All:").nth(1).unwrap_or_else(|| panic!("{text}"));
    value.split_whitespace().next().unwrap().parse().unwrap()
}
