//! Films in Dolby Vision: with a base layer that everybody shows, and without.

mod colour_tools;
mod pass_tools;
mod transcode_tools;

use std::{fs, path::Path};

use colour_tools::{BT2020, Range, codes, film, ways};
use mps_proto::v1::{self, AudioCodec, Container, ImageFormat, PadFill, VideoCodec};
use pass_tools::{ffmpeg, ffprobe};
use transcode_tools::{Film, audio, node, video};

/// Puts a box at the end of the first description of pictures; the index stands behind the media.
fn with_record(file: &Path, kind: &[u8; 4], record: &[u8]) -> Vec<u8> {
    let mut bytes = fs::read(file).unwrap();
    let mut at = 0;
    let mut end = bytes.len();
    let mut sizes = Vec::new();
    for (name, skipped) in [
        ("moov", 8),
        ("trak", 8),
        ("mdia", 8),
        ("minf", 8),
        ("stbl", 8),
        ("stsd", 16),
        ("hvc1", 0),
    ] {
        let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        while &bytes[at + 4..at + 8] != name.as_bytes() {
            at += size(at);
            assert!(at < end, "no {name}");
        }
        sizes.push(at);
        end = at + size(at);
        at += skipped;
    }
    let added = [&(record.len() as u32 + 8).to_be_bytes()[..], kind, record].concat();
    for at in sizes {
        let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) + added.len() as u32;
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
    }
    bytes.splice(end..end, added);
    bytes
}

/// The record of a profile at level 4 with a base layer of that kind.
fn record(profile: u16, base: u8) -> Vec<u8> {
    let [high, low] = (profile << 9 | 4 << 3 | 0b101).to_be_bytes();
    let mut record = vec![1, 0, high, low, base << 4];
    record.resize(24, 0);
    record
}

fn transcoded(folder: &Film, input: &str, codec: VideoCodec) -> Result<std::path::PathBuf, String> {
    let settings = v1::TranscodeSettings {
        container: Some(Container::Mp4 as i32),
        video: Some(video(codec)),
        ..Default::default()
    };
    folder.transcode_of(input, vec![node("a", settings)]).remove(0)
}

#[test]
fn dolby_vision_without_a_common_base_is_refused_by_name() {
    let folder = Film::new();
    let plain = folder.path("plain.mov");
    let samples = codes([0.5; 3], BT2020, Range::Limited, 10);
    let hlg = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc";
    film(
        &[samples; 4],
        "yuv420p10le",
        80,
        &format!("-c:v libx265 -preset ultrafast -x265-params log-level=none:{hlg} -tag:v hvc1"),
        &folder.path("silent.mov"),
    );
    ffmpeg(
        &format!(
            "-i {} -f lavfi -i sine=d=0.5 -c:v copy -c:a aac",
            folder.path("silent.mov").display()
        ),
        &plain,
    );
    fs::write(folder.path("five.mov"), with_record(&plain, b"dvcC", &record(5, 0))).unwrap();
    fs::write(folder.path("eight.mov"), with_record(&plain, b"dvvC", &record(8, 4))).unwrap();
    ffmpeg(
        &format!("-i {} -c copy -strict unofficial", folder.path("five.mov").display()),
        &folder.path("five.mkv"),
    );
    assert!(ffprobe(&folder.path("five.mkv"), "-show_entries stream_side_data=dv_profile").contains('5'));
    let mut named = fs::read(folder.path("five.mov")).unwrap();
    let at = named.windows(4).rposition(|name| name == b"hvc1").unwrap();
    named[at..at + 4].copy_from_slice(b"dvh1");
    fs::write(folder.path("named.mov"), named).unwrap();
    for input in ["five.mov", "five.mkv", "named.mov"] {
        let refusals = [
            transcoded(&folder, input, VideoCodec::H264),
            folder
                .transcode_of(input, vec![ways::snapshot("png", ImageFormat::Png, PadFill::Black)])
                .remove(0),
        ];
        for refusal in refusals {
            assert!(
                refusal.as_ref().is_err_and(|told| told.contains("Dolby Vision profile 5")),
                "{input}: {refusal:?}"
            );
        }
    }
    // Sound needs no picture, and a copy changes none.
    let sound = v1::TranscodeSettings {
        container: Some(Container::M4a as i32),
        audio: Some(audio(AudioCodec::Aac)),
        ..Default::default()
    };
    folder.transcode_of("five.mov", vec![node("a", sound)]).remove(0).unwrap();
    transcoded(&folder, "five.mov", VideoCodec::Copy).unwrap();
    // The base layer of profile 8.4 is HLG.
    let mapped = transcoded(&folder, "eight.mov", VideoCodec::H264).unwrap();
    let told = ffprobe(&mapped, "-select_streams v:0 -show_entries stream=color_transfer");
    assert_eq!(told, "bt709");
}
