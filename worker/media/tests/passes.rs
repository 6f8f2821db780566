//! Whole passes over ordinary films: what comes out is measured with ffmpeg, not believed.

mod pass_tools;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use mps_proto::{
    v1::{self, node_settings::Settings},
    worker::v1::{ChildProgress, ChildResult, DamagePolicy, FailureKind, NodeResult, PlanNode, PlanOutput},
};
use pass_tools::{carry_out_watched, ffmpeg, ffprobe, filtered, frames, number, order, seconds, size};

/// Sound and picture may be apart by this much.
const SYNC_LIMIT: f64 = 0.005;
/// Rounds of the test that looks for hangs.
const ROUNDS: usize = 20;

/// A folder with a film of 6 s: moving picture, and each second a white flash of 2 frames with a beep. B-frames, key frames each second.
struct Film {
    folder: tempfile::TempDir,
}

impl Film {
    fn new() -> Self {
        let film = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        film.make("film.mp4", "640x360", "");
        film
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn make(&self, name: &str, size: &str, options: &str) {
        let flash = "drawbox=t=fill:c=white:enable='lt(mod(n,30),2)'";
        let beep = "aevalsrc=0.8*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.0666):s=48000:d=6";
        let arguments = format!(
            "-f lavfi -i testsrc2=s={size}:r=30:d=6,eq=brightness=-0.3,{flash} -f lavfi -i {beep} \
             -c:v libx264 -preset veryfast -bf 2 -g 30 -pix_fmt yuv420p -c:a aac {options}"
        );
        ffmpeg(&arguments, &self.path(name));
    }

    fn run(&self, nodes: Vec<PlanNode>) -> ChildResult {
        self.run_on("film.mp4", nodes)
    }

    fn run_on(&self, name: &str, nodes: Vec<PlanNode>) -> ChildResult {
        self.run_watched(name, nodes, &|_| ())
    }

    fn run_watched(&self, name: &str, nodes: Vec<PlanNode>, progress: &(dyn Fn(ChildProgress) + Send + Sync)) -> ChildResult {
        let order = order(&self.path(name), nodes, &self.path("outputs"));
        let result = carry_out_watched(&order, progress, &(std::sync::Arc::new(|_| ()) as mps_media::job::Members));
        assert!(result.failure.is_none(), "{:?}", result.failure);
        result
    }
}

fn node_of<'a>(result: &'a ChildResult, key: &str) -> &'a NodeResult {
    result.nodes.iter().find(|node| node.key == key).unwrap()
}

fn file_of(result: &ChildResult, key: &str) -> PathBuf {
    let node = node_of(result, key);
    assert!(node.failure.is_none(), "{:?}", node.failure);
    PathBuf::from(&node.files[0].path)
}

fn video(height: i32) -> v1::VideoSettings {
    v1::VideoSettings {
        codec: Some(v1::VideoCodec::H264 as i32),
        rate_control: Some(v1::RateControl::Crf as i32),
        crf: Some(20),
        height_px: Some(height),
        fit: Some(v1::Fit::Contain as i32),
        gop_frames: Some(60),
        profile: Some("high".into()),
        speed: Some(v1::EncoderSpeed::Fast as i32),
        ..v1::VideoSettings::default()
    }
}

fn copied_video() -> v1::VideoSettings {
    v1::VideoSettings {
        codec: Some(v1::VideoCodec::Copy as i32),
        ..v1::VideoSettings::default()
    }
}

fn sound(codec: v1::AudioCodec) -> v1::AudioSettings {
    v1::AudioSettings {
        codec: Some(codec as i32),
        bitrate_bps: Some(128_000),
        ..v1::AudioSettings::default()
    }
}

fn transcode(key: &str, video: Option<v1::VideoSettings>, codec: v1::AudioCodec) -> PlanNode {
    let container = match (&video, codec) {
        (Some(_), _) => v1::Container::Mp4,
        (None, v1::AudioCodec::Mp3) => v1::Container::Mp3,
        (None, _) => v1::Container::M4a,
    };
    let settings = v1::TranscodeSettings {
        container: Some(container as i32),
        video,
        audio: Some(sound(codec)),
        ..Default::default()
    };
    let format = container.as_str_name().trim_start_matches("CONTAINER_").to_lowercase();
    plan_node(key, Settings::Transcode(settings), &format, &[])
}

fn snapshots(key: &str, format: v1::ImageFormat, offsets: &[&str]) -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(format as i32),
        quality: Some(95),
        ..v1::SnapshotSettings::default()
    };
    let suffix = match format {
        v1::ImageFormat::Png => "png",
        v1::ImageFormat::Webp => "webp",
        _ => "jpg",
    };
    plan_node(key, Settings::Snapshot(settings), suffix, offsets)
}

fn plan_node(key: &str, settings: Settings, format: &str, offsets: &[&str]) -> PlanNode {
    let outputs = (0..offsets.len().max(1)).map(|number| PlanOutput {
        output_id: format!("{key}-{number}"),
        number: number as i32,
        format: format.to_owned(),
        content_type: String::new(),
    });
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        offsets: offsets.iter().map(|offset| (*offset).to_owned()).collect(),
        outputs: outputs.collect(),
        ..PlanNode::default()
    }
}

fn span(milliseconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: milliseconds / 1000,
        nanos: (milliseconds % 1000) as i32 * 1_000_000,
    })
}

fn clip(mut node: PlanNode, start: i64, end: i64) -> PlanNode {
    node.start_offset = span(start);
    node.end_offset = span(end);
    node
}

/// Seconds by which each beep is later than its flash.
fn sync_errors(file: &Path) -> Vec<f64> {
    let picture = filtered(&[file], "-map 0:v -vf signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-");
    let mut flashes = Vec::new();
    let (mut time, mut was_bright) = (0.0, false);
    for line in picture.lines() {
        if let Some(at) = line.split("pts_time:").nth(1) {
            time = number(at.trim());
        } else if let Some(value) = line.split("YAVG=").nth(1) {
            let is_bright = number(value) > 200.0;
            if is_bright && !was_bright {
                flashes.push(time);
            }
            was_bright = is_bright;
        }
    }
    let silence = filtered(&[file], "-map 0:a -af silencedetect=n=-26dB:d=0.3");
    let beeps: Vec<f64> = silence
        .lines()
        .filter_map(|line| line.split("silence_end: ").nth(1))
        .map(|rest| number(rest.split_whitespace().next().unwrap()))
        .collect();
    let nearest = |beep: f64| {
        flashes
            .iter()
            .map(|flash| beep - flash)
            .min_by(|a, b| a.abs().total_cmp(&b.abs()))
            .unwrap()
    };
    beeps
        .into_iter()
        .filter(|beep| *beep > 0.3)
        .map(nearest)
        .filter(|error| error.abs() < 0.4)
        .collect()
}

fn is_in_sync(file: &Path) {
    let errors = sync_errors(file);
    assert!(errors.len() >= 2, "{}: {} events", file.display(), errors.len());
    for error in errors {
        assert!(error.abs() < SYNC_LIMIT, "{}: sound is {:.1} ms late", file.display(), error * 1e3);
    }
}

/// Peak signal to noise of a picture against a frame of a film.
fn likeness(picture: &Path, film: &Path, time: f64) -> f64 {
    let frame = picture.with_extension("reference.png");
    let position = (time * 30.0).round();
    ffmpeg(&format!("-i {} -vf select=eq(n\\,{position}) -frames:v 1", film.display()), &frame);
    psnr(picture, &frame)
}

fn psnr(picture: &Path, reference: &Path) -> f64 {
    let report = filtered(
        &[picture, reference],
        "-filter_complex [0:v]format=gbrp[a];[1:v]format=gbrp[b];[a][b]psnr",
    );
    let average = report
        .split("average:")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    if average == "inf" { 100.0 } else { number(&average) }
}

#[test]
fn one_decoder_feeds_renditions_sound_and_pictures() {
    let film = Film::new();
    let seen = Mutex::new(Vec::new());
    let nodes = vec![
        transcode("big", Some(video(360)), v1::AudioCodec::Aac),
        transcode("small", Some(video(180)), v1::AudioCodec::Aac),
        transcode("sound", None, v1::AudioCodec::Aac),
        transcode("mp3", None, v1::AudioCodec::Mp3),
        snapshots("shots", v1::ImageFormat::Jpeg, &["10%", "2.5s", "-1s", "100%"]),
    ];
    let result = film.run_watched("film.mp4", nodes, &|progress| seen.lock().unwrap().push(progress));
    let counters = result.counters.unwrap();
    assert_eq!((counters.video_decoders, counters.decoded_frames), (1, 180));
    for (key, expected) in [("big", "640,360"), ("small", "320,180")] {
        let file = file_of(&result, key);
        assert_eq!((frames(&file), size(&file).as_str()), (180, expected));
        assert!((seconds(&file) - 6.0).abs() < 0.04, "{} s", seconds(&file));
        is_in_sync(&file);
        let bytes = fs::read(&file).unwrap();
        let at = |kind: &[u8]| bytes.windows(4).position(|four| four == kind).unwrap();
        assert!(at(b"moov") < at(b"mdat"), "the index stands behind the media");
    }
    for key in ["sound", "mp3"] {
        let length = seconds(&file_of(&result, key));
        assert!((length - 6.0).abs() < 0.08, "{key}: {length} s");
    }
    assert_eq!(node_of(&result, "shots").files.len(), 4);
    let fractions = seen.into_inner().unwrap();
    assert!(fractions.windows(2).all(|pair| pair[0].ticks <= pair[1].ticks), "ticks fall");
}

#[test]
fn clips_take_their_frames_and_their_sound() {
    let film = Film::new();
    let result = film.run(vec![
        clip(transcode("a", Some(video(180)), v1::AudioCodec::Aac), 1510, 4500),
        clip(transcode("b", Some(video(180)), v1::AudioCodec::Aac), 2000, -500),
    ]);
    for (key, expected) in [("a", 90), ("b", 105)] {
        let file = file_of(&result, key);
        assert_eq!(frames(&file), expected, "{key}");
        assert!(
            (seconds(&file) - expected as f64 / 30.0).abs() < 0.04,
            "{key}: {} s",
            seconds(&file)
        );
        let start = number(&ffprobe(&file, "-select_streams v:0 -show_entries stream=start_time"));
        assert!(start.abs() < 0.001, "{key} starts at {start}");
        is_in_sync(&file);
    }
}

#[test]
fn copies_keep_packets_and_sync() {
    let film = Film::new();
    let result = film.run(vec![
        transcode("copy", Some(copied_video()), v1::AudioCodec::Copy),
        transcode("mixed", Some(copied_video()), v1::AudioCodec::Aac),
        transcode("encoded", Some(video(180)), v1::AudioCodec::Copy),
        clip(transcode("part", Some(copied_video()), v1::AudioCodec::Copy), 2000, 5000),
    ]);
    for key in ["copy", "mixed", "encoded"] {
        let file = file_of(&result, key);
        assert_eq!(frames(&file), 180, "{key}");
        is_in_sync(&file);
    }
    let part = file_of(&result, "part");
    assert!((88..=92).contains(&frames(&part)), "{} frames", frames(&part));
    let decoded = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&part)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
    is_in_sync(&part);
}

#[test]
fn other_containers_are_remuxed() {
    let film = Film::new();
    for name in ["film.ts", "film.mkv", "film.flv"] {
        ffmpeg(&format!("-i {} -c copy", film.path("film.mp4").display()), &film.path(name));
        let result = film.run_on(
            name,
            vec![
                transcode("copy", Some(copied_video()), v1::AudioCodec::Copy),
                transcode("encoded", Some(video(180)), v1::AudioCodec::Aac),
            ],
        );
        for key in ["copy", "encoded"] {
            let file = file_of(&result, key);
            assert_eq!(frames(&file), 180, "{name} {key}");
            is_in_sync(&file);
        }
    }
}

#[test]
fn what_a_container_cannot_hold_fails_alone() {
    let film = Film::new();
    let source = film.path("film.mp4").display().to_string();
    ffmpeg(
        &format!("-t 2 -i {source} -c:v libvpx -deadline realtime -c:a libvorbis"),
        &film.path("film.webm"),
    );
    let mut sound_only = transcode("mp3", None, v1::AudioCodec::Mp3);
    if let Some(Settings::Transcode(settings)) = sound_only.settings.as_mut().and_then(|settings| settings.settings.as_mut()) {
        settings.audio = Some(sound(v1::AudioCodec::Copy));
    }
    let result = film.run_on(
        "film.webm",
        vec![
            transcode("video", Some(copied_video()), v1::AudioCodec::Aac),
            transcode("audio", Some(video(180)), v1::AudioCodec::Copy),
            sound_only,
            transcode("good", Some(video(180)), v1::AudioCodec::Aac),
        ],
    );
    for key in ["video", "audio", "mp3"] {
        let failure = node_of(&result, key).failure.as_ref().unwrap_or_else(|| panic!("{key} came out"));
        assert_eq!(failure.kind, FailureKind::Data as i32, "{key}: {failure:?}");
    }
    assert_eq!(frames(&file_of(&result, "good")), 60);
}

#[test]
fn h265_comes_out() {
    let film = Film::new();
    let mut settings = video(180);
    settings.codec = Some(v1::VideoCodec::H265 as i32);
    settings.profile = Some("main".into());
    settings.crf = Some(28);
    let result = film.run(vec![transcode("hevc", Some(settings), v1::AudioCodec::Aac)]);
    let file = file_of(&result, "hevc");
    assert_eq!(
        ffprobe(&file, "-select_streams v:0 -show_entries stream=codec_name,codec_tag_string"),
        "hevc,hvc1"
    );
    assert_eq!(frames(&file), 180);
    is_in_sync(&file);
}

#[test]
fn mp3_beside_film_is_in_time() {
    let film = Film::new();
    let result = film.run(vec![transcode("film", Some(video(180)), v1::AudioCodec::Mp3)]);
    is_in_sync(&file_of(&result, "film"));
}

#[test]
fn pictures_are_the_frames_at_their_offsets_in_the_right_colours() {
    let film = Film::new();
    let offsets = ["3.5s", "0s", "50%", "-0.9s"];
    let times = [3.5, 0.0, 3.0, 5.1];
    for format in [v1::ImageFormat::Jpeg, v1::ImageFormat::Png, v1::ImageFormat::Webp] {
        let result = film.run(vec![snapshots("shots", format, &offsets)]);
        let node = node_of(&result, "shots");
        assert!(node.failure.is_none(), "{:?}", node.failure);
        for (file, time) in node.files.iter().zip(times) {
            let shown = file.source_offset.unwrap();
            let shown = shown.seconds as f64 + f64::from(shown.nanos) / 1e9;
            assert!((shown - time).abs() < 0.002, "{format:?}: {shown} s instead of {time} s");
            let found = likeness(Path::new(&file.path), &film.path("film.mp4"), time);
            // Neighbouring frames differ by far more.
            assert!(found > 27.0, "{format:?} at {time} s: {found} dB");
        }
    }
}

#[test]
fn pictures_far_apart_are_reached_by_leaps() {
    let film = Film::new();
    ffmpeg(
        "-f lavfi -i testsrc2=s=320x180:r=25:d=60 -vf gblur=sigma=3 -c:v libx264 -preset ultrafast -bf 2 -g 50 -pix_fmt yuv420p",
        &film.path("long.mkv"),
    );
    let offsets = ["1s", "20.02s", "50%", "59.98s", "100%"];
    let result = film.run_on(
        "long.mkv",
        vec![
            snapshots("shots", v1::ImageFormat::Png, &offsets),
            snapshots("more", v1::ImageFormat::Jpeg, &["40s"]),
        ],
    );
    let counters = result.counters.unwrap();
    assert_eq!(counters.video_decoders, 1);
    assert!(counters.decoded_frames < 300, "{} frames were decoded", counters.decoded_frames);
    assert_eq!(node_of(&result, "more").files.len(), 1);
    for (file, frame) in node_of(&result, "shots").files.iter().zip([25, 500, 750, 1499, 1499]) {
        let reference = film.path("reference.png");
        let command = format!("-i {} -vf select=eq(n\\,{frame}) -frames:v 1", film.path("long.mkv").display());
        ffmpeg(&command, &reference);
        let found = psnr(Path::new(&file.path), &reference);
        assert!(found > 35.0, "frame {frame}: {found} dB, {:?}", file.source_offset);
    }
}

#[test]
fn a_branch_that_breaks_leaves_the_others() {
    let film = Film::new();
    // One cannot start, one runs into a full disk, one cannot write its second picture.
    fs::create_dir_all(film.path("outputs/broken-0.mp4")).unwrap();
    fs::create_dir_all(film.path("outputs/shots-1.jpg")).unwrap();
    std::os::unix::fs::symlink("/dev/full", film.path("outputs/full-0.mp4")).unwrap();
    let result = film.run(vec![
        transcode("broken", Some(video(180)), v1::AudioCodec::Aac),
        transcode("good", Some(video(180)), v1::AudioCodec::Aac),
        transcode("full", Some(video(180)), v1::AudioCodec::Aac),
        snapshots("shots", v1::ImageFormat::Jpeg, &["1s", "2s", "3s"]),
    ]);
    for key in ["broken", "full", "shots"] {
        assert!(node_of(&result, key).failure.is_some(), "{key}");
    }
    let good = file_of(&result, "good");
    assert_eq!(frames(&good), 180);
    is_in_sync(&good);
}

#[test]
fn a_full_disk_is_called_so_also_where_a_node_is_alone() {
    let film = Film::new();
    fs::create_dir_all(film.path("outputs")).unwrap();
    for name in ["full-0.mp4", "full-0.m4a"] {
        std::os::unix::fs::symlink("/dev/full", film.path("outputs").join(name)).unwrap();
    }
    let run = |nodes: Vec<PlanNode>| {
        let order = order(&film.path("film.mp4"), nodes, &film.path("outputs"));
        carry_out_watched(&order, &|_| (), &(std::sync::Arc::new(|_| ()) as mps_media::job::Members))
    };
    let is_called_so = |result: &ChildResult| {
        let of_node = || node_of(result, "full").failure.as_ref();
        let failure = result.failure.as_ref().or_else(of_node).unwrap();
        let status = failure.status.as_ref().unwrap();
        assert_eq!(failure.kind(), FailureKind::Node, "{status:?}");
        let details = String::from_utf8_lossy(&status.details[0].value).into_owned();
        assert!(details.contains("DISK_FULL"), "{}: {details}", status.message);
    };
    is_called_so(&run(vec![transcode("full", Some(video(180)), v1::AudioCodec::Aac)]));
    is_called_so(&run(vec![transcode("full", Some(copied_video()), v1::AudioCodec::Copy)]));
    let result = run(vec![
        transcode("full", None, v1::AudioCodec::Aac),
        snapshots("shot", v1::ImageFormat::Png, &["3s"]),
    ]);
    assert!(result.failure.is_none(), "{:?}", result.failure);
    is_called_so(&result);
    let found = likeness(&file_of(&result, "shot"), &film.path("film.mp4"), 3.0);
    assert!(found > 27.0, "{found} dB");
}

#[test]
fn where_damage_is_forbidden_clean_films_come_out() {
    let film = Film::new();
    for name in ["film.mkv", "film.ts"] {
        ffmpeg(&format!("-i {} -c copy", film.path("film.mp4").display()), &film.path(name));
    }
    let shots = || snapshots("shots", v1::ImageFormat::Jpeg, &["1.5s", "3.02s", "5.9s"]);
    let part = || clip(transcode("part", Some(video(90)), v1::AudioCodec::Aac), 2000, 3000);
    for name in ["film.mp4", "film.mkv", "film.ts"] {
        for nodes in [vec![shots()], vec![part()], vec![shots(), part()]] {
            let mut order = order(&film.path(name), nodes, &film.path("outputs"));
            order.plan.as_mut().unwrap().damage_policy = DamagePolicy::Fail.into();
            let result = carry_out_watched(&order, &|_| (), &(std::sync::Arc::new(|_| ()) as mps_media::job::Members));
            assert!(result.failure.is_none(), "{name}: {:?}", result.failure);
            for node in &result.nodes {
                assert!(node.failure.is_none(), "{name}: {:?}", node.failure);
                assert!(node.warnings.is_empty(), "{name}: {:?}", node.warnings);
                for file in &node.files {
                    assert_eq!(frames(Path::new(&file.path)), if node.key == "part" { 30 } else { 1 }, "{name}");
                }
            }
        }
    }
}

#[test]
fn every_shape_of_film_comes_out() {
    let film = Film::new();
    let shaped = |key: &str, fit: v1::Fit, change: fn(&mut v1::VideoSettings)| {
        let mut settings = video(200);
        settings.width_px = Some(200);
        settings.fit = Some(fit as i32);
        settings.speed = Some(v1::EncoderSpeed::Fastest as i32);
        change(&mut settings);
        transcode(key, Some(settings), v1::AudioCodec::Aac)
    };
    let result = film.run(vec![
        shaped("pad", v1::Fit::Pad, |_| ()),
        shaped("crop", v1::Fit::Crop, |video| video.profile = Some("baseline".into())),
        shaped("stretch", v1::Fit::Stretch, |video| video.profile = Some("main".into())),
        shaped("paced", v1::Fit::Contain, |video| {
            video.frame_rate_num = Some(15);
            video.gop_duration = span(1000);
            video.gop_frames = None;
        }),
        shaped("rated", v1::Fit::Contain, |video| {
            video.rate_control = Some(v1::RateControl::Vbr as i32);
            video.bitrate_bps = Some(300_000);
            video.crf = None;
        }),
    ]);
    for (key, expected, count) in [
        ("pad", "200,200", 180),
        ("crop", "200,200", 180),
        ("stretch", "200,200", 180),
        ("paced", "200,112", 90),
        ("rated", "200,112", 180),
    ] {
        let file = file_of(&result, key);
        assert_eq!((size(&file).as_str(), frames(&file)), (expected, count), "{key}");
    }
    let keys = ffprobe(
        &file_of(&result, "paced"),
        "-select_streams v:0 -skip_frame nokey -show_entries frame=pts_time",
    );
    assert!(keys.lines().count() >= 6, "key frames: {keys}");
}

/// Takes a minute: it looks for passes that hang now and then.
#[test]
fn no_shape_of_pass_hangs() {
    if std::env::var_os("MPS_LONG").is_none() {
        return;
    }
    let film = Film::new();
    let shapes: Vec<Vec<PlanNode>> = vec![
        vec![transcode("one", Some(video(180)), v1::AudioCodec::Aac)],
        vec![
            transcode("big", Some(video(360)), v1::AudioCodec::Aac),
            transcode("small", Some(video(180)), v1::AudioCodec::Aac),
            snapshots("shots", v1::ImageFormat::Jpeg, &["10%", "50%"]),
        ],
        vec![transcode("copy", Some(copied_video()), v1::AudioCodec::Copy)],
        vec![
            transcode("copy", Some(copied_video()), v1::AudioCodec::Aac),
            clip(transcode("clip", Some(video(180)), v1::AudioCodec::Aac), 2000, 4000),
        ],
        vec![clip(transcode("clip", Some(video(180)), v1::AudioCodec::Aac), 2000, 4000)],
        vec![snapshots("shots", v1::ImageFormat::Png, &["3s", "4s"])],
        vec![
            transcode("mp3", None, v1::AudioCodec::Mp3),
            transcode("m4a", None, v1::AudioCodec::Aac),
        ],
    ];
    for nodes in shapes {
        for _ in 0..ROUNDS {
            let result = film.run(nodes.clone());
            for node in &result.nodes {
                assert!(node.failure.is_none(), "{:?}", node.failure);
            }
        }
    }
}

/// CPU seconds of this process, and of the children it has waited for.
fn cpu_seconds() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // Clock ticks; Linux has 100 a second wherever this runs.
    ((fields[11] + fields[12]) / 100.0, (fields[13] + fields[14]) / 100.0)
}

#[test]
#[ignore = "measures CPU against ffmpeg; run it alone"]
fn a_pass_costs_no_more_than_ffmpeg() {
    let film = Film::new();
    film.make("film.mp4", "1920x1080", "");
    let input = film.path("film.mp4").display().to_string();
    let commands = [
        format!("-i {input} -vf scale=-2:720 -c:v libx264 -preset veryfast -crf 20 -g 60 -c:a aac -b:a 128k -movflags +faststart"),
        format!("-i {input} -vf scale=-2:360 -c:v libx264 -preset veryfast -crf 20 -g 60 -c:a aac -b:a 128k -movflags +faststart"),
    ];
    let measure = |work: &dyn Fn()| {
        let (mine, theirs) = cpu_seconds();
        work();
        let (mine_after, theirs_after) = cpu_seconds();
        (mine_after - mine, theirs_after - theirs)
    };
    for _ in 0..2 {
        let one = measure(&|| ffmpeg(&commands[0], &film.path("a.mp4"))).1;
        let two = measure(&|| ffmpeg(&commands[1], &film.path("b.mp4"))).1;
        let shots = measure(&|| {
            for number in 0..10 {
                ffmpeg(&format!("-ss 0.{number} -i {input} -frames:v 1"), &film.path("c.jpg"));
            }
        })
        .1;
        let offsets = ["0s", "10%", "20%", "30%", "40%", "50%", "60%", "70%", "80%", "90%"];
        let single = measure(&|| drop(film.run(vec![transcode("one", Some(video(720)), v1::AudioCodec::Aac)]))).0;
        let all = vec![
            transcode("big", Some(video(720)), v1::AudioCodec::Aac),
            transcode("small", Some(video(360)), v1::AudioCodec::Aac),
            snapshots("shots", v1::ImageFormat::Jpeg, &offsets),
        ];
        let fused = measure(&|| drop(film.run(all.clone()))).0;
        let pictures = measure(&|| drop(film.run(vec![snapshots("shots", v1::ImageFormat::Jpeg, &offsets)]))).0;
        println!("one: {single:.2} s, ffmpeg {one:.2} s ({:.2})", single / one);
        println!(
            "fused: {fused:.2} s, ffmpeg {:.2} s ({:.2})",
            one + two + shots,
            fused / (one + two + shots)
        );
        println!("pictures: {pictures:.2} s, ffmpeg {shots:.2} s ({:.2})", pictures / shots);
    }
}
