//! MP4s whose edit list plays two parts of the film: what lies between them is left out everywhere. The source's pictures say their number by
//! their brightness, its sound by its silence.

mod kinds_tools;
mod pass_tools;
mod transcode_tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

use kinds_tools::{Made, adaptive, made, snapshot, span};
use mps_proto::{
    v1::{AudioCodec, Container, TranscodeSettings, VideoCodec, VideoSettings},
    worker::v1::PlanNode,
};
use pass_tools::{ffmpeg, ffprobe, filtered, number};
use transcode_tools::{audio, first_sound, node, video};

/// Parts that are shown, in pictures of the source: one second each.
const PARTS: [i64; 2] = [25, 75];

fn find(bytes: &[u8], kind: &[u8; 4], from: usize) -> usize {
    let place = bytes[from..].windows(4).position(|window| window == kind);
    from + place.unwrap()
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Writes a second edit into the list of each track, behind the only one: an index that stands last may grow.
fn play_two_parts(bytes: &mut Vec<u8>) {
    let index = find(bytes, b"moov", find(bytes, b"mdat", 0));
    let movie_scale = be32(bytes, find(bytes, b"mvhd", index) + 16);
    let mut track = index;
    for _ in 0..2 {
        track = find(bytes, b"trak", track + 4);
        let scale = be32(bytes, find(bytes, b"mdhd", track) + 16);
        let (edits, list) = (find(bytes, b"edts", track), find(bytes, b"elst", track));
        assert_eq!(be32(bytes, list + 8), 1);
        // The order of pictures, or what the encoder of sound puts in front.
        let lead = be32(bytes, list + 16);
        let entry = |part: i64| {
            let begins = lead + (part as u32) * scale / 25;
            [movie_scale, begins, 0x1_0000].map(u32::to_be_bytes).concat()
        };
        let entries = PARTS.map(entry).concat();
        bytes[list + 8..list + 12].copy_from_slice(&2u32.to_be_bytes());
        bytes.splice(list + 12..list + 24, entries);
        for kind in [index, track, edits, list] {
            let size = be32(bytes, kind - 4) + 12;
            bytes[kind - 4..kind].copy_from_slice(&size.to_be_bytes());
        }
        let header = find(bytes, b"tkhd", track);
        bytes[header + 24..header + 28].copy_from_slice(&(2 * movie_scale).to_be_bytes());
    }
    let header = find(bytes, b"mvhd", index);
    bytes[header + 20..header + 24].copy_from_slice(&(2 * movie_scale).to_be_bytes());
}

/// 4 s at 25 pictures a second; a tone from 3.5 s on.
fn film(folder: &Path) -> PathBuf {
    let path = folder.join("film.mp4");
    ffmpeg(
        "-f lavfi -i color=black:s=160x90:r=25:d=4,geq=lum='20+2*N':cb=128:cr=128 \
         -f lavfi -i aevalsrc=0.8*sin(2*PI*440*t)*gte(t\\,3.5):s=48000:d=4 -pix_fmt yuv420p -c:v libx264 -qp 4 -g 25 -bf 2 -c:a aac",
        &path,
    );
    let mut bytes = fs::read(&path).unwrap();
    play_two_parts(&mut bytes);
    fs::write(&path, bytes).unwrap();
    path
}

/// Numbers of the source's pictures that a file shows.
fn shown(file: &Path) -> Vec<i64> {
    let told = filtered(
        &[file],
        "-an -fps_mode passthrough -vf scale=out_range=tv,format=yuv420p,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
    );
    let values = told.lines().filter_map(|line| line.strip_prefix("lavfi.signalstats.YAVG="));
    values.map(|value| ((number(value) - 20.0) / 2.0).round() as i64).collect()
}

fn settings() -> TranscodeSettings {
    TranscodeSettings {
        container: Some(Container::Mp4.into()),
        video: Some(VideoSettings {
            crf: Some(1),
            ..video(VideoCodec::H264)
        }),
        audio: Some(audio(AudioCodec::Aac)),
        ..Default::default()
    }
}

fn copied(key: &str, picture: VideoCodec, sound: AudioCodec) -> PlanNode {
    let copy = |settings: VideoSettings| match picture {
        VideoCodec::Copy => VideoSettings {
            codec: Some(VideoCodec::Copy.into()),
            ..Default::default()
        },
        _ => settings,
    };
    let settings = settings();
    node(
        key,
        TranscodeSettings {
            video: settings.video.map(copy),
            audio: Some(audio(sound)),
            ..settings
        },
    )
}

fn parts() -> Vec<i64> {
    PARTS.into_iter().flat_map(|begin| begin..begin + 25).collect()
}

#[test]
fn two_parts_are_played_one_behind_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = film(folder.path());
    let over_the_joint = PlanNode {
        start_offset: span(800),
        end_offset: span(1200),
        ..node("clip", settings())
    };
    let nodes = vec![
        node("whole", settings()),
        over_the_joint,
        snapshot("first", "0s"),
        snapshot("last", "1.94s"),
        adaptive("stream", 90),
    ];
    let made: Made = made(&path, nodes);
    assert_eq!(shown(&made.good("whole")), parts());
    assert_eq!(shown(&made.good("clip")), parts()[20..30]);
    assert_eq!(shown(&made.good("stream")), parts());
    assert_eq!(shown(&made.good("first")), [25]);
    assert_eq!(shown(&made.good("last")), [98]);
    for (key, lasts) in [("whole", 2.0), ("clip", 0.4)] {
        let told = number(&ffprobe(&made.good(key), "-show_entries format=duration"));
        assert!((told - lasts).abs() < 0.03, "{key}: {told} s");
    }
    let begins = first_sound(&made.good("whole"));
    assert!((begins - 1.5).abs() < 0.01, "the tone begins at {begins} s");
}

#[test]
fn a_copy_of_two_parts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = film(folder.path());
    let made = made(
        &path,
        vec![
            copied("picture", VideoCodec::Copy, AudioCodec::Aac),
            copied("sound", VideoCodec::H264, AudioCodec::Copy),
            node("encoded", settings()),
        ],
    );
    for key in ["picture", "sound"] {
        let failure = made.file(key).unwrap_err();
        assert!(failure.contains("plays several parts of its media"), "{key}: {failure}");
    }
    assert_eq!(shown(&made.good("encoded")), parts());
}
