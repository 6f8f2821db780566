//! Colours of what a pass writes, against those that the standards' formulas give.

mod colour_tools;
mod pass_tools;
mod transcode_tools;

use std::path::{Path, PathBuf};

use colour_tools::{BT601, BT709, BT2020, Hdr, Range, codes, delta_e, film, patches, rgb, tone_mapped, ways, worst};
use mps_proto::v1::{self, Container, HdrPolicy, ImageFormat, PadFill, VideoCodec};
use pass_tools::{ffmpeg, ffprobe};
use transcode_tools::{Film, node, video};

fn stream(file: &Path, entry: &str) -> String {
    ffprobe(file, &format!("-select_streams v:0 -show_entries stream={entry}"))
}

/// Greys, colours inside BT.709's gamut and outside of it, as codes of either transfer function: 0.75 is 1,000 cd/m² of PQ.
fn wide_colours() -> Vec<[u16; 3]> {
    let colours = [
        [0.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.75, 0.75, 0.75],
        [0.58, 0.55, 0.53],
        [0.45, 0.5, 0.6],
        [0.75, 0.0, 0.0],
        [0.0, 0.75, 0.0],
        [0.0, 0.0, 0.75],
        [0.0, 0.6, 0.55],
        [0.6, 0.0, 0.6],
        [0.7, 0.7, 0.1],
    ];
    colours.map(|colour| codes(colour, BT2020, Range::Limited, 10)).to_vec()
}

/// A film of those in 10 bits; `transfer` in x265's words.
fn wide_film(film_of: &Film, transfer: &str) -> PathBuf {
    let file = film_of.path(&format!("{transfer}.mkv"));
    let encoder = format!(
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:lossless=1:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc \
         -color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc"
    );
    film(&wide_colours(), "yuv420p10le", 80, &encoder, &file);
    file
}

#[test]
fn high_dynamic_range_is_kept_mapped_or_refused() {
    let folder = Film::new();
    for (transfer, hdr) in [("smpte2084", Hdr::Pq), ("arib-std-b67", Hdr::Hlg)] {
        let source = wide_film(&folder, transfer);
        let name = source.file_name().unwrap().to_str().unwrap();
        let with = |codec, policy: HdrPolicy, bits| {
            let mut wanted = video(codec);
            (wanted.hdr, wanted.bit_depth, wanted.crf) = (Some(policy as i32), Some(bits), Some(1));
            let settings = v1::TranscodeSettings {
                container: Some(Container::Mkv as i32),
                video: Some(wanted),
                ..Default::default()
            };
            folder.transcode_of(name, vec![node("a", settings)]).remove(0)
        };
        let kept = with(VideoCodec::H265, HdrPolicy::Keep, 10).unwrap();
        assert_eq!(
            stream(&kept, "pix_fmt,color_transfer,color_primaries"),
            format!("yuv420p10le,{transfer},bt2020")
        );
        let wide = wide_colours();
        let (difference, found, wanted) = worst(&patches(&kept, wide.len()), &patches(&source, wide.len()));
        assert!(difference < 2.0, "{transfer} kept: {found:?} instead of {wanted:?}");
        assert!(with(VideoCodec::H265, HdrPolicy::Refuse, 8).unwrap_err().contains("refuse"));
        let mapped = with(VideoCodec::H264, HdrPolicy::ToneMap, 8).unwrap();
        assert_eq!(stream(&mapped, "pix_fmt,color_transfer,color_primaries"), "yuv420p,bt709,bt709");
        let wanted: Vec<_> = wide.iter().map(|samples| tone_mapped(*samples, hdr)).collect();
        let (difference, found, wanted) = worst(&patches(&mapped, wide.len()), &wanted);
        println!("{transfer}: {difference:.2}");
        assert!(
            difference < 2.0,
            "{transfer} mapped, {difference:.2}: {found:?} instead of {wanted:?}"
        );
    }
}

/// Plain colours, 0 to 1 a channel.
const PLAIN: [[f64; 3]; 9] = [
    [1.0, 1.0, 1.0],
    [0.75, 0.75, 0.75],
    [0.0, 0.0, 0.0],
    [1.0, 0.0, 0.0],
    [0.0, 1.0, 0.0],
    [0.0, 0.0, 1.0],
    [0.75, 0.75, 0.0],
    [0.0, 0.75, 0.75],
    [0.8, 0.6, 0.5],
];

#[test]
fn colours_stay_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let tags = |tag: &str| format!("-colorspace {tag} -color_primaries {tag} -color_trc {tag}");
    for (name, height, shares, range, options) in [
        ("hd.mp4", 720, BT709, Range::Limited, tags("bt709")),
        ("sd.mp4", 240, BT601, Range::Limited, tags("smpte170m")),
        ("odd.mp4", 720, BT601, Range::Limited, tags("smpte170m")),
        ("full.mp4", 720, BT709, Range::Full, tags("bt709") + " -color_range pc"),
    ] {
        let input = folder.path().join(name);
        let samples = PLAIN.map(|colour| codes(colour, shares, range, 8));
        film(
            &samples,
            "yuv420p",
            height,
            &format!("-c:v libx264 -preset ultrafast -crf 1 {options}"),
            &input,
        );
        let wanted = samples.map(|samples| rgb(samples, shares, range, 8).map(|value| value * 255.0));
        let nodes = ways::all((360, height as i32), PadFill::Black).into_iter();
        // Large animations take their time.
        let nodes = nodes.filter(|(way, _)| height < 720 || !["gif", "animated webp", "sprite"].contains(way));
        for (way, file) in ways::made(&input, nodes.collect()) {
            let (difference, found, wanted) = worst(&patches(&file, PLAIN.len()), &wanted);
            assert!(difference < 2.0, "{name} {way}, {difference:.1}: {found:?} instead of {wanted:?}");
            if way.ends_with("film") {
                assert_eq!(stream(&file, "color_range,pix_fmt"), "yuv420p,tv", "{name}");
            }
        }
    }
}

/// Films and pictures of full range in every way of telling it: name, pixel format, matrix, how they are encoded.
const FULL: [(&str, &str, (f64, f64), &str); 13] = [
    ("plain.mp4", "yuv420p", BT601, "-c:v libx264 -crf 1 -color_range pc"),
    ("plain.ts", "yuv420p", BT601, "-c:v libx264 -crf 1 -color_range pc"),
    ("described.mp4", "yuv420p", BT709, "-c:v libx264 -crf 1 -color_range pc {709}"),
    ("plain265.mp4", "yuv420p", BT601, "-c:v libx265 -x265-params {265}:range=full"),
    ("plain265.ts", "yuv420p", BT601, "-c:v libx265 -x265-params {265}:range=full"),
    (
        "described265.mp4",
        "yuv420p10le",
        BT709,
        "-c:v libx265 -x265-params {265}:range=full:{265-709} {709} -color_range pc",
    ),
    ("vp9.webm", "yuv420p", BT601, "-c:v libvpx-vp9 -lossless 1 -color_range pc"),
    ("vp9.mp4", "yuv420p", BT601, "-c:v libvpx-vp9 -lossless 1 -color_range pc"),
    ("av1.mp4", "yuv420p", BT601, "-c:v libaom-av1 -crf 5 -cpu-used 8 -color_range pc"),
    ("motion.avi", "yuvj420p", BT601, "-c:v mjpeg -q:v 1"),
    ("motion.mov", "yuvj444p", BT601, "-c:v mjpeg -q:v 1"),
    ("still.jpg", "yuvj422p", BT601, "-c:v mjpeg -q:v 1 -frames:v 1"),
    ("container.mp4", "yuv420p", BT709, "-c:v libx264 -crf 1"),
];

#[test]
fn full_range_is_seen_wherever_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let in_words = |options: &str| {
        options
            .replace("{709}", "-colorspace bt709 -color_primaries bt709 -color_trc bt709")
            .replace("{265-709}", "colorprim=bt709:transfer=bt709:colormatrix=bt709")
            .replace("{265}", "log-level=none:lossless=1")
    };
    let limits = mps_proto::worker::v1::InputLimits::default();
    for (name, format, shares, options) in FULL {
        let input = folder.path().join(name);
        let bits = if format.ends_with("10le") { 10 } else { 8 };
        let samples = PLAIN.map(|colour| codes(colour, shares, Range::Full, bits));
        film(&samples, format, 80, &in_words(options), &input);
        if name == "container.mp4" {
            let told = folder.path().join("told.mp4");
            let words = in_words("-c copy -color_range pc {709} -movflags +write_colr");
            ffmpeg(&format!("-i {} {words}", input.display()), &told);
            std::fs::rename(told, &input).unwrap();
        }
        let wanted = samples.map(|samples| rgb(samples, shares, Range::Full, bits).map(|value| value * 255.0));
        let mut nodes = vec![
            ("png", ways::snapshot("png", ImageFormat::Png, PadFill::Black)),
            ("jpeg", ways::snapshot("jpeg", ImageFormat::Jpeg, PadFill::Black)),
        ];
        if !name.ends_with("jpg") {
            nodes.push(("film", ways::film("film", 80, PadFill::Black)));
        }
        for (way, file) in ways::made(&input, nodes) {
            let (difference, found, wanted) = worst(&patches(&file, PLAIN.len()), &wanted);
            println!("{name} {way}: {difference:.2}");
            assert!(difference < 2.0, "{name} {way}, {difference:.1}: {found:?} instead of {wanted:?}");
            if way == "film" {
                assert_eq!(stream(&file, "color_range"), "tv", "{name}");
            }
        }
        let facts = mps_media::probe::probe(&input, &limits, std::time::Duration::from_secs(20)).unwrap();
        let colours = &facts.media.streams[0].video.as_ref().unwrap().colorimetry;
        assert!(
            colours.starts_with("1:") || name.contains("motion") || name.contains("still"),
            "{name}: {colours}"
        );
    }
}

/// Films of two halves, the left one red and the right one clear, with another colour hidden there: name, pixel format, how they are encoded.
const CLEAR: [(&str, &str, &str); 6] = [
    ("vp9.webm", "yuva420p", "-c:v libvpx-vp9 -auto-alt-ref 0 -lossless 1"),
    ("prores.mov", "yuva444p10le", "-c:v prores_ks -profile:v 4444 -alpha_bits 16 -q:v 1"),
    ("still.png", "rgba", "-c:v png -frames:v 1"),
    ("animation.mov", "argb", "-c:v qtrle"),
    ("still.webp", "rgba", "-c:v libwebp -lossless 1 -frames:v 1"),
    (
        "animation.gif",
        "rgba",
        "-lavfi split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse=alpha_threshold=128 -f gif",
    ),
];

/// Raw pictures of that kind, 80x80.
fn half_clear(format: &str) -> Vec<u8> {
    let (red, hidden) = ([1.0, 0.0, 0.0], [0.2, 0.9, 0.1]);
    let side = 80;
    let halves = |bytes: usize, values: [u16; 2], across: usize, lines: usize| {
        let half = |value: u16| value.to_le_bytes()[..bytes].repeat(side / 2 / across);
        [half(values[0]), half(values[1])].concat().repeat(lines)
    };
    let picture = match format {
        "rgba" => [[255, 0, 0, 255].repeat(side / 2), [50, 230, 25, 0].repeat(side / 2)]
            .concat()
            .repeat(side),
        "argb" => [[255, 255, 0, 0].repeat(side / 2), [0, 50, 230, 25].repeat(side / 2)]
            .concat()
            .repeat(side),
        _ => {
            let (bits, bytes, sub) = if format.ends_with("10le") { (10, 2, 1) } else { (8, 1, 2) };
            let [left, right] = [red, hidden].map(|colour| codes(colour, BT601, Range::Limited, bits));
            let plane = |number: usize| {
                let sub = if number == 0 { 1 } else { sub };
                halves(bytes, [left[number], right[number]], sub, side / sub)
            };
            [plane(0), plane(1), plane(2), halves(bytes, [(1 << bits) - 1, 0], 1, side)].concat()
        }
    };
    picture.repeat(5)
}

#[test]
fn clear_parts_stay_clear_or_show_one_plain_colour() {
    let folder = tempfile::tempdir().unwrap();
    for (name, format, encoder) in CLEAR {
        let input = folder.path().join(name);
        let raw = folder.path().join("raw");
        std::fs::write(&raw, half_clear(format)).unwrap();
        let words = format!("-f rawvideo -pix_fmt {format} -s 80x80 -r 10 -i {} {encoder}", raw.display());
        ffmpeg(&words, &input);
        for (fill, plain) in [(PadFill::Black, [0.0; 3]), (PadFill::White, [255.0; 3])] {
            let nodes = ways::all((80, 80), fill)
                .into_iter()
                .filter(|(way, _)| !name.starts_with("still") || !way.ends_with("film"));
            for (way, file) in ways::made(&input, nodes.collect()) {
                let found = colour_tools::patches_with_alpha(&file, 2);
                let ([left, right], [left_alpha, right_alpha]) = ([found[0].0, found[1].0], [found[0].1, found[1].1]);
                assert!(
                    delta_e(left, [255.0, 0.0, 0.0]) < 3.0 && left_alpha == 255,
                    "{name} {way}: {found:?}"
                );
                if ["png", "webp", "gif", "animated webp"].contains(&way) {
                    assert!(right_alpha == 0, "{name} {way}: {found:?}");
                } else {
                    assert!(
                        delta_e(right, plain) < 2.0 && right_alpha == 255,
                        "{name} {way} over {fill:?}: {found:?}"
                    );
                }
            }
        }
    }
}

/// Name, height, matrix that it must be read by, labels, and what outputs are labelled as.
type Labelled = (&'static str, usize, (f64, f64), &'static str, &'static str);
const LABELS: [Labelled; 4] = [
    (
        "sd.mp4",
        80,
        BT601,
        "-colorspace smpte170m -color_primaries smpte170m -color_trc smpte170m",
        "smpte170m",
    ),
    ("plain_sd.mp4", 80, BT601, "", "smpte170m"),
    ("plain_hd.mp4", 720, BT709, "", "bt709"),
    ("plain_uhd.mp4", 2160, BT709, "", "bt709"),
];

#[test]
fn colours_are_read_and_labelled_by_the_size_that_the_film_came_in() {
    let folder = tempfile::tempdir().unwrap();
    for (name, height, shares, options, label) in LABELS {
        let input = folder.path().join(name);
        let samples = PLAIN.map(|colour| codes(colour, shares, Range::Limited, 8));
        film(
            &samples,
            "yuv420p",
            height,
            &format!("-c:v libx264 -preset ultrafast -crf 1 {options}"),
            &input,
        );
        let wanted = samples.map(|samples| rgb(samples, shares, Range::Limited, 8).map(|value| value * 255.0));
        // Larger, smaller, turned and cut to what is small.
        let change = |key: &str, height: i32, change: &dyn Fn(&mut v1::VideoSettings)| {
            let mut node = ways::film(key, height, PadFill::Black);
            if let Some(v1::node_settings::Settings::Transcode(settings)) = &mut node.settings.as_mut().unwrap().settings {
                change(settings.video.as_mut().unwrap());
            }
            node
        };
        let cut = v1::CropArea {
            left_px: 0,
            top_px: 0,
            width_px: 360,
            height_px: 72,
        };
        let nodes = vec![
            ("larger", change("larger", 640, &|video| video.allow_upscale = Some(true))),
            (
                "smaller",
                change("smaller", if height < 720 { 72 } else { height as i32 / 4 }, &|_| ()),
            ),
            ("cut", change("cut", 72, &|video| video.crop = Some(cut))),
            ("png", ways::snapshot("png", ImageFormat::Png, PadFill::Black)),
        ];
        for (way, file) in ways::made(&input, nodes) {
            let (difference, found, wanted) = worst(&patches(&file, PLAIN.len()), &wanted);
            assert!(difference < 2.0, "{name} {way}, {difference:.1}: {found:?} instead of {wanted:?}");
            if way != "png" {
                assert_eq!(stream(&file, "color_space"), label, "{name} {way}");
            }
        }
    }
}
