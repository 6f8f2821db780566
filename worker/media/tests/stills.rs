//! Still pictures: HEIC and AVIF by what comes of them, and videos of pictures of every kind.

mod colour_tools;
mod kinds_tools;
mod pass_tools;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use colour_tools::delta_e;
use image::{ImageEncoder, codecs::png::PngEncoder};
use kinds_tools::{adaptive, animation, corners, cover, hls, made, pixels, samples, snapshot, span, sprite, transcode, video};
use mps_media::probe::{InputFacts, probe};
use mps_proto::{
    v1,
    worker::v1::{Failure, FailureKind, InputLimits, PlanNode},
};
use pass_tools::{ffmpeg, frames, seconds, size};

/// Four colours that are far apart, in the corners.
const CORNERS: [[u8; 3]; 4] = [[210, 50, 40], [40, 70, 200], [128, 128, 128], [230, 220, 60]];
const NAMES: &str = "red blue gray yellow";
const SIDES: (u32, u32) = (96, 64);
/// What lossy coding may change; a wrong matrix or range changes these colours by 5 and more.
const MOST_DIFFERENCE: f64 = 2.0;

/// A folder of pictures, gone at the end of the test.
struct Pictures(tempfile::TempDir);

impl Pictures {
    fn new() -> Self {
        mps_media::init().unwrap();
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The picture that all others are made of, with a profile of its colours.
    fn source(&self, name: &str, colours: [[u8; 3]; 4], profile: Option<Vec<u8>>) -> PathBuf {
        let (width, height) = SIDES;
        let part = |x, y| colours[usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2)];
        let rgb: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| part(x, y))).collect();
        let path = self.path(name);
        let mut encoder = PngEncoder::new(std::fs::File::create(&path).unwrap());
        if let Some(profile) = profile {
            encoder.set_icc_profile(profile).unwrap();
        }
        encoder.write_image(&rgb, width, height, image::ExtendedColorType::Rgb8).unwrap();
        path
    }

    fn encoded(&self, name: &str, sources: &[&Path]) -> PathBuf {
        let path = self.path(name);
        let output = Command::new("heif-enc")
            .args(["-q", "95", "-p", "chroma=444", "-o"])
            .arg(&path)
            .args(sources)
            .output();
        let output = output.unwrap();
        assert!(
            output.status.success() && path.exists(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        path
    }

    fn avif(&self, name: &str, source: &Path, (matrix, number, primaries): (&str, &str, &str), range: &str) -> PathBuf {
        let path = self.path(name);
        let input = source.display();
        ffmpeg(
            &format!(
                "-i {input} -vf scale=out_color_matrix={matrix}:out_range={range},format=yuv444p -c:v libaom-av1 -crf 6 -cpu-used 8 \
                 -still-picture 1 -color_range {range} -colorspace {number} -color_primaries {primaries} -color_trc bt709"
            ),
            &path,
        );
        path
    }
}

/// Puts another property in the place of the first one that says how many bits samples have, which nobody needs.
fn turned(picture: &Path, kind: &[u8; 4], value: u8) {
    let mut bytes = std::fs::read(picture).unwrap();
    let at = bytes.windows(4).position(|window| window == b"pixi").unwrap();
    bytes[at..at + 4].copy_from_slice(kind);
    bytes[at + 4..at + 12].copy_from_slice(&[value, 0, 0, 0, 0, 0, 0, 0]);
    std::fs::write(picture, bytes).unwrap();
}

fn facts(path: &Path) -> Result<InputFacts, Failure> {
    probe(path, &InputLimits::default(), Duration::from_secs(20))
}

/// How far the corners of a picture are from what they should be, at most.
fn difference(picture: &Path, time: f64, wanted: [[f64; 3]; 4]) -> f64 {
    let found = pixels(picture, "null", time, (16, 16));
    let places = [(2, 2), (13, 2), (2, 13), (13, 13)].map(|(x, y)| found[y * 16 + x].map(f64::from));
    places
        .into_iter()
        .zip(wanted)
        .map(|(one, other)| delta_e(one, other))
        .fold(0.0, f64::max)
}

fn snapshot_of(input: &Path) -> (PathBuf, kinds_tools::Made) {
    let made = made(input, vec![snapshot("picture", "0s")]);
    (made.good("picture"), made)
}

fn reason(failure: &Failure) -> String {
    mps_media::failure::reason_of(failure)
}

#[test]
fn heic_and_avif_of_every_matrix_and_range_keep_their_colours() {
    let pictures = Pictures::new();
    let source = pictures.source("source.png", CORNERS, None);
    let mut inputs = vec![(pictures.encoded("a.heic", &[&source]), "heif", "hevc")];
    for (name, matrix, range) in [
        ("601tv.avif", ("smpte170m", "smpte170m", "bt709"), "tv"),
        ("601pc.avif", ("smpte170m", "smpte170m", "bt709"), "pc"),
        ("709tv.avif", ("bt709", "bt709", "bt709"), "tv"),
        ("709pc.avif", ("bt709", "bt709", "bt709"), "pc"),
    ] {
        inputs.push((pictures.avif(name, &source, matrix, range), "avif", "av1"));
    }
    for (input, container, codec) in inputs {
        let facts = facts(&input).unwrap();
        assert!(facts.still_picture && facts.media.duration.is_none() && facts.undecodable.is_empty());
        assert_eq!(
            (facts.media.container.as_str(), facts.media.streams[0].codec.as_str()),
            (container, codec)
        );
        let video = facts.media.streams[0].video.clone().unwrap();
        assert_eq!((video.width_px, video.height_px), (96, 64));
        let (picture, _folder) = snapshot_of(&input);
        let differs = difference(&picture, 0.0, CORNERS.map(|colour| colour.map(f64::from)));
        assert!(differs < MOST_DIFFERENCE, "{}: {differs}", input.display());
    }
}

#[test]
fn colours_of_wide_primaries_become_those_of_srgb() {
    let pictures = Pictures::new();
    let colours = [[200, 100, 50], [40, 70, 200], [128; 3], [128; 3]];
    // Of Display P3 in sRGB, by the matrix between the two and the curve of sRGB.
    let wanted = [[214.9, 92.6, 31.0], [28.9, 71.0, 207.8], [128.0; 3], [128.0; 3]];
    let mut profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    // libpng wants whole words, and the length of them in front.
    profile.resize(profile.len().next_multiple_of(4), 0);
    let length = u32::try_from(profile.len()).unwrap();
    profile[..4].copy_from_slice(&length.to_be_bytes());
    let source = pictures.source("p3.png", colours, Some(profile));
    let (picture, _folder) = snapshot_of(&pictures.encoded("profile.heic", &[&source]));
    assert!(
        difference(&picture, 0.0, wanted) < MOST_DIFFERENCE,
        "{}",
        difference(&picture, 0.0, wanted)
    );
    let numbers = pictures.avif("numbers.avif", &source, ("bt709", "bt709", "smpte432"), "pc");
    let (picture, _folder) = snapshot_of(&numbers);
    assert!(
        difference(&picture, 0.0, wanted) < MOST_DIFFERENCE,
        "{}",
        difference(&picture, 0.0, wanted)
    );
}

#[test]
fn turned_and_mirrored_pictures_are_turned_once() {
    let pictures = Pictures::new();
    let source = pictures.source("source.png", CORNERS, None);
    for (name, kind, value, wanted, sides) in [
        ("turned.heic", b"irot", 1, "blue yellow red gray", "64,96"),
        ("turned.avif", b"irot", 3, "gray red yellow blue", "64,96"),
        ("half.avif", b"irot", 2, "yellow gray blue red", "96,64"),
        ("mirrored.heic", b"imir", 1, "blue red yellow gray", "96,64"),
    ] {
        let input = pictures.encoded(name, &[&source]);
        turned(&input, kind, value);
        let (picture, _folder) = snapshot_of(&input);
        assert_eq!(
            (corners(&picture, "null", 0.0).as_str(), size(&picture).as_str()),
            (wanted, sides),
            "{name}"
        );
    }
}

#[test]
fn of_several_pictures_and_a_film_the_main_picture_is_taken() {
    let pictures = Pictures::new();
    let (first, second) = (
        pictures.source("first.png", [[0, 255, 0]; 4], None),
        pictures.source("second.png", CORNERS, None),
    );
    let input = pictures.encoded("several.heic", &[&first, &second]);
    let mut bytes = std::fs::read(&input).unwrap();
    let at = bytes.windows(4).position(|window| window == b"pitm").unwrap();
    bytes[at + 9] = 2;
    // Motion photos have their film behind the picture.
    let film = pictures.path("film.mp4");
    ffmpeg("-f lavfi -i color=lime:s=64x64:d=0.2 -c:v libx264", &film);
    let film = std::fs::read(film).unwrap();
    bytes.extend(u32::try_from(film.len() + 8).unwrap().to_be_bytes());
    bytes.extend(b"mpvd");
    bytes.extend(film);
    std::fs::write(&input, bytes).unwrap();
    let (picture, _folder) = snapshot_of(&input);
    assert_eq!(corners(&picture, "null", 0.0), NAMES);
}

#[test]
fn of_a_film_of_pictures_the_main_one_is_taken_and_that_is_said() {
    let pictures = Pictures::new();
    let source = pictures.source("source.png", CORNERS, None);
    let input = pictures.path("film.avif");
    let turns_lime = "-vf tpad=stop=3:stop_mode=add:color=lime,format=yuv444p";
    ffmpeg(
        &format!("-i {} {turns_lime} -c:v libaom-av1 -crf 6 -cpu-used 8", source.display()),
        &input,
    );
    assert_eq!(&std::fs::read(&input).unwrap()[8..12], b"avis");
    let (picture, made) = snapshot_of(&input);
    assert_eq!(corners(&picture, "null", 0.0), NAMES);
    let warnings = &made.result.nodes[0].warnings;
    assert!(
        warnings.iter().any(|warning| warning.message.contains("the main picture alone")),
        "{warnings:?}"
    );
}

#[test]
fn every_node_of_pictures_takes_heic() {
    let pictures = Pictures::new();
    let input = pictures.encoded("a.heic", &[&pictures.source("source.png", CORNERS, None)]);
    let made = made(
        &input,
        vec![
            snapshot("snapshot", "50%"),
            cover("cover"),
            sprite("sprite", 1000, 48),
            animation("animation", 48),
        ],
    );
    for key in ["snapshot", "cover", "sprite", "animation"] {
        assert_eq!(corners(&made.good(key), "null", 0.0), NAMES, "{key}");
    }
    let left: Vec<_> = std::fs::read_dir(made.folder.path().join("outputs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|name| !name.to_string_lossy().starts_with("main-picture")),
        "{left:?}"
    );
}

#[test]
fn damaged_too_large_and_too_bright_pictures_are_refused_with_their_reason() {
    let pictures = Pictures::new();
    let input = pictures.encoded("a.heic", &[&pictures.source("source.png", CORNERS, None)]);
    let limits = InputLimits {
        max_pixels: 1000,
        ..InputLimits::default()
    };
    let refused = probe(&input, &limits, Duration::from_secs(20)).unwrap_err();
    assert_eq!(reason(&refused), "LIMIT_EXCEEDED");
    let bright = pictures.path("bright.avif");
    ffmpeg(
        "-f lavfi -i color=gray:s=64x64 -pix_fmt yuv420p10le -c:v libaom-av1 -still-picture 1 -color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc -frames:v 1",
        &bright,
    );
    assert_eq!(reason(&facts(&bright).unwrap_err()), "UNSUPPORTED");
    let mut bytes = std::fs::read(&input).unwrap();
    let twice = pictures.path("twice.heic");
    std::fs::write(&twice, [bytes.as_slice(), &[0, 0, 0, 12], b"meta", &[0; 4]].concat()).unwrap();
    let refused = format!("{:?}", facts(&twice).unwrap_err());
    assert!(refused.contains("it describes its pictures twice"), "{refused}");
    let media = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    bytes[media..].fill(0x55);
    std::fs::write(&input, bytes).unwrap();
    let made = made(&input, vec![snapshot("picture", "0s")]);
    let failure = made.file("picture").unwrap_err();
    assert!(failure.contains("the heif file cannot be read: heif-convert"), "{failure}");
    let of_node = made
        .result
        .failure
        .clone()
        .or_else(|| made.result.nodes[0].failure.clone())
        .unwrap();
    assert_eq!(reason(&of_node), "INPUT_DAMAGED");
}

/// Names the input in a process that a test runs itself again in, where other programs are found.
const AGAIN: &str = "MPS_TEST_AGAIN";

fn again(test: &str, programs: &Path, input: &Path) {
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env("PATH", programs)
        .env(AGAIN, input)
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("1 passed"));
}

fn failure_of_again() -> Option<Failure> {
    let input = std::env::var_os(AGAIN)?;
    mps_media::init().unwrap();
    let result = made(Path::new(&input), vec![snapshot("picture", "0s")]).result;
    result.failure.clone().or_else(|| result.nodes[0].failure.clone())
}

#[test]
fn without_the_program_the_decoder_is_missing_and_its_package_is_named() {
    if let Some(failure) = failure_of_again() {
        assert_eq!(reason(&failure), "DECODER_MISSING");
        let text = format!("{failure:?}");
        assert!(
            text.contains("no decoder for hevc")
                && String::from_utf8_lossy(&failure.status.unwrap().details[0].value).contains("libheif-examples"),
            "{text}"
        );
        return;
    }
    let pictures = Pictures::new();
    let input = pictures.encoded("a.heic", &[&pictures.source("source.png", CORNERS, None)]);
    again(
        "without_the_program_the_decoder_is_missing_and_its_package_is_named",
        pictures.0.path(),
        &input,
    );
}

#[test]
fn a_program_that_the_machine_ended_is_no_fault_of_the_picture() {
    if let Some(failure) = failure_of_again() {
        assert_eq!(
            (reason(&failure).as_str(), failure.kind()),
            ("PIPELINE_FAILED", FailureKind::Node),
            "{failure:?}"
        );
        return;
    }
    let pictures = Pictures::new();
    let input = pictures.encoded("a.heic", &[&pictures.source("source.png", CORNERS, None)]);
    let programs = pictures.path("programs");
    std::fs::create_dir(&programs).unwrap();
    std::fs::write(programs.join("heif-convert"), "#!/bin/sh\nkill -9 $$\n").unwrap();
    std::fs::set_permissions(programs.join("heif-convert"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/usr/bin/prlimit", programs.join("prlimit")).unwrap();
    again("a_program_that_the_machine_ended_is_no_fault_of_the_picture", &programs, &input);
}

fn of_length(milliseconds: i64) -> v1::VideoSettings {
    v1::VideoSettings {
        still_duration: span(milliseconds),
        ..video()
    }
}

/// A stream of one rendition of the input's size.
fn stream_of_length(milliseconds: i64) -> PlanNode {
    let mut node = adaptive("stream", 64);
    let settings = node.settings.as_mut().and_then(|settings| settings.settings.as_mut());
    if let Some(v1::node_settings::Settings::AdaptiveStream(settings)) = settings {
        let video = settings.renditions[0].video.as_mut().unwrap();
        video.still_duration = span(milliseconds);
    }
    node
}

#[test]
fn a_video_of_any_still_picture_lasts_as_long_as_it_is_told() {
    let pictures = Pictures::new();
    let source = pictures.source("a.png", CORNERS, None);
    let of = |name: &str, options: &str| {
        let path = pictures.path(name);
        ffmpeg(&format!("-i {} {options}", source.display()), &path);
        path
    };
    let inputs = [
        pictures.encoded("a.heic", &[&source]),
        of("a.jpg", "-pix_fmt yuvj444p -q:v 1"),
        of("a.webp", "-c:v libwebp -lossless 1"),
        of("a.bmp", ""),
        of("a.tif", "-pix_fmt rgb24"),
        of("a.gif", ""),
        source.clone(),
    ];
    for input in inputs {
        let told = v1::VideoSettings {
            frame_rate_num: Some(10),
            ..of_length(700)
        };
        let made = made(&input, vec![transcode("usual", of_length(600)), transcode("slow", told)]);
        for (key, count, length) in [("usual", 15, 0.6), ("slow", 7, 0.7)] {
            let film = made.good(key);
            assert_eq!(frames(&film), count, "{} {key}", input.display());
            assert!(
                (seconds(&film) - length).abs() < 0.001,
                "{} {key}: {}",
                input.display(),
                seconds(&film)
            );
            for time in [0.0, length - 0.11] {
                assert_eq!(corners(&film, "null", time), NAMES, "{} {key} at {time}", input.display());
                let differs = difference(&film, time, CORNERS.map(|colour| colour.map(f64::from)));
                assert!(differs < 4.0, "{} {key} at {time}: {differs}", input.display());
            }
        }
    }
}

#[test]
fn streams_and_clips_of_a_still_picture_have_its_length() {
    let pictures = Pictures::new();
    let input = pictures.source("a.png", CORNERS, None);
    let clip = PlanNode {
        start_offset: span(-800),
        end_offset: span(1500),
        ..transcode("clip", of_length(2000))
    };
    let made = made(&input, vec![stream_of_length(2400), hls("hls", of_length(2400)), clip]);
    for (key, count) in [("stream", 60), ("hls", 60), ("clip", 8)] {
        let film = made.good(key);
        assert_eq!(frames(&film), count, "{key}");
        for time in [0.0, count as f64 / 25.0 - 0.05] {
            assert_eq!(corners(&film, "null", time), NAMES, "{key} at {time}");
        }
    }
    assert!(
        (seconds(&made.good("clip")) - 0.3).abs() < 0.021,
        "300 ms are seven pictures and a half"
    );
}

#[test]
fn what_needs_a_length_says_how_to_give_one() {
    let pictures = Pictures::new();
    let input = pictures.source("a.png", CORNERS, None);
    let copy = v1::VideoSettings {
        codec: Some(v1::VideoCodec::Copy.into()),
        ..Default::default()
    };
    let made_of_still = made(
        &input,
        vec![
            transcode("film", video()),
            adaptive("stream", 64),
            hls("hls", video()),
            transcode("copy", copy),
        ],
    );
    for node in &made_of_still.result.nodes {
        let failure = node.failure.clone().unwrap_or_else(|| panic!("{}", node.key));
        assert_eq!(reason(&failure), "UNSUPPORTED", "{}", node.key);
        let status = failure.status.unwrap();
        assert!(
            String::from_utf8_lossy(&status.details[0].value).contains("still_duration"),
            "{}: {status:?}",
            node.key
        );
    }
    let film = pictures.path("film.mp4");
    ffmpeg("-f lavfi -i color=red:s=64x64:r=10:d=0.5 -c:v libx264 -pix_fmt yuv420p", &film);
    let made_of_film = made(&film, vec![transcode("film", of_length(3000))]);
    assert_eq!(frames(&made_of_film.good("film")), 5);
    let warnings = &made_of_film.result.nodes[0].warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.message.contains("still_duration changed nothing")),
        "{warnings:?}"
    );
}

#[test]
fn a_photo_with_a_film_behind_it_is_a_picture_to_every_node() {
    let pictures = Pictures::new();
    let source = pictures.source("a.png", CORNERS, None);
    let (photo, film) = (pictures.path("photo.jpg"), pictures.path("film.mp4"));
    ffmpeg(&format!("-i {} -pix_fmt yuvj444p -q:v 1", source.display()), &photo);
    ffmpeg("-f lavfi -i color=lime:s=96x64:r=30:d=0.5 -c:v libx264 -pix_fmt yuv420p", &film);
    let motion = pictures.path("motion.jpg");
    std::fs::write(&motion, [std::fs::read(photo).unwrap(), std::fs::read(film).unwrap()].concat()).unwrap();
    let nodes = vec![
        snapshot("snapshot", "50%"),
        cover("cover"),
        sprite("sprite", 1000, 48),
        animation("animation", 48),
        samples("samples"),
        transcode("film", of_length(400)),
        stream_of_length(1000),
        hls("hls", of_length(1000)),
    ];
    let made = made(&motion, nodes);
    for node in &made.result.nodes {
        assert_eq!(corners(&made.good(&node.key), "null", 0.0), NAMES, "{}", node.key);
    }
    assert_eq!(frames(&made.good("film")), 10);
}

#[test]
fn a_picture_of_one_pixel_is_one_to_every_node() {
    let pictures = Pictures::new();
    let dot = pictures.path("dot.jpg");
    ffmpeg("-f lavfi -i color=red:s=8x8 -vf crop=1:1:exact=1,format=yuvj444p -frames:v 1", &dot);
    let large = |settings: v1::VideoSettings| v1::VideoSettings {
        width_px: Some(64),
        height_px: Some(64),
        allow_upscale: Some(true),
        ..settings
    };
    let nodes = vec![
        snapshot("snapshot", "0s"),
        cover("cover"),
        sprite("sprite", 1000, 16),
        animation("animation", 16),
        samples("samples"),
        transcode("film", large(of_length(400))),
        hls("hls", large(of_length(1000))),
    ];
    let made = made(&dot, nodes);
    for node in &made.result.nodes {
        let pixel = pixels(&made.good(&node.key), "null", 0.0, (1, 1))[0];
        assert_eq!(kinds_tools::colour(pixel), "red", "{}", node.key);
    }
    assert_eq!(frames(&made.good("film")), 10);
}
