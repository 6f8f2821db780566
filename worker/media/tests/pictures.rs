//! Samples, sprites, covers and animated images: what comes out is compared with what ffmpeg makes of the same film.

mod pass_tools;

use std::{
    fs,
    path::{Path, PathBuf},
};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildResult, NodeResult, PlanNode, PlanOutput, PlanSeries},
};
use pass_tools::{carry_out, ffmpeg, ffprobe, filtered, number, order, size};

/// A folder with films.
struct Films {
    folder: tempfile::TempDir,
}

impl Films {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        ffmpeg(arguments, &path);
        path
    }

    /// Frames that all differ, at 30 a second.
    fn moving(&self, seconds: u32) -> PathBuf {
        let arguments = format!("-f lavfi -i testsrc2=s=640x360:r=30:d={seconds} -c:v libx264 -preset veryfast -g 60 -pix_fmt yuv420p");
        self.make("moving.mp4", &arguments)
    }

    fn run(&self, input: &Path, nodes: Vec<PlanNode>) -> ChildResult {
        let result = carry_out(&order(input, nodes, &self.path("outputs")));
        assert!(result.failure.is_none(), "{:?}", result.failure);
        result
    }

    fn make_one(&self, input: &Path, node: PlanNode) -> NodeResult {
        let node = self.run(input, vec![node]).nodes.remove(0);
        assert!(node.failure.is_none(), "{:?}", node.failure);
        node
    }
}

fn node(settings: Settings, formats: &[&str]) -> PlanNode {
    let outputs = formats.iter().enumerate().map(|(number, format)| PlanOutput {
        output_id: format!("out-{number}"),
        number: number as i32,
        format: (*format).into(),
        content_type: String::new(),
    });
    let series = matches!(settings, Settings::SampleSnapshot(_) | Settings::ImageSprite(_)).then(|| PlanSeries {
        key: "sheets/s_{number}.jpg".into(),
        reference: "s_{number}.jpg".into(),
        format: formats[0].into(),
        max_files: 10_000,
        ..PlanSeries::default()
    });
    PlanNode {
        key: "node".into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        outputs: outputs.collect(),
        series,
        ..PlanNode::default()
    }
}

fn span(milliseconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: milliseconds / 1000,
        nanos: (milliseconds % 1000) as i32 * 1_000_000,
    })
}

fn samples(interval: i64, format: v1::ImageFormat) -> PlanNode {
    let picture = v1::SnapshotSettings {
        format: Some(format.into()),
        quality: Some(90),
        ..Default::default()
    };
    let settings = v1::SampleSnapshotSettings {
        picture: Some(picture),
        interval: span(interval),
        interval_percent: None,
    };
    node(
        Settings::SampleSnapshot(settings),
        &[format.as_str_name().trim_start_matches("IMAGE_FORMAT_")],
    )
}

fn animation(settings: v1::AnimatedImageSettings) -> PlanNode {
    let format = if settings.format() == v1::AnimatedFormat::Webp {
        "webp"
    } else {
        "gif"
    };
    node(Settings::AnimatedImage(settings), &[format])
}

/// A number behind a word in what ffmpeg's filters print.
fn measured(text: &str, word: &str) -> f64 {
    let value = text.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {text}"));
    number(value.split_whitespace().next().unwrap())
}

/// SSIM of a part of a picture and the film's frame at a time, brought to the part's size.
fn likeness(picture: &Path, part: [i32; 4], film: &Path, time: f64) -> f64 {
    let [left, top, width, height] = part;
    let graph = format!(
        "-lavfi [0]trim=end_frame=1,crop={width}:{height}:{left}:{top},format=yuv420p[a];[1]trim=start={}:duration=0.02,setpts=PTS-STARTPTS,scale={width}:{height}:flags=bilinear,format=yuv420p[b];[a][b]ssim",
        time - 0.001
    );
    measured(&filtered(&[picture, film], &graph), "All:")
}

#[test]
fn samples_are_the_frames_at_their_times() {
    let films = Films::new();
    let film = films.moving(4);
    for format in [v1::ImageFormat::Jpeg, v1::ImageFormat::Png, v1::ImageFormat::Webp] {
        let made = films.make_one(&film, samples(500, format));
        assert_eq!(made.series.len(), 8, "{format:?}");
        for (number, file) in made.series.iter().enumerate() {
            let time = number as f64 / 2.0;
            let offset = file.source_offset.unwrap();
            assert_eq!(
                (offset.seconds, offset.nanos),
                (number as i64 / 2, (number as i32 % 2) * 500_000_000)
            );
            let like = likeness(Path::new(&file.path), [0, 0, 640, 360], &film, time);
            assert!(like > 0.95, "{format:?} {number}: {like}");
            let before = likeness(Path::new(&file.path), [0, 0, 640, 360], &film, (time - 1.0 / 30.0).max(0.1));
            assert!(like > before, "{format:?} {number}: {like} {before}");
        }
    }
}

#[test]
fn samples_by_percent_lie_inside_their_clip_and_leap_where_they_are_far_apart() {
    let films = Films::new();
    let film = films.moving(40);
    let settings = v1::SampleSnapshotSettings {
        interval_percent: Some(20.0),
        ..Default::default()
    };
    let mut node = node(Settings::SampleSnapshot(settings), &["jpg"]);
    let made = films.make_one(&film, node.clone());
    let seconds: Vec<i64> = made.series.iter().map(|file| file.source_offset.unwrap().seconds).collect();
    assert_eq!(seconds, [0, 8, 16, 24, 32]);
    for file in &made.series {
        let time = file.source_offset.unwrap().seconds as f64;
        let like = likeness(Path::new(&file.path), [0, 0, 640, 360], &film, time);
        assert!(like > 0.95, "{time}: {like}");
    }
    node.start_offset = span(10_000);
    node.end_offset = span(-5_000);
    let made = films.make_one(&film, node);
    let seconds: Vec<i64> = made.series.iter().map(|file| file.source_offset.unwrap().seconds).collect();
    assert_eq!(seconds, [10, 18, 26, 34]);
}

#[test]
fn tiles_are_the_frames_that_their_cues_name() {
    let films = Films::new();
    let film = films.moving(8);
    let settings = v1::ImageSpriteSettings {
        format: Some(v1::ImageFormat::Png.into()),
        tile_width_px: Some(162),
        rows: Some(2),
        columns: Some(3),
        interval: span(900),
        ..Default::default()
    };
    let made = films.make_one(&film, node(Settings::ImageSprite(settings), &["png", "vtt"]));
    assert_eq!(made.series.len(), 2);
    assert_eq!(size(Path::new(&made.series[0].path)), "486,182");
    assert_eq!(size(Path::new(&made.series[1].path)), "486,91");
    assert_eq!(made.files.len(), 1);
    let text = fs::read_to_string(&made.files[0].path).unwrap();
    let cues: Vec<&str> = text.split("\n\n").skip(1).collect();
    assert_eq!(cues.len(), 9);
    assert!(
        cues[0].starts_with("00:00:00.000 --> 00:00:00.900\ns_0.jpg#xywh=0,0,162,91"),
        "{text}"
    );
    assert!(
        cues[8].starts_with("00:00:07.200 --> 00:00:08.000\ns_1.jpg#xywh=324,0,162,91"),
        "{text}"
    );
    for (number, cue) in cues.iter().enumerate() {
        let (sheet, area) = cue.split_once('\n').unwrap().1.trim().split_once(".jpg#xywh=").unwrap();
        let area: Vec<i32> = area.split(',').map(|side| side.parse().unwrap()).collect();
        let sheet: usize = sheet.trim_start_matches("s_").parse().unwrap();
        let like = likeness(
            Path::new(&made.series[sheet].path),
            area.try_into().unwrap(),
            &film,
            number as f64 * 0.9,
        );
        assert!(like >= 0.98, "tile {number}: {like}");
    }
}

#[test]
fn the_cover_is_of_the_good_part() {
    let films = Films::new();
    let arguments = "-f lavfi -i color=black:s=640x360:r=30:d=2 \
        -f lavfi -i testsrc2=s=640x360:r=30:d=2 -f lavfi -i testsrc2=s=640x360:r=30:d=2 -f lavfi -i testsrc2=s=640x360:r=30:d=2 \
        -filter_complex [1]boxblur=20[b];[2]eq=brightness=0.65[c];[3]fade=in:0:15[d];[0][b][c][d]concat=n=4 \
        -c:v libx264 -pix_fmt yuv420p";
    let film = films.make("parts.mp4", arguments);
    let settings = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Jpeg.into()),
        ..Default::default()
    };
    let made = films.make_one(&film, node(Settings::Cover(settings), &["jpg"]));
    let offset = made.files[0].source_offset.unwrap();
    assert!(
        offset.seconds >= 6 && (offset.seconds > 6 || offset.nanos > 400_000_000),
        "{offset:?}"
    );
    assert_eq!(size(Path::new(&made.files[0].path)), "640,360");
}

#[test]
fn bars_are_filled_as_asked() {
    let films = Films::new();
    let film = films.moving(1);
    for (fill, low, high) in [
        (v1::PadFill::Black, 0.0, 20.0),
        (v1::PadFill::White, 230.0, 255.0),
        (v1::PadFill::Blur, 40.0, 220.0),
    ] {
        let picture = v1::SnapshotSettings {
            format: Some(v1::ImageFormat::Png.into()),
            width_px: Some(200),
            height_px: Some(200),
            fit: Some(v1::Fit::Pad.into()),
            pad_fill: Some(fill.into()),
            ..Default::default()
        };
        let made = films.make_one(&film, node(Settings::Cover(picture), &["png"]));
        let path = Path::new(&made.files[0].path);
        assert_eq!(size(path), "200,200");
        let text = filtered(&[path], "-vf crop=200:30:0:0,signalstats,metadata=print:file=-");
        let mean = measured(&text, "signalstats.YAVG=");
        assert!((low..=high).contains(&mean), "{fill:?}: {mean}");
    }
}

/// PSNR and SSIM of an animated image against the film.
fn quality(image: &Path, film: &Path) -> (f64, f64) {
    let graph = "-lavfi [0]format=yuv420p,split[a][b];[1]format=yuv420p,split[c][d];[a][c]ssim;[b][d]psnr";
    let text = filtered(&[image, film], graph);
    (measured(&text, "average:"), measured(&text, "SSIM Y:"))
}

#[test]
fn gifs_are_as_good_and_as_small_as_those_of_ffmpeg() {
    let films = Films::new();
    for (name, source) in [
        ("fractal", "mandelbrot=s=320x180:r=10"),
        ("noise", "testsrc2=s=320x180:r=10,noise=alls=20:allf=t"),
        ("flat", "testsrc2=s=320x180:r=10"),
    ] {
        let film = films.make(
            &format!("{name}.mp4"),
            &format!("-f lavfi -i {source} -t 2 -c:v libx264 -crf 18 -pix_fmt yuv420p"),
        );
        // Colours between those of coarser planes are blended, as ours are.
        let blended = "scale=flags=bilinear+full_chroma_int+accurate_rnd,format=rgb24";
        let theirs = films.make(
            &format!("{name}.gif"),
            &format!("-i {} -vf {blended},split[a][b];[a]palettegen[p];[b][p]paletteuse", film.display()),
        );
        let settings = v1::AnimatedImageSettings {
            fps: Some(10),
            ..Default::default()
        };
        let made = films.make_one(&film, animation(settings));
        let ours = Path::new(&made.files[0].path);
        let (bytes, their_bytes) = (fs::metadata(ours).unwrap().len(), fs::metadata(&theirs).unwrap().len());
        let ((psnr, ssim), (their_psnr, their_ssim)) = (quality(ours, &film), quality(&theirs, &film));
        println!("{name}: {psnr} dB, {ssim}, {bytes} bytes; ffmpeg {their_psnr} dB, {their_ssim}, {their_bytes} bytes");
        assert!(psnr > their_psnr - 0.3, "{name}: {psnr} dB against {their_psnr} dB");
        assert!(ssim > their_ssim - 0.01, "{name}: {ssim} against {their_ssim}");
        assert!(
            bytes as f64 <= their_bytes as f64 * 1.1,
            "{name}: {bytes} bytes against {their_bytes}"
        );
    }
}

#[test]
fn animated_images_show_their_clip_at_their_pace() {
    let films = Films::new();
    let film = films.moving(4);
    let settings = v1::AnimatedImageSettings {
        fps: Some(15),
        width_px: Some(198),
        loop_count: Some(3),
        ..Default::default()
    };
    let mut gif = animation(settings);
    gif.start_offset = span(1000);
    gif.end_offset = span(-1000);
    let made = films.make_one(&film, gif);
    let path = Path::new(&made.files[0].path);
    assert_eq!(size(path), "198,111");
    assert_eq!(pass_tools::frames(path), 30);
    assert_eq!(number(&ffprobe(path, "-show_entries format=duration")), 2.0);
    let likes = [0.8, 1.0, 1.2].map(|time| likeness(path, [0, 0, 198, 111], &film, time));
    assert!(likes[1] > likes[0] && likes[1] > likes[2], "{likes:?}");

    let mut webp = animation(v1::AnimatedImageSettings {
        format: Some(v1::AnimatedFormat::Webp.into()),
        quality: Some(90),
        ..settings
    });
    webp.start_offset = span(1000);
    webp.end_offset = span(-1000);
    let made = films.make_one(&film, webp);
    let bytes = fs::read(&made.files[0].path).unwrap();
    let frames: Vec<_> = webp_animation::Decoder::new(&bytes).unwrap().into_iter().collect();
    assert_eq!(frames.len(), 30);
    assert_eq!(frames.last().unwrap().timestamp(), 2000);
    assert_eq!(frames[0].dimensions(), (198, 111));
    let position = bytes.windows(4).position(|part| part == b"ANIM").unwrap();
    assert_eq!(bytes[position + 12], 3);
}

#[test]
fn two_runs_give_the_same_bytes() {
    let films = Films::new();
    let film = films.moving(2);
    let animated = |format: v1::AnimatedFormat| v1::AnimatedImageSettings {
        format: Some(format.into()),
        width_px: Some(160),
        ..Default::default()
    };
    let sprite = v1::ImageSpriteSettings {
        format: Some(v1::ImageFormat::Jpeg.into()),
        interval: span(500),
        ..Default::default()
    };
    let cover = v1::SnapshotSettings {
        format: Some(v1::ImageFormat::Webp.into()),
        ..Default::default()
    };
    let bytes = || -> Vec<Vec<u8>> {
        let nodes = [
            animation(animated(v1::AnimatedFormat::Gif)),
            animation(animated(v1::AnimatedFormat::Webp)),
            samples(700, v1::ImageFormat::Png),
            node(Settings::ImageSprite(sprite), &["jpg", "vtt"]),
            node(Settings::Cover(cover), &["webp"]),
        ];
        let read = |node: PlanNode| {
            // Files are read at once: the next node's have the same names.
            let made = films.make_one(&film, node);
            let files = made.files.iter().map(|file| &file.path);
            let paths = files.chain(made.series.iter().map(|file| &file.path));
            paths.map(|path| fs::read(path).unwrap()).collect::<Vec<_>>()
        };
        nodes.into_iter().flat_map(read).collect()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn what_is_too_much_is_refused_with_a_reason() {
    let films = Films::new();
    let film = films.moving(4);
    let mut few = samples(100, v1::ImageFormat::Jpeg);
    few.series.as_mut().unwrap().max_files = 5;
    let tall = node(
        Settings::ImageSprite(v1::ImageSpriteSettings {
            tile_width_px: Some(1000),
            rows: Some(100),
            columns: Some(1),
            ..Default::default()
        }),
        &["jpg", "vtt"],
    );
    let mut late = animation(v1::AnimatedImageSettings::default());
    late.start_offset = span(5000);
    for node in [few, tall, late] {
        let result = films.run(&film, vec![node]).nodes.remove(0);
        let failure = result.failure.expect("a failure");
        assert_eq!(failure.kind, mps_proto::worker::v1::FailureKind::Data as i32, "{failure:?}");
    }
}

/// CPU seconds of this process and of its children.
fn cpu_seconds() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    // Clock ticks; Linux has 100 a second wherever this runs.
    let ticks: Vec<f64> = fields.map(|field| field.parse().unwrap_or(0.0) / 100.0).collect();
    (ticks[11] + ticks[12], ticks[13] + ticks[14])
}

#[test]
#[ignore = "measures CPU against ffmpeg; run it alone, optimised"]
fn pictures_cost_no_more_than_with_ffmpeg() {
    let films = Films::new();
    let film = films.make(
        "long.mp4",
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=60 -c:v libx264 -preset veryfast -pix_fmt yuv420p",
    );
    let folder = films.path("theirs");
    fs::create_dir_all(&folder).unwrap();
    let sprite = v1::ImageSpriteSettings {
        interval: span(600),
        ..Default::default()
    };
    let mut gif = animation(v1::AnimatedImageSettings::default());
    gif.end_offset = span(4000);
    let kinds = [
        (
            "100 samples",
            samples(600, v1::ImageFormat::Jpeg),
            "-vf fps=1/0.6 -q:v 4",
            "s-%d.jpg",
        ),
        (
            "sprite",
            node(Settings::ImageSprite(sprite), &["jpg", "vtt"]),
            "-vf fps=1/0.6,scale=160:90,tile=10x10 -q:v 4",
            "sprite.jpg",
        ),
        (
            "GIF",
            gif,
            "-vf fps=10,scale=480:-2,split[a][b];[a]palettegen[p];[b][p]paletteuse",
            "clip.gif",
        ),
    ];
    for (name, node, arguments, file) in kinds {
        let (mine, theirs) = cpu_seconds();
        let part = if name == "GIF" { "-t 4" } else { "" };
        ffmpeg(&format!("{part} -i {} {arguments}", film.display()), &folder.join(file));
        drop(films.make_one(&film, node));
        let (mine, theirs) = (cpu_seconds().0 - mine, cpu_seconds().1 - theirs);
        println!("{name}: {mine:.2} s, ffmpeg {theirs:.2} s ({:.2})", mine / theirs);
    }
}
