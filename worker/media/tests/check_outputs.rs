//! The output check passes right files and refuses shortened, damaged and wrong ones; moving the index keeps every packet.

mod odd_corpus;

use std::{cell::Cell, path::Path, process::Command, time::Duration};

use mps_media::{
    check::{Expectation, Sound, Span, check_output},
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
        sound: track("aac"),
        ..Expectation::default()
    }
}

fn track(codec: &str) -> Vec<Sound> {
    vec![Sound {
        codec: codec.into(),
        span: None,
    }]
}

fn refusal(path: &Path, expected: &Expectation) -> String {
    check_output(path, expected, DEADLINE, &|| ())
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
    let media = check_output(&corpus.make("faststart"), &film(2.0, 60), DEADLINE, &|| ()).unwrap();
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
    check_output(&path, &expected, DEADLINE, &|| ()).unwrap();
}

#[test]
fn transport_streams_pass_whatever_their_key_frames() {
    let corpus = Corpus::new();
    let codecs = [
        ("h264", "libx264 -preset veryfast -bf 3 -g 50 -pix_fmt yuv420p"),
        ("h264", "libx264 -preset veryfast -bf 3 -g 250 -pix_fmt yuv420p"),
        (
            "hevc",
            "libx265 -preset ultrafast -x265-params log-level=error:open-gop=1:keyint=40",
        ),
        ("mpeg2video", "mpeg2video -bf 2 -g 15 -b:v 1M"),
    ];
    for (number, (codec, encoder)) in codecs.into_iter().enumerate() {
        let name = format!("film{number}.ts");
        let source = "-f lavfi -i testsrc2=s=160x90:r=25:d=5 -f lavfi -i sine=440:r=48000:d=5";
        let path = corpus.ffmpeg(&name, &format!("{source} -c:v {encoder} -c:a mp2"));
        let expected = Expectation {
            video_codec: Some(codec.into()),
            width_px: 160,
            height_px: 90,
            duration_tolerance: Duration::from_millis(80),
            sound: track("mp2"),
            ..film(5.0, 125)
        };
        check_output(&path, &expected, DEADLINE, &|| ()).unwrap_or_else(|failure| panic!("{encoder}: {failure:?}"));
    }
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
        sound: Vec::new(),
        ..film(2.0, 60)
    };
    assert!(refusal(&path, &silent).contains("audio streams are [aac]"));
    let longer_sound = Expectation {
        sound: vec![Sound {
            span: Some(Span {
                first: Duration::ZERO,
                end: Duration::from_secs(4),
            }),
            ..track("aac").remove(0)
        }],
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
        sound: track("aac"),
        ..Expectation::default()
    };
    check_output(&corpus.make("no_video"), &sound, DEADLINE, &|| ()).unwrap();
    let mp3 = Expectation {
        sound: track("mp3"),
        ..sound
    };
    check_output(&corpus.make("mp3"), &mp3, DEADLINE, &|| ()).unwrap();
    for (case, codec) in [("still_png", "png"), ("still_jpg", "jpeg"), ("still_webp", "webp")] {
        let path = corpus.make(case);
        let picture = Expectation {
            video_codec: Some(codec.into()),
            width_px: 160,
            height_px: 90,
            ..Expectation::default()
        };
        check_output(&path, &picture, DEADLINE, &|| ()).unwrap();
        let wrong = Expectation {
            width_px: 90,
            ..picture.clone()
        };
        assert!(refusal(&path, &wrong).contains("160x90"), "{case}");
        let half = corpus.cut(&path, "half", 50);
        // A decoder may make up the missing half of a JPEG; the others tell.
        assert!(
            codec == "jpeg" || check_output(&half, &picture, DEADLINE, &|| ()).is_err(),
            "{case}"
        );
    }
}

#[test]
fn large_files_tick_while_they_are_finished_and_checked() {
    let corpus = Corpus::new();
    // Noise that no encoder makes smaller: 36 MB.
    let path = corpus.ffmpeg(
        "large.mov",
        "-f lavfi -i nullsrc=s=1280x720:r=10:d=2,geq=lum='random(1)*255':cb=128:cr=128 -c:v rawvideo -pix_fmt uyvy422",
    );
    let bytes = std::fs::metadata(&path).unwrap().len();
    let ticks = Cell::new(0);
    let tick = || ticks.set(ticks.get() + 1);
    move_index_first(&path, &tick).unwrap();
    assert!(ticks.get() >= bytes >> 24, "{} ticks for {bytes} bytes", ticks.get());
    ticks.set(0);
    check_output(&corpus.make("plain"), &film(2.0, 60), DEADLINE, &tick).unwrap();
    assert!(ticks.get() > 0);
}

#[test]
fn moving_the_index_keeps_every_packet() {
    let corpus = Corpus::new();
    let path = corpus.make("plain");
    let before = decoded_md5(&path);
    assert!(!before.is_empty());
    move_index_first(&path, &|| ()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let at = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
    assert_eq!(decoded_md5(&path), before);
    move_index_first(&path, &|| ()).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    check_output(&path, &film(2.0, 60), DEADLINE, &|| ()).unwrap();
}
