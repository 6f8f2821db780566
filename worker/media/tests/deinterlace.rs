//! Films of fields: pictures come out whole and at the right times, as like the progressive source as ffmpeg's yadif makes them.

mod kinds_tools;
mod pass_tools;

use std::path::{Path, PathBuf};

use kinds_tools::{likeness, made, transcode, video};
use mps_proto::v1;
use pass_tools::{ffmpeg, ffprobe};

/// A film of fields, and the pixels and rate of the progressive film that it is made of.
struct Case {
    name: &'static str,
    size: &'static str,
    rate: &'static str,
    /// Whether the top field is first.
    top_first: bool,
    pixels: &'static str,
    encoder: &'static str,
}

const MPEG2: &str = "-c:v mpeg2video -q:v 2 -g 6 -bf 2 -flags +ildct+ilme";
const H264: &str = "-c:v libx264 -preset ultrafast -crf 4 -flags +ildct+ilme";
const PRORES: &str = "-c:v prores_ks -flags +ildct";

const fn case(name: &'static str, size: &'static str, top_first: bool, pixels: &'static str, encoder: &'static str) -> Case {
    Case {
        name,
        size,
        rate: "50",
        top_first,
        pixels,
        encoder,
    }
}

/// Sizes, codecs, depths, subsampling and orders of fields: each with each of the others, as far as codecs have them.
const CASES: [Case; 16] = [
    case("dvd.mpg", "720x576", true, "yuv420p", MPEG2),
    case("ntsc.vob", "720x480", false, "yuv420p", "-top 0 MPEG2"),
    case("small.ts", "352x288", true, "yuv420p", MPEG2),
    case("hdv.ts", "1440x1080", true, "yuv420p", MPEG2),
    case("imx.mov", "720x480", true, "yuv422p", MPEG2),
    case(
        "described.mp4",
        "320x192",
        true,
        "yuv420p",
        "-colorspace bt709 -color_primaries bt709 -color_trc bt709 H264",
    ),
    case("broadcast.ts", "720x576", false, "yuv420p", "-x264-params bff=1 H264"),
    case("ten_bits.mkv", "352x288", false, "yuv420p10le", "-x264-params bff=1 H264"),
    case("camera.mov", "320x192", true, "yuv422p10le", H264),
    case("all_chroma.mkv", "352x290", true, "yuv444p", H264),
    case("prores.mov", "720x480", true, "yuv422p10le", PRORES),
    case("prores_4444.mov", "320x192", false, "yuv444p10le", "-profile:v 4 PRORES"),
    case("dv.avi", "720x576", false, "yuv420p", "-c:v dvvideo"),
    Case {
        rate: "60000/1001",
        ..case("dv_ntsc.mov", "720x480", false, "yuv411p", "-c:v dvvideo")
    },
    case("raw.mov", "320x192", true, "uyvy422", "-c:v rawvideo -pix_fmt uyvy422"),
    case("asp.avi", "352x288", true, "yuv420p", "-c:v mpeg4 -q:v 2 -flags +ildct+ilme"),
];

/// The progressive film, without loss, and that of fields.
fn films(folder: &Path, case: &Case) -> (PathBuf, PathBuf) {
    let source = folder.join(format!("{}.{}.nut", case.size, case.rate.len()));
    if !source.exists() {
        let arguments = format!(
            "-f lavfi -i testsrc2=s={}:r={}:d=0.32 -c:v rawvideo -pix_fmt yuv444p",
            case.size, case.rate
        );
        ffmpeg(&arguments, &source);
    }
    let (mode, order) = if case.top_first { ("top", "tff") } else { ("bottom", "bff") };
    let encoder = case.encoder.replace("MPEG2", MPEG2).replace("H264", H264).replace("PRORES", PRORES);
    let film = folder.join(case.name);
    let weaving = format!("format={},tinterlace=interleave_{mode},setfield={order}", case.pixels);
    ffmpeg(&format!("-i {} -vf {weaving} {encoder}", source.display()), &film);
    (source, film)
}

/// Times of pictures in seconds from the first one.
fn times(file: &Path) -> Vec<f64> {
    let text = ffprobe(file, "-select_streams v:0 -show_entries frame=pts_time");
    let times: Vec<f64> = text.lines().filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    times.iter().map(|time| time - times[0]).collect()
}

#[test]
fn pictures_of_fields_are_like_the_progressive_source() {
    let folder = tempfile::tempdir().unwrap();
    for case in CASES {
        let (source, film) = films(folder.path(), &case);
        let (width, height) = case.size.split_once('x').unwrap();
        // DV has oblong pixels.
        let as_coded = v1::VideoSettings {
            width_px: width.parse().ok(),
            height_px: height.parse().ok(),
            fit: Some(v1::Fit::Stretch.into()),
            allow_upscale: Some(true),
            ..video()
        };
        let made = made(&film, vec![transcode("t", as_coded)]);
        let output = made.good("t");
        let per_second = if case.rate == "50" { 25.0 } else { 30_000.0 / 1001.0 };
        let times = times(&output);
        let right = (0..times.len()).all(|number| (times[number] - number as f64 / per_second).abs() < 0.002);
        assert!(
            times.len() == if per_second > 25.0 { 10 } else { 8 } && right,
            "{}: {times:?}",
            case.name
        );
        let order = if case.top_first { "tff" } else { "bff" };
        let same = "settb=1/25,setpts=N,format=yuv420p";
        let kept = format!("select='not(mod(n\\,2))',{same}");
        let ours = likeness((&output, same), (&source, &kept));
        let yadif = likeness((&film, &format!("setfield={order},yadif=parity={order},{same}")), (&source, &kept));
        assert!(ours > yadif - 0.01, "{}: {ours}, yadif {yadif}", case.name);
        eprintln!("{}: {ours} {yadif}", case.name);
    }
}

/// H.265 has fields one by one: their pictures are woven, at half the rate and twice the height.
#[test]
fn fields_that_come_one_by_one_are_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ffmpeg(
        "-f lavfi -i testsrc2=s=320x192:r=50:d=0.4 -c:v rawvideo -pix_fmt yuv420p",
        &path("source.nut"),
    );
    // Of each progressive picture the field of its time: top lines of the first, bottom lines of the second.
    let fields = "separatefields,select='eq(mod(n\\,4)\\,0)+eq(mod(n\\,4)\\,3)',setpts=N/50/TB";
    let encoder = "-r 50 -c:v libx265 -preset ultrafast -crf 2 -x265-params interlace=tff:log-level=error";
    for name in ["fields.mp4", "fields.ts"] {
        ffmpeg(&format!("-i {} -vf {fields} {encoder}", path("source.nut").display()), &path(name));
        let made = made(&path(name), vec![transcode("t", video())]);
        let info = made.result.input.as_ref().unwrap().streams[0].video.clone().unwrap();
        assert_eq!((info.interlaced, info.height_px, info.frame_rate_num), (true, 192, 25), "{name}");
        let output = made.good("t");
        let times = times(&output);
        let right = (0..times.len()).all(|number| (times[number] - number as f64 / 25.0).abs() < 0.002);
        assert!(times.len() == 10 && right, "{name}: {times:?}");
        let same = "settb=1/25,setpts=N,format=yuv420p";
        let kept = format!("select='not(mod(n\\,2))',{same}");
        let ours = likeness((&output, same), (&path("source.nut"), &kept));
        let yadif = likeness(
            (&path(name), &format!("weave=top,yadif=parity=tff,{same}")),
            (&path("source.nut"), &kept),
        );
        assert!(ours > yadif - 0.01, "{name}: {ours}, yadif {yadif}");
        eprintln!("{name}: {ours} {yadif}");
    }
}
