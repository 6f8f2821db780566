//! Films that are turned, mirrored, cut, of oblong pixels or of changing size: every kind of node shows them upright, whole and in their aspect.

mod kinds_tools;
mod pass_tools;

use std::{fs, path::Path};

use kinds_tools::{Made, adaptive, animation, colour, corners, cover, hls, made, pixels, snapshot, sprite, transcode, video};
use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::PlanNode,
};
use pass_tools::{ffmpeg, frames, size};

const UPRIGHT: &str = "red lime blue yellow";
const H264: &str = "-c:v libx264 -preset ultrafast -crf 10 -pix_fmt yuv420p";

/// Grey, with a colour in each corner.
fn picture(size: &str, seconds: &str) -> String {
    let corner = |x: &str, y: &str, colour: &str| format!("drawbox={x}:{y}:iw/6:ih/6:{colour}:fill");
    let corners = [
        corner("0", "0", "red"),
        corner("iw-iw/6", "0", "lime"),
        corner("0", "ih-ih/6", "blue"),
        corner("iw-iw/6", "ih-ih/6", "yellow"),
    ];
    format!(
        "-f lavfi -i color=gray:s={size}:r=10:d={seconds},format=yuv444p,{}",
        corners.join(",")
    )
}

/// A node of every kind.
fn nodes() -> Vec<PlanNode> {
    vec![
        transcode("t", video()),
        hls("hls", video()),
        adaptive("as", 180),
        snapshot("snap", "0.2s"),
        cover("cover"),
        animation("gif", 160),
        sprite("sprite", 10_000, 160),
    ]
}

const KINDS: [&str; 7] = ["t", "hls", "as", "snap", "cover", "gif", "sprite"];

fn aspect(file: &Path) -> f64 {
    let told = size(file);
    let mut sides = told
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .map(|side| side.parse::<f64>().unwrap());
    sides.next().unwrap() / sides.next().unwrap()
}

/// Every kind shows the corners where they belong, in an aspect.
fn shown(made: &Made, wanted: &str, wanted_aspect: f64, case: &str) {
    for kind in KINDS {
        let file = made.good(kind);
        assert_eq!(corners(&file, "null", 0.0), wanted, "{case}: {kind}");
        let aspect = aspect(&file);
        assert!(
            (aspect / wanted_aspect - 1.0).abs() < 0.03,
            "{case}: {kind}: {aspect}, {wanted_aspect}"
        );
    }
}

/// Writes a matrix into the header of the first track: how x and y become those of the screen.
fn turn(film: &Path, [a, b, c, d]: [i32; 4], to: &Path) {
    let mut bytes = fs::read(film).unwrap();
    let at = bytes.windows(4).position(|window| window == b"tkhd").unwrap() + 44;
    for (number, value) in [(0, a), (1, b), (3, c), (4, d)] {
        bytes[at + number * 4..at + number * 4 + 4].copy_from_slice(&(value << 16).to_be_bytes());
    }
    fs::write(to, bytes).unwrap();
}

#[test]
fn turned_and_mirrored_films_are_upright_in_every_kind() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mp4");
    ffmpeg(&format!("{} {H264}", picture("160x90", "0.5")), &film);
    // Matrices, what they show, and what MediaInfo says: mirrored, then turned clockwise.
    let cases = [
        ([0, 1, -1, 0], "blue red yellow lime", (false, 90)),
        ([-1, 0, 0, -1], "yellow blue lime red", (false, 180)),
        ([0, -1, 1, 0], "lime yellow red blue", (false, 270)),
        ([-1, 0, 0, 1], "lime red yellow blue", (true, 0)),
        ([0, -1, -1, 0], "yellow lime blue red", (true, 90)),
        ([1, 0, 0, -1], "blue yellow red lime", (true, 180)),
        ([0, 1, 1, 0], "red blue lime yellow", (true, 270)),
    ];
    for (matrix, wanted, told) in cases {
        let turned = folder.path().join("turned.mp4");
        turn(&film, matrix, &turned);
        let cropped = v1::VideoSettings {
            crop: Some(v1::CropArea {
                left_px: 0,
                top_px: 0,
                width_px: 40,
                height_px: 90,
            }),
            ..video()
        };
        let mut all = nodes();
        all.push(transcode("cropped", cropped));
        all.extend(copies());
        let made = made(&turned, all);
        for key in ["copy", "segments"] {
            assert_eq!(corners(&made.good(key), "null", 0.0), wanted, "{key}");
        }
        for key in ["mkv", "ts"] {
            let node = made.result.nodes.iter().find(|node| node.key == key).unwrap();
            let told: Vec<_> = node.warnings.iter().map(|warning| warning.message.as_str()).collect();
            assert!(told.iter().any(|warning| warning.contains("turned or mirrored")), "{key}: {told:?}");
        }
        let is_quarter = told.1 % 180 != 0;
        shown(&made, wanted, if is_quarter { 9.0 / 16.0 } else { 16.0 / 9.0 }, wanted);
        // The crop counts in the upright picture: its left corners.
        let left: Vec<&str> = wanted.split(' ').collect();
        let part = pixels(&made.good("cropped"), "null", 0.0, (8, 24));
        assert_eq!(colour(part[8 + 1]), left[0], "{wanted}");
        let info = made.result.input.as_ref().unwrap().streams[0].video.clone().unwrap();
        assert_eq!((info.mirrored, info.rotation_deg), told);
    }
}

/// Copies into what can say how a picture is turned, and what cannot.
fn copies() -> Vec<PlanNode> {
    let copied = || v1::VideoSettings {
        codec: Some(v1::VideoCodec::Copy.into()),
        ..Default::default()
    };
    let mut segments = hls("segments", copied());
    if let Some(set) = &mut segments.set {
        set.segment_format = v1::SegmentFormat::Fmp4.into();
    }
    let mut mkv = transcode("mkv", copied());
    if let Some(Settings::Transcode(settings)) = mkv.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
        settings.container = Some(v1::Container::Mkv.into());
    }
    vec![transcode("copy", copied()), segments, mkv, hls("ts", copied())]
}

/// Gives a JPEG an orientation.
fn orient(picture: &Path, orientation: u8, to: &Path) {
    let bytes = fs::read(picture).unwrap();
    let exif = [
        b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(),
        &[orientation],
        &[0; 6],
    ];
    fs::write(to, [&bytes[..2], &exif.concat(), &bytes[2..]].concat()).unwrap();
}

#[test]
fn photos_are_turned_as_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.jpg");
    ffmpeg(&format!("{} -frames:v 1 -q:v 2", picture("160x90", "1")), &photo);
    for (orientation, wanted) in [
        (6, "blue red yellow lime"),
        (2, "lime red yellow blue"),
        (5, "red blue lime yellow"),
    ] {
        let turned = folder.path().join("turned.jpg");
        orient(&photo, orientation, &turned);
        let nodes = vec![
            snapshot("snap", "0s"),
            cover("cover"),
            animation("gif", 80),
            sprite("sprite", 1000, 80),
        ];
        let made = made(&turned, nodes);
        for kind in ["snap", "cover", "gif", "sprite"] {
            assert_eq!(corners(&made.good(kind), "null", 0.0), wanted, "{orientation}: {kind}");
        }
    }
}

/// A picture of 256x180 with 64 black columns behind it.
fn bordered(rest: &str, to: &Path) {
    ffmpeg(&format!("{},pad=320:180:0:0:black,{rest}", picture("256x180", "0.5")), to);
}

/// Appends a box to the description of the first film of a file whose index comes last.
fn describe(film: &Path, added: &[u8]) {
    let mut bytes = fs::read(film).unwrap();
    let mut at = 0;
    for kind in [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"] {
        at += bytes[at..].windows(4).position(|window| window == kind).unwrap();
        let size = u32::from_be_bytes(bytes[at - 4..at].try_into().unwrap()) + added.len() as u32;
        bytes[at - 4..at].copy_from_slice(&size.to_be_bytes());
        if kind == b"avc1" {
            let end = at - 4 + size as usize - added.len();
            bytes.splice(end..end, added.iter().copied());
        }
    }
    fs::write(film, bytes).unwrap();
}

#[test]
fn only_what_is_to_be_shown_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // A clean aperture of 256x180, 32 columns left of the middle.
    bordered(&format!("null {H264}"), &path("clap.mp4"));
    let numbers = [256, 1, 180, 1, -32, 1, 0, 1].map(i32::to_be_bytes).concat();
    describe(&path("clap.mp4"), &[b"\0\0\0\x28clap", numbers.as_slice()].concat());
    // In place of the unit of the display's aspect: 64 columns are cut away.
    bordered(&format!("setsar=8/5 {H264}"), &path("crop.mkv"));
    let mut bytes = fs::read(path("crop.mkv")).unwrap();
    let at = bytes.windows(4).position(|window| window == [0x54, 0xb2, 0x81, 3]).unwrap();
    bytes[at..at + 4].copy_from_slice(&[0x54, 0xdd, 0x81, 64]);
    fs::write(path("crop.mkv"), bytes).unwrap();
    for (name, aspect) in [("clap.mp4", 256.0 / 180.0), ("crop.mkv", 512.0 / 180.0)] {
        let made = made(&path(name), nodes());
        shown(&made, UPRIGHT, aspect, name);
        let info = made.result.input.as_ref().unwrap().streams[0].video.clone().unwrap();
        assert_eq!((info.width_px, info.height_px), (256, 180), "{name}");
    }
}

#[test]
fn oblong_pixels_and_odd_sizes_keep_their_aspect() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let films = [
        ("wide.mp4", "180x144", "setsar=16/11", 180.0 * 16.0 / 11.0 / 144.0),
        ("narrow.mkv", "180x144", "setsar=8/9", 160.0 / 144.0),
        ("tiny.mkv", "34x18", "null", 34.0 / 18.0),
    ];
    for (name, size, filter, aspect) in films {
        ffmpeg(&format!("{},{filter} {H264}", picture(size, "0.5")), &path(name));
        shown(&made(&path(name), nodes()), UPRIGHT, aspect, name);
    }
    ffmpeg(
        &format!("{} -c:v libx264 -preset ultrafast -pix_fmt yuv444p", picture("161x91", "0.5")),
        &path("odd.mp4"),
    );
    shown(&made(&path("odd.mp4"), nodes()), UPRIGHT, 161.0 / 91.0, "odd");
    // Containers of DV know nothing of its pixels.
    ffmpeg(
        &format!("{},fps=25,setsar=64/45 -c:v dvvideo -pix_fmt yuv420p", picture("720x576", "0.2")),
        &path("dv.avi"),
    );
    let made = made(&path("dv.avi"), vec![transcode("t", video()), snapshot("snap", "0.1s")]);
    assert_eq!(
        (size(&made.good("t")).as_str(), size(&made.good("snap")).as_str()),
        ("1024,576", "1024,576")
    );
}

#[test]
fn pictures_of_one_pixel_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one.jpg", "one.png", "one.gif"] {
        let one = folder.path().join(name);
        ffmpeg("-f lavfi -i color=red:s=2x2:r=1:d=1,format=rgb24,crop=1:1 -frames:v 1", &one);
        let nodes = vec![
            snapshot("snap", "0s"),
            cover("cover"),
            animation("gif", 160),
            sprite("sprite", 1000, 160),
        ];
        let made = made(&one, nodes);
        for kind in ["snap", "cover", "gif", "sprite"] {
            let shown = pixels(&made.good(kind), "null", 0.0, (1, 1));
            assert_eq!(colour(shown[0]), "red", "{name}: {kind}");
        }
    }
}

#[test]
fn films_that_are_too_small_are_refused_or_enlarged() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat.mkv");
    ffmpeg("-f lavfi -i color=red:s=64x2:r=10:d=0.5 -c:v ffv1 -pix_fmt yuv420p", &flat);
    let boxed = v1::VideoSettings {
        width_px: Some(320),
        height_px: Some(180),
        fit: Some(v1::Fit::Pad.into()),
        allow_upscale: Some(true),
        ..video()
    };
    let nodes = vec![
        transcode("t", video()),
        transcode("boxed", boxed),
        snapshot("snap", "0s"),
        animation("gif", 64),
    ];
    let made = made(&flat, nodes);
    assert!(made.file("t").unwrap_err().contains("pictures of 64x2"));
    assert_eq!(size(&made.good("boxed")), "320,180");
    for kind in ["snap", "gif"] {
        assert_eq!(size(&made.good(kind)), "64,2", "{kind}");
    }
}

#[test]
fn parts_of_another_size_are_laid_into_the_first_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let part = |name: &str, size: &str, rest: &str| {
        ffmpeg(&format!("{} {rest}", picture(size, "0.6")), &path(name));
        path(name)
    };
    let ts = format!("{H264} -g 3 -bf 0");
    // Landscape, portrait, and landscape in another size.
    let parts = [
        fs::read(part("a.ts", "320x180", &ts)).unwrap(),
        fs::read(part("b.ts", "180x320", &format!("{ts} -output_ts_offset 0.6"))).unwrap(),
        fs::read(part("c.ts", "160x90", &format!("{ts} -output_ts_offset 1.2"))).unwrap(),
    ];
    fs::write(path("film.ts"), parts.concat()).unwrap();
    let vp8 = "-c:v libvpx -deadline realtime -b:v 2M";
    let names = [
        part("a.webm", "320x180", vp8),
        part("b.webm", "180x320", vp8),
        part("c.webm", "160x90", vp8),
    ];
    let list: String = names.iter().map(|name| format!("file {}\n", name.display())).collect();
    fs::write(path("list"), list).unwrap();
    ffmpeg(
        &format!("-f concat -safe 0 -i {} -c copy", path("list").display()),
        &path("film.webm"),
    );
    for film in ["film.ts", "film.webm"] {
        sizes_are_kept(&path(film));
    }
}

fn sizes_are_kept(film: &Path) {
    let nodes = vec![
        transcode("t", video()),
        hls("hls", video()),
        adaptive("as", 180),
        snapshot("late", "1s"),
        animation("gif", 160),
        sprite("sprite", 600, 160),
    ];
    let made = made(film, nodes);
    let t = made.good("t");
    assert_eq!((frames(&t), size(&t).as_str()), (18, "320,180"), "{}", film.display());
    // In the middle of the second part: a portrait of 101x180 between black bars; then the whole picture again.
    let portrait = "crop=iw*0.3:ih:iw*0.35:0";
    for kind in ["t", "hls", "as", "gif"] {
        let file = made.good(kind);
        assert_eq!(corners(&file, "null", 0.3), UPRIGHT, "{}: {kind}", film.display());
        is_portrait(&file, portrait, 0.9, kind);
        assert_eq!(corners(&file, "null", 1.5), UPRIGHT, "{}: {kind}", film.display());
    }
    is_portrait(&made.good("late"), portrait, 0.0, "snapshot");
    let tile = "crop=iw:ih/3:0:ih/3";
    is_portrait(&made.good("sprite"), &format!("{tile},{portrait}"), 0.0, "sprite");
}

fn is_portrait(file: &Path, part: &str, time: f64, kind: &str) {
    assert_eq!(corners(file, part, time), UPRIGHT, "{kind}");
    let bars = part.replace("crop=iw*0.3:ih:iw*0.35:0", "crop=iw*0.2:ih:iw*0.05:0");
    let bar = pixels(file, &bars, time, (1, 1));
    assert_eq!(colour(bar[0]), "black", "{kind}");
}
