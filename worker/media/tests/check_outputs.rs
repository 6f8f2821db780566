//! The output check passes right files and refuses shortened, damaged and wrong ones; moving the index keeps every packet.

mod odd_corpus;

use std::{path::Path, process::Command, time::Duration};

use mps_media::{
    check::{Expectation, check_output},
    faststart::move_index_first,
};
use odd_corpus::Corpus;

const DEADLINE: Duration = Duration::from_secs(20);

fn film(seconds: f64, frames: u64) -> Expectation {
    Expectation {
        duration: Some(Duration::from_secs_f64(seconds)),
        duration_tolerance: Duration::from_millis(34),
        video_codec: Some("h264".into()),
        width_px: 320,
        height_px: 180,
        video_frames: Some(frames),
        audio_codec: Some("aac".into()),
        ..Expectation::default()
    }
}

fn refusal(path: &Path, expected: &Expectation) -> String {
    check_output(path, expected, DEADLINE)
        .expect_err("it should not pass")
        .status
        .unwrap()
        .message
}

/// MD5 of each decoded stream, by ffmpeg.
fn decoded_md5(path: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "streamhash", "-hash", "md5", "-"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_right_film_passes_and_is_described() {
    let corpus = Corpus::new();
    let media = check_output(&corpus.make("faststart"), &film(2.0, 60), DEADLINE).unwrap();
    assert_eq!(media.container, "mp4");
    assert_eq!(media.streams.len(), 2);
    let video = &media.streams[0];
    assert_eq!(video.video.as_ref().unwrap().frame_rate_num, 30);
    assert!(video.bitrate_bps > 10_000 && media.bitrate_bps > video.bitrate_bps);
    assert_eq!(video.duration.unwrap().seconds, 2);
}

#[test]
fn a_long_film_passes_by_samples() {
    let corpus = Corpus::new();
    let path = corpus.ffmpeg(
        "long.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=10:d=30 -f lavfi -i sine=440:r=48000:d=30 -c:v libx264 -preset veryfast -g 50 -pix_fmt yuv420p -c:a aac",
    );
    let mut expected = film(30.0, 300);
    expected.duration_tolerance = Duration::from_millis(100);
    check_output(&path, &expected, DEADLINE).unwrap();
}

#[test]
fn what_differs_is_said() {
    let corpus = Corpus::new();
    let path = corpus.make("faststart");
    assert!(refusal(&path, &film(2.0, 61)).contains("60 video frames, expected 61"));
    assert!(refusal(&path, &film(3.0, 60)).contains("lasts 2.0"));
    let wide = Expectation {
        width_px: 640,
        ..film(2.0, 60)
    };
    assert!(refusal(&path, &wide).contains("320x180, not 640x180"));
    let other = Expectation {
        video_codec: Some("hevc".into()),
        ..film(2.0, 60)
    };
    assert!(refusal(&path, &other).contains("[h264], expected [hevc]"));
    let silent = Expectation {
        audio_codec: None,
        ..film(2.0, 60)
    };
    assert!(refusal(&path, &silent).contains("audio streams are [aac]"));
    let longer_sound = Expectation {
        audio_duration: Some(Duration::from_secs(4)),
        ..film(2.0, 60)
    };
    assert!(refusal(&path, &longer_sound).contains("its sound"));
}

#[test]
fn cut_and_damaged_films_do_not_pass() {
    let corpus = Corpus::new();
    for case in ["cut_with_index", "cut_without_index", "empty", "random"] {
        refusal(&corpus.make(case), &film(2.0, 60));
    }
    let message = refusal(&corpus.make("bit_flips"), &film(2.0, 60));
    assert!(message.contains("damage"), "{message}");
}

#[test]
fn sound_and_pictures_pass() {
    let corpus = Corpus::new();
    let sound = Expectation {
        duration: Some(Duration::from_secs(2)),
        duration_tolerance: Duration::from_millis(22),
        audio_codec: Some("aac".into()),
        ..Expectation::default()
    };
    check_output(&corpus.make("no_video"), &sound, DEADLINE).unwrap();
    let mp3 = Expectation {
        audio_codec: Some("mp3".into()),
        ..sound
    };
    check_output(&corpus.make("mp3"), &mp3, DEADLINE).unwrap();
    for (case, codec) in [("still_png", "png"), ("still_jpg", "jpeg"), ("still_webp", "webp")] {
        let path = corpus.make(case);
        let picture = Expectation {
            video_codec: Some(codec.into()),
            width_px: 160,
            height_px: 90,
            ..Expectation::default()
        };
        check_output(&path, &picture, DEADLINE).unwrap();
        let wrong = Expectation {
            width_px: 90,
            ..picture.clone()
        };
        assert!(refusal(&path, &wrong).contains("160x90"), "{case}");
        let half = corpus.cut(&path, "half", 50);
        // A decoder may make up the missing half of a JPEG; the others tell.
        assert!(codec == "jpeg" || check_output(&half, &picture, DEADLINE).is_err(), "{case}");
    }
}

#[test]
fn moving_the_index_keeps_every_packet() {
    let corpus = Corpus::new();
    let path = corpus.make("plain");
    let before = decoded_md5(&path);
    assert!(!before.is_empty());
    move_index_first(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let at = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
    assert_eq!(decoded_md5(&path), before);
    move_index_first(&path).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    check_output(&path, &film(2.0, 60), DEADLINE).unwrap();
}
