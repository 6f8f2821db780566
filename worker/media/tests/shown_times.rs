//! What is shown when: animated images with delays of any length, and interlaced films by offsets.

mod kinds_tools;
mod pass_tools;

use std::path::Path;

use kinds_tools::{Made, adaptive, animation, colour, hls, made, pixels, snapshot, sprite, transcode, video};
use mps_proto::v1;
use pass_tools::{ffmpeg, ffprobe, frames, number, seconds};

/// Colours of an animated image, and how long each stands in hundredths of a second.
const COLOURS: [(&str, u32); 6] = [("red", 10), ("lime", 50), ("blue", 20), ("yellow", 4), ("red", 156), ("blue", 100)];

fn animated_image(path: &Path) {
    let part = |(number, (name, length)): (usize, &(&str, u32))| {
        let seconds = f64::from(*length) / 100.0;
        format!("color={name}:s=64x48:r=100:d={seconds}[p{number}];")
    };
    let parts: String = COLOURS.iter().enumerate().map(part).collect();
    let inputs: String = (0..COLOURS.len()).map(|number| format!("[p{number}]")).collect();
    let all = format!("{parts}{inputs}concat=n={},mpdecimate", COLOURS.len());
    ffmpeg(&format!("-f lavfi -i {all} -vsync passthrough -final_delay 100"), path);
}

/// Whether each colour is shown in its middle.
fn unless_shown(file: &Path, key: &str) {
    let mut begins = 0;
    for (name, length) in COLOURS {
        let middle = f64::from(begins + length / 2) / 100.0;
        begins += length;
        let shown = times(file).iter().rposition(|time| *time <= middle + 0.001).unwrap_or(0);
        let part = format!("select='eq(n\\,{shown})'");
        assert_eq!(colour(pixels(file, &part, 0.0, (1, 1))[0]), name, "{key} at {middle} s");
    }
}

/// When pictures are shown, from the first on.
fn times(file: &Path) -> Vec<f64> {
    let told = ffprobe(file, "-select_streams v:0 -show_entries frame=pts_time");
    let numbers = told
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| number(line.trim_end_matches(',')));
    let all: Vec<f64> = numbers.collect();
    all.iter().map(|time| time - all[0]).collect()
}

#[test]
fn pictures_of_animated_images_stand_as_long_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("delays.gif");
    animated_image(&image);
    let ten = v1::VideoSettings {
        frame_rate_num: Some(10),
        ..video()
    };
    let nodes = vec![
        transcode("t", video()),
        transcode("ten", ten),
        hls("hls", video()),
        adaptive("as", 48),
        animation("gif", 64),
    ];
    let made = made(&image, nodes);
    assert_eq!((times(&image).len(), frames(&made.good("t"))), (6, 6));
    assert_eq!(frames(&made.good("ten")), 34);
    for key in ["t", "hls", "as", "gif"] {
        unless_shown(&made.good(key), key);
    }
    for key in ["t", "ten", "gif"] {
        let lasts = seconds(&made.good(key));
        assert!((lasts - 3.4).abs() < 0.06, "{key}: {lasts} s");
    }
    for key in ["hls", "as"] {
        let last = *times(&made.good(key)).last().unwrap();
        assert!((3.25..3.4).contains(&last), "{key}: its last picture begins at {last} s");
    }
}

/// 6 s of 25 pictures of two fields, which get brighter all the time.
fn brighter(path: &Path) {
    ffmpeg(
        "-f lavfi -i color=gray:s=360x288:r=50:d=6,format=yuv420p,geq=lum='50+150*T/6':cb=128:cr=128,tinterlace=interleave_top \
         -f lavfi -i sine=440:r=48000:d=6 -c:v libx264 -preset veryfast -crf 26 -flags +ilme+ildct -x264-params threads=1:tff=1 \
         -c:a mp2 -b:a 96k",
        path,
    );
}

/// The time that a part of a picture shows.
fn time_shown(file: &Path, part: &str) -> f64 {
    let level = f64::from(pixels(file, part, 0.0, (1, 1))[0][1]);
    (16.0 + level * 219.0 / 255.0 - 50.0) / 25.0
}

fn unless_undamaged(made: &Made) {
    let warnings: Vec<_> = made.result.nodes.iter().flat_map(|node| &node.warnings).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn interlaced_pictures_are_found_by_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.ts");
    brighter(&film);
    let tiles = made(&film, vec![sprite("sprite", 1000, 60)]);
    let sheet = tiles.good("sprite");
    for tile in 0..6 {
        let shown = time_shown(&sheet, &format!("crop=60:48:0:{}", tile * 48));
        assert!((shown - f64::from(tile)).abs() < 0.12, "tile {tile} shows {shown}");
    }
    unless_undamaged(&tiles);
    let keys = ["1.5s", "3s", "-0.5s"];
    let pictures = made(&film, keys.map(|offset| snapshot(offset, offset)).to_vec());
    for (key, wanted) in keys.into_iter().zip([1.5, 3.0, 5.5]) {
        let shown = time_shown(&pictures.good(key), "null");
        assert!((shown - wanted).abs() < 0.12, "{key} shows {shown}");
    }
    unless_undamaged(&pictures);
}

#[test]
fn time_that_a_transport_stream_loses_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.ts");
    for (hole, lost) in [("1", false), ("lt(t\\,2)+gt(t\\,4)", true)] {
        ffmpeg(
            &format!(
                "-f lavfi -i testsrc2=s=160x90:r=25:d=6 -f lavfi -i sine=440:r=48000:d=6 -vf select='{hole}' -af aselect='{hole}' \
                 -vsync passthrough -c:v libx264 -preset ultrafast -g 25 -bf 0 -pix_fmt yuv420p -c:a mp2"
            ),
            &film,
        );
        let made = made(&film, vec![transcode("t", video())]);
        let lasts = seconds(&made.good("t"));
        let told = made.result.nodes[0]
            .warnings
            .iter()
            .any(|warning| warning.message.contains("were closed up"));
        // Either the time is kept, or what is missing is told.
        assert_eq!((lasts < 5.0, told), (lost, lost), "{lasts} s");
    }
}

#[test]
fn a_slide_that_stands_is_found_behind_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    for suffix in ["mp4", "mkv", "webm"] {
        let film = folder.path().join(format!("slides.{suffix}"));
        let slides =
            "color=red:s=64x48:r=10:d=4[a];color=lime:s=64x48:r=10:d=1[b];color=blue:s=64x48:r=10:d=4[c];[a][b][c]concat=n=3,mpdecimate";
        let codec = if suffix == "webm" { "libvpx" } else { "libx264" };
        ffmpeg(
            &format!("-f lavfi -i {slides} -vsync passthrough -c:v {codec} -bf 0 -pix_fmt yuv420p"),
            &film,
        );
        let made = made(&film, vec![snapshot("first", "2s"), snapshot("second", "4.5s")]);
        let shown = ["first", "second"].map(|key| colour(pixels(&made.good(key), "null", 0.0, (1, 1))[0]));
        assert_eq!(shown, ["red", "lime"], "{suffix}");
    }
}
