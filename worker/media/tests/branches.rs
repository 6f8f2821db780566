//! What breaks costs the nodes that need it, and no others.

mod pass_tools;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildResult, Failure, FailureKind, PlanNode, PlanOutput},
};
use pass_tools::{carry_out, ffmpeg, ffprobe, frames, order, seconds};
use prost::Message;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.0.path().join(name);
        ffmpeg(arguments, &path);
        path
    }

    fn run(&self, input: &Path, nodes: Vec<PlanNode>) -> ChildResult {
        carry_out(&order(input, nodes, &self.0.path().join("outputs")))
    }
}

/// Writes a byte over all packets of a stream.
fn overwrite(path: &Path, stream: &str, byte: u8) {
    let packets = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=pos,size",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    for line in String::from_utf8(packets.stdout).unwrap().lines() {
        let numbers: Vec<usize> = line.split(',').filter_map(|number| number.trim().parse().ok()).collect();
        if let [size, start, ..] = numbers[..] {
            bytes[start..start + size].fill(byte);
        }
    }
    std::fs::write(path, bytes).unwrap();
}

fn node(key: &str, settings: Settings, format: &str, offsets: &[&str]) -> PlanNode {
    PlanNode {
        key: key.to_owned(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        offsets: offsets.iter().map(ToString::to_string).collect(),
        outputs: vec![PlanOutput {
            output_id: format!("{key}-0"),
            format: format.to_owned(),
            ..PlanOutput::default()
        }],
        ..PlanNode::default()
    }
}

fn snapshot(key: &str) -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Jpeg as i32),
        quality: Some(90),
        ..Default::default()
    };
    node(key, Settings::Snapshot(settings), "jpg", &["0.5s"])
}

fn film(with_sound: bool) -> v1::TranscodeSettings {
    v1::TranscodeSettings {
        container: Some(v1::Container::Mp4 as i32),
        video: Some(v1::VideoSettings {
            codec: Some(v1::VideoCodec::H264 as i32),
            rate_control: Some(v1::RateControl::Crf as i32),
            crf: Some(30),
            speed: Some(v1::EncoderSpeed::Fastest as i32),
            ..Default::default()
        }),
        audio: with_sound.then(|| aac(v1::AudioCodec::Aac, 96_000)),
        ..Default::default()
    }
}

fn aac(codec: v1::AudioCodec, bitrate_bps: i64) -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(codec as i32),
        bitrate_bps: Some(bitrate_bps),
        ..Default::default()
    }
}

fn sound(key: &str, container: v1::Container, audio: v1::AudioSettings) -> PlanNode {
    let settings = v1::TranscodeSettings {
        container: Some(container as i32),
        audio: Some(audio),
        ..Default::default()
    };
    node(
        key,
        Settings::Transcode(settings),
        &container.as_str_name()["CONTAINER_".len()..].to_lowercase(),
        &[],
    )
}

fn transcode(key: &str, with_sound: bool) -> PlanNode {
    node(key, Settings::Transcode(film(with_sound)), "mp4", &[])
}

fn failure<'a>(result: &'a ChildResult, key: &str) -> Option<&'a Failure> {
    assert!(result.failure.is_none(), "{:?}", result.failure);
    result.nodes.iter().find(|node| node.key == key).unwrap().failure.as_ref()
}

fn reason(failure: &Failure) -> String {
    let details = &failure.status.as_ref().unwrap().details;
    mps_proto::rpc::ErrorInfo::decode(details[0].value.as_slice()).unwrap().reason
}

fn file(result: &ChildResult, key: &str) -> PathBuf {
    assert!(failure(result, key).is_none(), "{key}: {:?}", failure(result, key));
    let node = result.nodes.iter().find(|node| node.key == key).unwrap();
    PathBuf::from(&node.files[0].path)
}

const FILM: &str = "-f lavfi -i testsrc2=s=160x120:r=25:d=2";

#[test]
fn sound_that_does_not_decode_costs_only_nodes_that_want_it() {
    let folder = Folder::new();
    let input = folder.make(
        "film.mp4",
        &format!("{FILM} -f lavfi -i sine=440:r=48000:d=2 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p -c:a aac"),
    );
    overwrite(&input, "a:0", 0x55);
    let aac = aac(v1::AudioCodec::Aac, 96_000);
    let result = folder.run(
        &input,
        vec![
            snapshot("picture"),
            transcode("both", true),
            transcode("silent", false),
            sound("sound", v1::Container::M4a, aac),
        ],
    );
    assert_eq!(frames(&file(&result, "silent")), 50);
    assert_eq!(ffprobe(&file(&result, "picture"), "-show_entries stream=width,height"), "160,120");
    for key in ["both", "sound"] {
        let failure = failure(&result, key).unwrap_or_else(|| panic!("{key} has no sound to give"));
        assert_eq!(
            (failure.kind(), reason(failure).as_str()),
            (FailureKind::Data, "INPUT_DAMAGED"),
            "{failure:?}"
        );
    }
}

#[test]
fn film_that_does_not_parse_costs_no_sound() {
    let folder = Folder::new();
    let input = folder.make(
        "film.mp4",
        &format!("{FILM} -f lavfi -i sine=440:r=48000:d=2 -c:v libaom-av1 -cpu-used 8 -c:a aac"),
    );
    overwrite(&input, "v:0", 0xff);
    let aac = || aac(v1::AudioCodec::Aac, 96_000);
    let alone = folder.run(&input, vec![sound("sound", v1::Container::M4a, aac())]);
    assert!((seconds(&file(&alone, "sound")) - 2.0).abs() < 0.05);
    let beside = folder.run(&input, vec![snapshot("picture"), sound("sound", v1::Container::M4a, aac())]);
    assert!((seconds(&file(&beside, "sound")) - 2.0).abs() < 0.05);
    assert_eq!(failure(&beside, "picture").unwrap().kind(), FailureKind::Data);
}
