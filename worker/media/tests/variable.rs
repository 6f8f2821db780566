//! Films whose pictures follow each other at no steady rate: levels, and where they end.

mod pass_tools;
mod transcode_tools;

use std::path::Path;

use mps_proto::{
    v1::{self, Container, VideoCodec},
    worker::v1::PlanNode,
};
use pass_tools::{ffmpeg, ffprobe, frames, number, seconds};
use transcode_tools::{Film, node, video};

/// A second of 30 pictures, then two with 10 each, none of them where a clock would put it.
const VARIABLE: &str = "-f lavfi -i testsrc2=s=320x180:r=30:d=3 -vf select='lt(n\\,30)+not(mod(n\\,3))',setpts=PTS+0.004*random(0)/TB \
                        -vsync passthrough -pix_fmt yuv420p -g 30";

fn film() -> Film {
    let film = Film {
        folder: tempfile::tempdir().unwrap(),
    };
    // By its headers a picture lasts a tick of the clock.
    ffmpeg(
        &format!("{VARIABLE} -enc_time_base 1:90000 -c:v libx264 -preset veryfast -video_track_timescale 90000"),
        &film.path("film.mp4"),
    );
    for other in ["film.mkv", "film.ts"] {
        ffmpeg(&format!("-i {} -c copy", film.path("film.mp4").display()), &film.path(other));
    }
    ffmpeg(
        &format!("{VARIABLE} -c:v libvpx -deadline realtime -cpu-used 8"),
        &film.path("film.webm"),
    );
    film
}

fn level(file: &Path) -> String {
    ffprobe(file, "-select_streams v:0 -show_entries stream=level")
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn of(key: &str, container: Container, video: v1::VideoSettings) -> PlanNode {
    node(
        key,
        v1::TranscodeSettings {
            container: Some(container as i32),
            video: Some(video),
            ..Default::default()
        },
    )
}

fn with_b_frames(codec: VideoCodec) -> v1::VideoSettings {
    v1::VideoSettings {
        speed: Some(v1::EncoderSpeed::Medium as i32),
        ..video(codec)
    }
}

#[test]
fn levels_are_the_lowest_for_the_quickest_pictures() {
    let film = film();
    for input in ["film.mp4", "film.mkv", "film.webm", "film.ts"] {
        let nodes = vec![
            of("h264", Container::Mp4, video(VideoCodec::H264)),
            of("h265", Container::Mkv, video(VideoCodec::H265)),
        ];
        let made: Vec<_> = film.transcode_of(input, nodes).into_iter().map(Result::unwrap).collect();
        // 240 macroblocks 30 times a second. x265 takes its usual bit rate for a bound.
        assert_eq!((level(&made[0]).as_str(), level(&made[1]).as_str()), ("13", "63"), "{input}");
        assert_eq!((frames(&made[0]), frames(&made[1])), (50, 50), "{input}");
    }
}

#[test]
fn a_level_that_the_quickest_pictures_exceed_is_refused() {
    let film = film();
    let asked = |level: &str| v1::VideoSettings {
        level: Some(level.into()),
        ..video(VideoCodec::H264)
    };
    for input in ["film.mp4", "film.ts"] {
        let made = film.transcode_of(
            input,
            vec![of("low", Container::Mp4, asked("1.2")), of("fits", Container::Mp4, asked("1.3"))],
        );
        let refusal = made[0].as_ref().unwrap_err();
        assert!(refusal.contains("320x180 at 30/1 frames per second"), "{input}: {refusal}");
        assert!(made[1].is_ok(), "{input}: {made:?}");
    }
}

#[test]
fn the_last_picture_is_shown_to_its_end_whatever_is_decoded_last() {
    let film = film();
    let nodes = vec![
        of("h264", Container::Mp4, with_b_frames(VideoCodec::H264)),
        of("h265", Container::Mov, with_b_frames(VideoCodec::H265)),
        of(
            "copy",
            Container::Mp4,
            v1::VideoSettings {
                codec: Some(VideoCodec::Copy as i32),
                ..Default::default()
            },
        ),
    ];
    for made in film.transcode_of("film.mkv", nodes) {
        let made = made.unwrap();
        let last = ffprobe(&made, "-select_streams v:0 -show_entries packet=pts_time");
        let last = last.lines().map(number).fold(0.0, f64::max);
        let end = seconds(&made);
        assert!(
            (last - 2.9).abs() < 0.01 && end > last + 0.03 && end < last + 0.11,
            "{}: {last} {end}",
            made.display()
        );
        assert_eq!(frames(&made), 50);
    }
}
