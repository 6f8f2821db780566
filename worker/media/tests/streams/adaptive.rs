//! Adaptive streams: members as the child reports them, joined to files that ffprobe and ffmpeg read.

use std::{fs, path::PathBuf, time::Duration};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{PlanNode, PlanSet, SetResume},
};

use crate::{
    pass_tools::{ffmpeg, frames},
    tools::{Film, Told, ffmpeg_log, seconds},
};

fn node(format: v1::SegmentFormat) -> PlanNode {
    let rendition = |height: i32| v1::Rendition {
        video: Some(v1::VideoSettings {
            codec: Some(v1::VideoCodec::H264.into()),
            crf: Some(23),
            height_px: Some(height),
            profile: Some("high".into()),
            speed: Some(v1::EncoderSpeed::Fast.into()),
            ..Default::default()
        }),
    };
    let audio = v1::AudioRendition {
        audio: Some(v1::AudioSettings {
            codec: Some(v1::AudioCodec::Aac.into()),
            bitrate_bps: Some(128_000),
            ..Default::default()
        }),
        ..Default::default()
    };
    PlanNode {
        key: "stream".into(),
        settings: Some(v1::NodeSettings {
            settings: Some(Settings::AdaptiveStream(v1::AdaptiveStreamSettings {
                segment_format: Some(format.into()),
                segment_duration: Some(Duration::from_secs(2).try_into().unwrap()),
                renditions: vec![rendition(180), rendition(360), rendition(720)],
                audio: vec![audio],
                ..Default::default()
            })),
        }),
        set: Some(PlanSet {
            set_id: "set".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn stream(film: &Film, format: v1::SegmentFormat, sets: Vec<SetResume>) -> Told {
    film.stream(node(format), sets)
}

#[test]
fn renditions_are_cut_at_the_same_times_and_play() {
    let film = Film::new();
    let told = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    let kinds: Vec<_> = told.tracks.iter().map(|track| (track.kind.as_str(), track.height_px)).collect();
    assert_eq!(
        kinds,
        [("video", 360), ("video", 180), ("audio", 0)],
        "720 lines are more than the input has"
    );
    assert!(told.tracks[0].codecs.starts_with("avc1.64"), "{}", told.tracks[0].codecs);
    assert_eq!(told.tracks[2].codecs, "mp4a.40.2");
    for track in 0..3 {
        assert_eq!(told.indices(track), [-1, 0, 1, 2, 3, 4], "track {track}");
        let path = film.path(&format!("track{track}.mp4"));
        fs::write(&path, told.joined(track)).unwrap();
        if track < 2 {
            assert_eq!(frames(&path), 270);
        }
        ffmpeg(&format!("-xerror -i {} -f null", path.display()), &PathBuf::from("-"));
    }
    for index in 0..5 {
        for track in 0..3 {
            let start = seconds(told.members[&(track, index)].0.start);
            assert!(
                (start - f64::from(index) * 2.0).abs() < 0.012,
                "track {track} segment {index} begins at {start}"
            );
        }
    }
}

#[test]
fn a_track_of_sound_is_called_as_the_input_calls_it() {
    let film = Film::named(
        "-f lavfi -i testsrc2=s=160x90:r=25:d=2 -f lavfi -i sine=440:r=48000:d=2 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac \
         -metadata:s:a:0 title=Commentary -metadata:s:a:0 language=eng",
        "film.mkv",
    );
    let told = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    let names: Vec<_> = told.tracks.iter().filter(|track| track.kind == "audio").collect();
    assert_eq!(names[0].display_name, "Commentary");
}

#[test]
fn two_runs_give_the_same_bytes() {
    let film = Film::new();
    for format in [v1::SegmentFormat::Fmp4, v1::SegmentFormat::Ts] {
        let bytes = || stream(&film, format, Vec::new()).members.into_values().map(|(_, bytes)| bytes);
        assert!(bytes().eq(bytes()), "{format:?}");
    }
}

#[test]
fn a_smaller_rendition_looks_like_the_input() {
    let film = Film::new();
    let told = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    let small = film.path("small.mp4");
    fs::write(&small, told.joined(1)).unwrap();
    let log = ffmpeg_log(&format!(
        "-i {} -i {} -lavfi [0:v]scale=320:180:flags=area[a];[a][1:v]ssim -f null -",
        film.path("film.mp4").display(),
        small.display()
    ));
    let all = log.split("All:").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    assert!(all.parse::<f64>().unwrap_or(0.0) > 0.95, "{log}");
}

#[test]
fn transport_streams_are_cut_alike() {
    let film = Film::new();
    let told = stream(&film, v1::SegmentFormat::Ts, Vec::new());
    for track in 0..3 {
        assert_eq!(told.indices(track), [0, 1, 2, 3, 4], "track {track}");
        let path = film.path(&format!("track{track}.ts"));
        fs::write(&path, told.joined(track)).unwrap();
        ffmpeg(&format!("-xerror -i {} -f null", path.display()), &PathBuf::from("-"));
    }
}

#[test]
fn a_stream_goes_on_after_its_last_committed_member() {
    let film = Film::new();
    let whole = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    let sha256 = |track: i32| whole.members[&(track, -1)].0.sha256.clone();
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![2, 3, 2],
        init_sha256: (0..3).map(sha256).collect(),
    };
    let rest = stream(&film, v1::SegmentFormat::Fmp4, vec![resume]);
    for (track, first) in [(0, 2), (1, 3), (2, 2)] {
        assert_eq!(rest.indices(track), (first..5).collect::<Vec<_>>(), "track {track}");
        let before = &whole.members[&(track, first - 1)].0;
        let joint = seconds(before.start) + seconds(before.duration);
        let start = seconds(rest.members[&(track, first)].0.start);
        assert!((start - joint).abs() < 0.001, "track {track}: {joint} and then {start}");
        let mut bytes: Vec<u8> = (-1..first).flat_map(|index| whole.members[&(track, index)].1.clone()).collect();
        bytes.extend(rest.joined(track));
        let path = film.path(&format!("resumed{track}.mp4"));
        fs::write(&path, bytes).unwrap();
        ffmpeg(&format!("-xerror -i {} -f null", path.display()), &PathBuf::from("-"));
    }
}

#[test]
fn frames_that_fall_beside_the_boundaries_neither_break_a_stream_nor_its_resume() {
    // Of 30000/1001 frames a second one ends its first half 0.7 ms before the boundary at 16 s; every other boundary falls into a frame.
    let film = Film::of("30000/1001", 21);
    let whole = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    for track in 0..2 {
        assert_eq!(whole.indices(track), (-1..=10).collect::<Vec<_>>(), "track {track}");
        let path = film.path(&format!("track{track}.mp4"));
        fs::write(&path, whole.joined(track)).unwrap();
        assert_eq!(frames(&path), 630);
    }
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![9, 9, 9],
        init_sha256: (0..3).map(|track| whole.members[&(track, -1)].0.sha256.clone()).collect(),
    };
    let rest = stream(&film, v1::SegmentFormat::Fmp4, vec![resume]);
    for track in 0..3 {
        assert_eq!(rest.indices(track), [9, 10], "track {track}");
        for index in [9, 10] {
            let (made, again) = (&whole.members[&(track, index)].0, &rest.members[&(track, index)].0);
            assert_eq!(
                (made.start, made.duration),
                (again.start, again.duration),
                "track {track} segment {index}"
            );
        }
    }
}

#[test]
fn an_attempt_that_lacks_nothing_ends_well() {
    let film = Film::new();
    let whole = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![5, 5, 5],
        init_sha256: (0..3).map(|track| whole.members[&(track, -1)].0.sha256.clone()).collect(),
    };
    let rest = stream(&film, v1::SegmentFormat::Fmp4, vec![resume]);
    assert_eq!(rest.tracks.len(), 3);
    assert!(rest.members.is_empty(), "{:?}", rest.members.keys());
}

#[test]
fn sound_that_begins_late_and_stops_for_long_has_every_segment() {
    let film = Film::made(
        "-f lavfi -i testsrc2=s=640x360:r=30:d=12 -itsoffset 5 -f lavfi -i sine=f=440:r=48000:d=6 -c:v libx264 -preset veryfast \
         -pix_fmt yuv420p -c:a aac",
    );
    let told = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    assert_eq!(told.indices(0), (-1..6).collect::<Vec<_>>());
    assert_eq!(told.indices(2), (-1..6).collect::<Vec<_>>());
    let path = film.path("sound.mp4");
    fs::write(&path, told.joined(2)).unwrap();
    let silence = ffmpeg_log(&format!("-i {} -af silencedetect=n=-30dB:d=1 -f null -", path.display()));
    let end = silence
        .split("silence_end: ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_default();
    assert!((end.parse::<f64>().unwrap_or(0.0) - 5.0).abs() < 0.01, "{silence}");
}

#[test]
fn pictures_that_stand_longer_than_a_segment_fill_every_segment() {
    let film = Film::made(
        "-f lavfi -i testsrc2=s=640x360:r=30:d=13 -f lavfi -i sine=f=440:r=48000:d=13 -vf select='lt(n,20)+eq(n,200)+gt(n,380)' -fps_mode vfr \
         -c:v libx264 -preset veryfast -pix_fmt yuv420p -c:a aac",
    );
    let told = stream(&film, v1::SegmentFormat::Fmp4, Vec::new());
    for track in 0..3 {
        assert_eq!(told.indices(track), (-1..7).collect::<Vec<_>>(), "track {track}");
    }
}
