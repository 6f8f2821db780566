//! Streams whose picture or sound begins late, has holes, stands long or ends early: every segment is there, with all that belongs into it.

use std::time::Duration;

use mps_proto::{
    v1::{EncoderSpeed, SegmentFormat},
    worker::v1::SetResume,
};

use crate::{
    hls::{copied, decodes, encoded, node, sound_length},
    pass_tools::{ffprobe, frames, number},
    tools::{Film, Told, seconds},
};

/// The first time of showing of a kind of stream in a file.
fn first(file: &std::path::Path, kind: &str) -> f64 {
    let times = ffprobe(file, &format!("-select_streams {kind}:0 -show_entries packet=pts_time"));
    let times = times.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    times.fold(f64::INFINITY, f64::min)
}

fn is_gapless(told: &Told, track: i32) {
    let segments = told.segments(track);
    assert_eq!(segments[0].index, 0);
    assert!(seconds(segments[0].start) < 0.001, "{:?}", segments[0]);
    for pair in segments.windows(2) {
        assert_eq!(pair[0].index + 1, pair[1].index);
        let end = seconds(pair[0].start) + seconds(pair[0].duration);
        assert!((end - seconds(pair[1].start)).abs() < 0.001, "{pair:?}");
    }
}

#[test]
fn pictures_that_begin_late_are_shown_from_the_beginning() {
    let film = Film::named(
        "-f lavfi -i sine=f=440:r=48000:d=4 -itsoffset 1.5 -f lavfi -i testsrc2=s=160x90:r=30:d=2.5 -map 1 -map 0 -c:v libx264 \
         -preset veryfast -g 30 -pix_fmt yuv420p -c:a aac",
        "film.mp4",
    );
    for what in [encoded(), copied()] {
        let told = film.stream(node(SegmentFormat::Ts, what.clone()), Vec::new());
        is_gapless(&told, 0);
        assert!((told.length(0) - 4.0).abs() < 0.05, "{}", told.length(0));
        let whole = film.keep("whole.ts", &told.joined(0));
        assert!((first(&whole, "v") - first(&whole, "a")).abs() < 0.01);
        decodes(&whole);
        let told = film.stream(node(SegmentFormat::Fmp4, what), Vec::new());
        for track in 0..2 {
            is_gapless(&told, track);
            assert!((told.length(track) - 4.0).abs() < 0.05, "track {track}: {}", told.length(track));
        }
        assert!(first(&film.keep("picture.mp4", &told.joined(0)), "v") < 0.1);
    }
}

#[test]
fn sound_that_ends_early_or_has_a_hole_goes_on_in_silence() {
    let early = "-f lavfi -i testsrc2=s=160x90:r=30:d=4 -f lavfi -i sine=f=440:r=48000:d=1.5 -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -c:a";
    let hole = "-f lavfi -i testsrc2=s=160x90:r=30:d=4 -f lavfi -i aevalsrc=sin(2*PI*440*t):s=48000:d=4 -af aselect='lt(t\\,0.5)+gt(t\\,3)' \
                -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -c:a";
    for (arguments, codec, name) in [
        (early, "aac", "film.mp4"),
        (hole, "aac", "film.mkv"),
        (early, "libmp3lame", "film.mkv"),
    ] {
        let film = Film::named(&format!("{arguments} {codec}"), name);
        let told = film.stream(node(SegmentFormat::Ts, copied()), Vec::new());
        assert!((told.length(0) - 4.0).abs() < 0.06, "{name} {codec}: {}", told.length(0));
        for member in told.segments(0) {
            let alone = film.keep("alone.ts", &told.members[&(0, member.index)].1);
            decodes(&alone);
            let (heard, lasts) = (sound_length(&alone), seconds(member.duration));
            assert!((heard - lasts).abs() < 0.06, "{name} {codec}: {heard} of {lasts}");
        }
    }
    let film = Film::named(&format!("{early} aac"), "film.mp4");
    for (format, tracks) in [(SegmentFormat::Ts, 1), (SegmentFormat::Fmp4, 2)] {
        let told = film.stream(node(format, encoded()), Vec::new());
        for track in 0..tracks {
            assert!((told.length(track) - 4.0).abs() < 0.05, "track {track}: {}", told.length(track));
        }
        let last = tracks - 1;
        let sound = film.keep("sound", &told.joined(last));
        assert!((sound_length(&sound) - 4.0).abs() < 0.05, "{}", sound_length(&sound));
    }
}

#[test]
fn a_picture_that_stands_for_long_is_in_every_segment() {
    // Four seconds without a picture; a picture every five seconds.
    for (arguments, length, name) in [
        (
            "-f lavfi -i testsrc2=s=160x90:r=30:d=7 -vf select='lt(t,1.2)+gt(t,5.2)' -vsync passthrough",
            7.0,
            "film.mkv",
        ),
        ("-f lavfi -i testsrc2=s=160x90:r=0.2:d=10", 10.0, "film.mkv"),
        ("-f lavfi -i testsrc2=s=160x90:r=1:d=4", 4.0, "film.mp4"),
    ] {
        let film = Film::named(&format!("{arguments} -c:v libx264 -preset ultrafast -g 30 -pix_fmt yuv420p"), name);
        let told = film.stream(node(SegmentFormat::Ts, (encoded().0, None)), Vec::new());
        is_gapless(&told, 0);
        assert_eq!(told.segments(0).len(), (length / 2.0_f64).ceil() as usize, "{arguments}");
        assert!((told.length(0) - length).abs() < 0.05, "{arguments}: {}", told.length(0));
        for member in told.segments(0) {
            assert!(seconds(member.duration) < 2.5, "{member:?}");
            let alone = film.keep("alone.ts", &told.members[&(0, member.index)].1);
            decodes(&alone);
            assert!(frames(&alone) >= 4, "{arguments}: {member:?}");
        }
        let rate = f64::from(told.tracks[0].frame_rate_num) / f64::from(told.tracks[0].frame_rate_den);
        assert!((2.0..31.0).contains(&rate), "{arguments}: {rate}");
    }
}

#[test]
fn an_encoder_that_looks_far_ahead_has_a_key_frame_in_every_short_segment() {
    let film = Film::named(
        "-f lavfi -i testsrc2=s=160x90:r=25:d=4 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
        "film.mp4",
    );
    let (mut video, _) = encoded();
    if let Some(video) = &mut video {
        video.speed = Some(EncoderSpeed::Slow.into());
        video.gop_frames = None;
    }
    let mut node = node(SegmentFormat::Ts, (video, None));
    let second = Some(Duration::from_secs(1).try_into().unwrap());
    node.set.as_mut().unwrap().segment_duration = second;
    let told = film.stream(node, Vec::new());
    assert_eq!(told.segments(0).len(), 4);
    is_gapless(&told, 0);
}

#[test]
fn a_still_picture_without_a_length_is_no_stream() {
    let film = Film::named("-f lavfi -i testsrc2=s=160x90:d=1 -frames:v 1", "film.png");
    let refused = film.refused(node(SegmentFormat::Ts, encoded()));
    assert!(refused.contains("the input is a still picture"), "{refused}");
}

#[test]
fn a_stream_of_a_still_picture_goes_on_after_its_last_committed_member() {
    let film = Film::named("-f lavfi -i testsrc2=s=160x90:d=1 -frames:v 1", "film.png");
    let of_length = || {
        let (mut video, sound) = encoded();
        if let Some(video) = &mut video {
            video.still_duration = Some(Duration::from_secs(21).try_into().unwrap());
        }
        node(SegmentFormat::Fmp4, (video, sound))
    };
    let whole = film.stream(of_length(), Vec::new());
    let last = *whole.indices(0).last().unwrap();
    assert!(last >= 3 && (whole.length(0) - 21.0).abs() < 0.001, "{last} {}", whole.length(0));
    let resume = SetResume {
        set_id: "set".into(),
        segments: vec![2],
        init_sha256: vec![whole.members[&(0, -1)].0.sha256.clone()],
    };
    let rest = film.stream(of_length(), vec![resume]);
    assert_eq!(rest.indices(0), (2..=last).collect::<Vec<_>>());
    for segment in rest.segments(0) {
        let before = &whole.members[&(0, segment.index)].0;
        assert_eq!((segment.start, segment.duration), (before.start, before.duration));
    }
    let mut bytes: Vec<u8> = (-1..2).flat_map(|index| whole.members[&(0, index)].1.clone()).collect();
    bytes.extend(rest.joined(0));
    assert_eq!(frames(&film.keep("joined.mp4", &bytes)), 21 * 25);
}

#[test]
fn one_key_frame_makes_one_segment() {
    let film = Film::named(
        "-f lavfi -i testsrc2=s=160x90:r=30:d=5 -f lavfi -i sine=f=440:r=48000:d=5 -c:v libx264 -preset ultrafast -g 1000 -sc_threshold 0 \
         -pix_fmt yuv420p -c:a aac",
        "film.mp4",
    );
    let told = film.stream(node(SegmentFormat::Fmp4, copied()), Vec::new());
    assert!(told.tracks.iter().all(|track| track.own_keys));
    for track in 0..2 {
        assert_eq!(told.segments(track).len(), 1);
        assert!((told.length(track) - 5.0).abs() < 0.05, "{}", told.length(track));
    }
    let picture = film.keep("picture.mp4", &told.joined(0));
    assert_eq!(frames(&picture), 150);
    assert!(number(&ffprobe(&picture, "-select_streams v -show_entries stream=width")) as i32 == 160);
}
