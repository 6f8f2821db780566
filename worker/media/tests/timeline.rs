//! Offsets count from the first picture or sound, whatever the container's clock says; edits are played; slides stand; cuts are told. The
//! source's pictures say their number by their brightness, so that ffmpeg tells which one an output shows.

mod pass_tools;
mod transcode_tools;

use std::{fs, path::Path};

use mps_proto::{
    v1::{self, AudioCodec, Container, NodeSettings, VideoCodec, node_settings::Settings},
    worker::v1::{PlanNode, PlanOutput},
};
use pass_tools::{carry_out, ffmpeg, ffprobe, frames, number, order};
use transcode_tools::{Film, audio, node, video};

/// 4 s at 25 frames: each picture is two levels brighter than the one before. Sound all the time.
fn counting(film: &Film, name: &str, codecs: &str) {
    let arguments = format!(
        "-f lavfi -i color=black:s=160x90:r=25:d=4,geq=lum='20+2*N':cb=128:cr=128 -f lavfi -i sine=440:r=48000:d=4 -pix_fmt yuv420p {codecs}"
    );
    ffmpeg(&arguments, &film.path(name));
}

/// Numbers of the source's pictures that a file shows, from the first to the last.
fn shown(file: &Path) -> Vec<i64> {
    let told = pass_tools::filtered(
        &[file],
        "-an -fps_mode passthrough -vf signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
    );
    let values = told.lines().filter_map(|line| line.strip_prefix("lavfi.signalstats.YAVG="));
    values.map(|value| ((number(value) - 20.0) / 2.0).round() as i64).collect()
}

fn whole() -> v1::TranscodeSettings {
    v1::TranscodeSettings {
        container: Some(Container::Mp4 as i32),
        video: Some(v1::VideoSettings {
            crf: Some(1),
            ..video(VideoCodec::H264)
        }),
        audio: Some(audio(AudioCodec::Aac)),
        ..Default::default()
    }
}

fn milliseconds(milliseconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: milliseconds / 1000,
        nanos: (milliseconds % 1000) as i32 * 1_000_000,
    })
}

fn clip(start: i64, end: i64) -> PlanNode {
    PlanNode {
        start_offset: milliseconds(start),
        end_offset: milliseconds(end),
        ..node("clip", whole())
    }
}

fn snapshot(offset: &str) -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Jpeg as i32),
        quality: Some(95),
        ..Default::default()
    };
    PlanNode {
        key: "picture".into(),
        settings: Some(NodeSettings {
            settings: Some(Settings::Snapshot(settings)),
        }),
        offsets: vec![offset.into()],
        outputs: vec![PlanOutput {
            output_id: "picture".into(),
            format: "jpg".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn offsets_count_from_the_first_picture_in_every_container() {
    let film = Film::new();
    let h264 = "-c:v libx264 -qp 4 -g 25 -bf 2 -c:a aac";
    let cases = [
        ("ts", h264),
        ("mkv", h264),
        ("flv", h264),
        ("mp4", h264),
        ("vob", "-c:v mpeg2video -q:v 2 -g 15 -bf 2 -c:a mp2 -f vob"),
        ("avi", "-c:v mpeg4 -q:v 2 -bf 2 -vtag XVID -c:a libmp3lame"),
    ];
    for (suffix, codecs) in cases {
        let name = format!("count.{suffix}");
        counting(&film, &name, codecs);
        let theirs = shown(&film.path(&name));
        let of_input = |number: usize| theirs[number];
        let made = film.transcode_of(&name, vec![clip(2000, 3000), snapshot("2.52s")]);
        let made: Vec<_> = made
            .into_iter()
            .map(|made| made.unwrap_or_else(|failure| panic!("{suffix}: {failure}")))
            .collect();
        let ours = shown(&made[0]);
        // Where the sound begins a little before the pictures, these lie beside the clip's grid.
        assert!((25..=26).contains(&ours.len()), "{suffix}: {ours:?}");
        let near = |found: i64, wanted: i64| (found - wanted).abs() <= 1;
        assert!(
            near(ours[0], of_input(50)) && near(ours[ours.len() - 1], of_input(74)),
            "{suffix}: {ours:?}"
        );
        let alone = film.transcode_of(&name, vec![snapshot("2.52s")]).remove(0).unwrap();
        for picture in [&made[1], &alone] {
            // JPEG's levels are full range.
            let level = number(
                pass_tools::filtered(
                    &[picture],
                    "-vf format=gray,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
                )
                .lines()
                .find_map(|line| line.strip_prefix("lavfi.signalstats.YAVG="))
                .unwrap(),
            );
            let found = ((level * 219.0 / 255.0 + 16.0 - 20.0) / 2.0).round() as i64;
            assert!((found - of_input(63)).abs() <= 2, "{suffix}: picture {found}");
        }
    }
}

#[test]
fn pictures_of_one_stamp_are_moved_apart_and_none_is_lost() {
    let film = Film::new();
    counting(&film, "packed.avi", "-c:v mpeg4 -q:v 2 -bf 2 -vtag XVID -c:a libmp3lame");
    counting(&film, "disc.vob", "-c:v mpeg2video -q:v 2 -g 15 -bf 2 -c:a mp2 -f vob");
    for name in ["packed.avi", "disc.vob"] {
        let made = film.transcode_of(name, vec![node("whole", whole())]).remove(0).unwrap();
        assert!((99..=100).contains(&frames(&made)), "{name}: {}", frames(&made));
        let times = ffprobe(&made, "-select_streams v:0 -show_entries frame=pts_time");
        let times: Vec<f64> = times
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| number(line.trim_end_matches(',')))
            .collect();
        let steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (0.01..0.13).contains(step)), "{name}: {steps:?}");
    }
}

/// Warnings of a node over an input.
fn warnings(input: &Path, settings: v1::TranscodeSettings) -> Vec<String> {
    let outputs = tempfile::tempdir().unwrap();
    let result = carry_out(&order(input, vec![node("warned", settings)], outputs.path()));
    assert!(result.failure.is_none(), "{:?}", result.failure);
    let node = &result.nodes[0];
    assert!(node.failure.is_none(), "{}: {:?}", input.display(), node.failure);
    node.warnings.iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn pictures_that_had_another_ones_stamp_are_told_of() {
    let film = Film::new();
    let h264 = "-c:v libx264 -preset ultrafast -qp 20 -bf 2 -g 25 -c:a aac";
    let clean = [
        ("clean.mp4", h264),
        ("clean.mkv", h264),
        ("clean.ts", h264),
        ("clean.vob", "-c:v mpeg2video -q:v 2 -g 15 -bf 2 -c:a mp2 -f vob"),
        ("clean.avi", "-c:v mpeg4 -q:v 2 -bf 2 -vtag XVID -c:a libmp3lame"),
    ];
    for (name, codecs) in clean {
        counting(&film, name, codecs);
        assert_eq!(warnings(&film.path(name), whole()), [""; 0], "{name}");
    }
    counting(&film, "plain.mkv", "-c:v libx264 -preset ultrafast -qp 20 -bf 0 -c:a aac");
    let twice = "-c copy -bsf:v setts=ts='if(eq(N,40)+eq(N,70),TS-40,TS)'";
    ffmpeg(&format!("-i {} {twice}", film.path("plain.mkv").display()), &film.path("twice.mkv"));
    let told = warnings(&film.path("twice.mkv"), whole());
    assert_eq!(told, ["2 pictures had another one's time stamp and were moved apart"]);
}

#[test]
fn slides_stand_as_long_as_they_are_said_to() {
    let film = Film::new();
    ffmpeg(
        "-f lavfi -i testsrc2=s=160x90:r=25:d=9 -vf select='eq(n,0)+eq(n,100)+eq(n,125)+eq(n,200)' -vsync passthrough -c:v libx264 -pix_fmt yuv420p",
        &film.path("slides.mp4"),
    );
    let without_sound = |node: PlanNode| PlanNode {
        settings: Some(NodeSettings {
            settings: Some(Settings::Transcode(v1::TranscodeSettings { audio: None, ..whole() })),
        }),
        ..node
    };
    let made = film
        .transcode_of("slides.mp4", vec![without_sound(clip(2000, 7000))])
        .remove(0)
        .unwrap();
    let lasts = number(&ffprobe(&made, "-show_entries format=duration"));
    assert!((lasts - 5.0).abs() < 0.05, "{lasts} s");
    assert_eq!(frames(&made), 3);
    // The picture of 0 s is on show: a seek must not leave it out.
    film.transcode_of("slides.mp4", vec![snapshot("3.5s")]).remove(0).unwrap();
}

#[test]
fn a_cut_file_fails_the_nodes_that_want_what_is_not_there() {
    let film = Film::new();
    counting(&film, "whole.mp4", "-c:v libx264 -qp 20 -g 25 -c:a aac -movflags +faststart");
    let bytes = fs::read(film.path("whole.mp4")).unwrap();
    fs::write(film.path("cut.mp4"), &bytes[..bytes.len() * 60 / 100]).unwrap();
    let inside = PlanNode {
        key: "inside".into(),
        outputs: vec![PlanOutput {
            output_id: "inside".into(),
            format: "mp4".into(),
            ..Default::default()
        }],
        ..clip(0, 1000)
    };
    let result = carry_out(&order(&film.path("cut.mp4"), vec![inside, clip(500, 3900)], &film.path("outputs")));
    assert!(result.failure.is_none(), "{:?}", result.failure);
    let of = |key: &str| result.nodes.iter().find(|node| node.key == key).unwrap();
    assert!(of("inside").failure.is_none(), "{:?}", of("inside").failure);
    assert!(of("inside").warnings.iter().any(|warning| warning.message.contains("cut")));
    let failure = of("clip").failure.as_ref().unwrap().status.as_ref().unwrap();
    assert!(failure.message.contains("the input is cut"), "{}", failure.message);
}

#[test]
fn a_stream_is_compared_with_its_own_promise() {
    let film = Film::new();
    ffmpeg(
        "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -f lavfi -i sine=440:r=48000:d=3 -c:v libx264 -pix_fmt yuv420p -c:a aac",
        &film.path("long-sound.mkv"),
    );
    let only_video = v1::TranscodeSettings { audio: None, ..whole() };
    let made = film
        .transcode_of("long-sound.mkv", vec![node("video", only_video)])
        .remove(0)
        .unwrap();
    assert_eq!(frames(&made), 25);
}

/// Where the first packet lies in a file that is presented at a time or behind it.
fn place(file: &Path, seconds: f64) -> usize {
    let packets = ffprobe(file, "-select_streams 0 -show_entries packet=pts_time,pos");
    let packet = |line: &str| {
        let (time, place) = line.split_once(',')?;
        Some((time.parse::<f64>().ok()?, place.trim_end_matches(',').parse().ok()?))
    };
    let found = packets.lines().filter_map(packet).find(|(time, _)| *time >= seconds);
    found.unwrap().1
}

#[test]
fn a_little_that_is_missing_at_the_end_is_told() {
    let film = Film::new();
    let video = "-f lavfi -i testsrc2=s=64x64:r=2:d=60";
    let late = "-itsoffset 0.7 -f lavfi -i sine=440:r=48000:d=39.3 -c:v mpeg4 -c:a libmp3lame";
    ffmpeg(&format!("-f lavfi -i testsrc2=s=64x64:r=2:d=40 {late}"), &film.path("late.avi"));
    assert_eq!(warnings(&film.path("late.avi"), whole()), [""; 0]);
    let only_film = || v1::TranscodeSettings { audio: None, ..whole() };
    let only_sound = || v1::TranscodeSettings {
        container: Some(Container::M4a as i32),
        audio: Some(audio(AudioCodec::Aac)),
        ..Default::default()
    };
    let cases = [
        (
            "film.mkv",
            format!("{video} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
            only_film(),
        ),
        (
            "film.flv",
            format!("{video} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
            only_film(),
        ),
        ("film.avi", format!("{video} -c:v mpeg4 -q:v 5"), only_film()),
        ("sound.flac", "-f lavfi -i anoisesrc=r=16000:d=60".to_owned(), only_sound()),
    ];
    for (name, arguments, settings) in cases {
        ffmpeg(&arguments, &film.path(name));
        assert_eq!(warnings(&film.path(name), settings.clone()), [""; 0], "{name}");
        let bytes = fs::read(film.path(name)).unwrap();
        let cut = film.path(&format!("cut-{name}"));
        // 1 s of 60 s: too little to fail.
        fs::write(&cut, &bytes[..place(&film.path(name), 58.7)]).unwrap();
        let told = warnings(&cut, settings);
        let is_told = |text: &String| text.contains("promises 60.") && (text.contains(" 59.0") || text.contains(" 58."));
        assert!(told.iter().any(is_told), "{name}: {told:?}");
    }
}
