//! The offline nodes against the commands that a user would run: ladder, sprite and GIF in one task, sampled snapshots, remux, and how
//! soon an adaptive stream plays.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use mps_proto::v1::{self, Node, TaskState, node::Operation};

use super::{
    cpu,
    report::{Better, Figure, Report, median, runs, warm_ups},
    transcode::{Pairs, add, ffmpeg_command},
};
use crate::{Stack, StackOptions, media, stack};

const RUNGS: [(i32, i32); 4] = [(1920, 1080), (1280, 720), (854, 480), (640, 360)];
const X264: &str = "-c:v libx264 -preset veryfast -crf 23 -profile:v high -pix_fmt yuv420p";
const GOP: &str = "-g 120 -keyint_min 120 -sc_threshold 0";

/// A ladder of four rungs, ten snapshots, a sprite and a GIF from one 1080p film of a minute.
pub async fn everything(report: &mut Report) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = film(&running).await;
    let offsets: Vec<String> = (0..10).map(|number| format!("{}%", number * 10)).collect();
    let offsets: Vec<&str> = offsets.iter().map(String::as_str).collect();
    let nodes = vec![ladder(), stack::snapshots(&offsets), sprite(), gif()];
    let mut apart = separate_ladder(&clip);
    let rest = [
        format!("-i {} -vf fps=1/6 -q:v 4", clip.display()),
        format!("-i {} -vf fps=1/6,scale=142:80,tile=10x10 -frames:v 1 -q:v 4", clip.display()),
        format!(
            "-i {} -t 4 -vf fps=10,scale=480:-2,split[a][b];[a]palettegen[p];[b][p]paletteuse",
            clip.display()
        ),
    ];
    let files = ["snapshot-%d.jpg", "sprite.jpg", "clip.gif"];
    let rest: Vec<Vec<String>> = rest
        .iter()
        .zip(files)
        .map(|(arguments, file)| ffmpeg_command(arguments, file))
        .collect();
    apart.extend(rest.clone());
    let mut best = vec![ladder_in_one(&clip)];
    best.extend(rest);
    let [against_apart, against_best] = compare(&running, &nodes, [&apart, &best]).await;
    let (cpu, wall) = against_apart;
    add(
        report,
        "ladder + pictures, against a command each",
        cpu,
        wall,
        Some(0.54),
        Some(0.5),
    );
    let (cpu, wall) = against_best;
    add(report, "ladder + pictures, against the best commands", cpu, wall, Some(0.75), None);
}

/// A thousand pictures of ten minutes.
pub async fn thousand_pictures(report: &mut Report) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = film_of(&running, 10, "1280x720").await;
    let nodes = vec![node(Operation::SampleSnapshot(v1::SampleSnapshotNode {
        source: Some(v1::sample_snapshot_node::Source::Inline(v1::SampleSnapshotSettings {
            interval: Some(span(Duration::from_millis(600))),
            ..Default::default()
        })),
        ..Default::default()
    }))];
    let command = ffmpeg_command(&format!("-i {} -vf fps=1/0.6 -q:v 4", clip.display()), "sample-%d.jpg");
    let [(cpu, wall)] = compare(&running, &nodes, [&[command]]).await;
    add(report, "1,000 sampled snapshots of 10 minutes", cpu, wall, Some(1.0), None);
}

/// A film of about so many bytes, uploaded.
pub async fn large_film(running: &Stack, bytes: u64) -> PathBuf {
    let clip = running.folder.path().join("large.mp4");
    let source = running.folder.path().join("part.mp4");
    // Noise keeps its size.
    media::ffmpeg(
        "-f lavfi -i testsrc2=s=1280x720:r=30:d=20 -f lavfi -i sine=d=20 -vf noise=alls=90:allf=t -c:v mpeg4 -qscale:v 2 -g 30 -c:a aac -shortest",
        &source,
    );
    let size = std::fs::metadata(&source).map_or(1, |data| data.len()).max(1);
    let arguments = format!("-stream_loop {} -i {} -c copy", bytes / size, source.display());
    media::ffmpeg(&arguments, &clip);
    running.upload(&clip, "in/clip.mp4").await;
    clip
}

/// A file of about 2 GB as it is: download, remux, upload.
pub async fn remux(report: &mut Report) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = large_film(&running, 2_000_000_000).await;
    let nodes = vec![stack::transcode("preset-remux")];
    let copies = vec![
        vec!["cp".into(), clip.display().to_string(), "fetched.mp4".into()],
        ffmpeg_command("-i fetched.mp4 -c copy -movflags +faststart", "remuxed.mp4"),
        vec!["cp".into(), "remuxed.mp4".into(), "stored.mp4".into()],
    ];
    let [(cpu, wall)] = compare(&running, &nodes, [&copies]).await;
    add(report, "remux of a large file", cpu, wall, Some(1.2), None);
}

/// When an adaptive stream can first be played, by the length of its film. The figure is the slowest against the fastest.
pub async fn first_playable(report: &mut Report) {
    let mut times = Vec::new();
    for minutes in [2, 10, 60] {
        let running = Stack::start(StackOptions::default().slots(1)).await;
        film_of(&running, minutes, "640x360").await;
        let client = running.client().await;
        let start = Instant::now();
        let name = stack::submit(&client, stack::request("in/clip.mp4", vec![small_ladder()])).await;
        loop {
            let task = stack::get(&client, &name).await.expect("the task is there");
            if task.node_statuses.iter().any(|node| node.playable_time.is_some()) {
                break;
            }
            assert!(!stack::is_ended(task.state()), "{task:#?}\n{}", running.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        times.push(start.elapsed().as_secs_f64());
    }
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    report.add(Figure {
        name: "first playable: 2, 10, 60 minutes, slowest / fastest".into(),
        ours: slowest,
        peer: fastest,
        better: Better::Lower,
        floor: Some(1.2),
        goal: None,
        runs: 1,
    });
}

/// A minute of 1080p.
async fn film(running: &Stack) -> PathBuf {
    film_of(running, 1, "1920x1080").await
}

/// Whole minutes: one, as often as it takes.
async fn film_of(running: &Stack, minutes: u32, size: &str) -> PathBuf {
    let minute = running.folder.path().join("minute.mp4");
    let arguments = format!(
        "-f lavfi -i testsrc2=s={size}:r=30:d=60 -f lavfi -i sine=f=440:r=48000:d=60 \
         -vf noise=alls=6:allf=t -c:v libx264 -preset veryfast -crf 21 -bf 2 -pix_fmt yuv420p -g 60 -c:a aac -shortest"
    );
    media::ffmpeg(&arguments, &minute);
    let clip = running.folder.path().join("clip.mp4");
    let again = format!("-stream_loop {} -i {} -c copy", minutes - 1, minute.display());
    media::ffmpeg(&again, &clip);
    running.upload(&clip, "in/clip.mp4").await;
    clip
}

fn node(operation: Operation) -> Node {
    Node {
        key: String::new(),
        operation: Some(operation),
    }
}

fn span(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("short enough")
}

fn ladder() -> Node {
    adaptive(&RUNGS)
}

fn small_ladder() -> Node {
    adaptive(&RUNGS[3..])
}

fn adaptive(rungs: &[(i32, i32)]) -> Node {
    let rendition = |(width, height): &(i32, i32)| v1::Rendition {
        video: Some(v1::VideoSettings {
            rate_control: Some(v1::RateControl::Crf.into()),
            crf: Some(23),
            width_px: Some(*width),
            height_px: Some(*height),
            ..Default::default()
        }),
    };
    let audio = v1::AudioRendition {
        audio: Some(v1::AudioSettings {
            bitrate_bps: Some(128_000),
            ..Default::default()
        }),
        ..Default::default()
    };
    node(Operation::AdaptiveStream(v1::AdaptiveStreamNode {
        source: Some(v1::adaptive_stream_node::Source::Inline(v1::AdaptiveStreamSettings {
            renditions: rungs.iter().map(rendition).collect(),
            audio: vec![audio],
            ..Default::default()
        })),
        ..Default::default()
    }))
}

fn sprite() -> Node {
    node(Operation::ImageSprite(v1::ImageSpriteNode {
        source: Some(v1::image_sprite_node::Source::Inline(v1::ImageSpriteSettings {
            tile_width_px: Some(142),
            tile_height_px: Some(80),
            interval: Some(span(Duration::from_secs(6))),
            ..Default::default()
        })),
        ..Default::default()
    }))
}

fn gif() -> Node {
    node(Operation::AnimatedImage(v1::AnimatedImageNode {
        source: Some(v1::animated_image_node::Source::Inline(v1::AnimatedImageSettings {
            fps: Some(10),
            width_px: Some(480),
            ..Default::default()
        })),
        end_offset: Some(span(Duration::from_secs(4))),
        ..Default::default()
    }))
}

/// A command for each rung and one for the sound, to CMAF.
fn separate_ladder(clip: &Path) -> Vec<Vec<String>> {
    let mut commands: Vec<Vec<String>> = RUNGS
        .iter()
        .map(|(_, height)| {
            let arguments = format!(
                "-i {} -an -vf scale=-2:{height} {X264} {GOP} -f hls -hls_time 4 -hls_segment_type fmp4 -hls_list_size 0",
                clip.display()
            );
            ffmpeg_command(&arguments, &format!("rung-{height}.m3u8"))
        })
        .collect();
    let sound = format!(
        "-i {} -vn -c:a aac -b:a 128k -f hls -hls_time 4 -hls_segment_type fmp4 -hls_list_size 0",
        clip.display()
    );
    commands.push(ffmpeg_command(&sound, "sound.m3u8"));
    commands
}

/// The whole ladder by one filter graph.
fn ladder_in_one(clip: &Path) -> Vec<String> {
    let split: String = (0..RUNGS.len()).map(|index| format!("[s{index}]")).collect();
    let scales: Vec<String> = RUNGS
        .iter()
        .enumerate()
        .map(|(index, (_, height))| format!("[s{index}]scale=-2:{height}[v{index}]"))
        .collect();
    let graph = format!("[0:v]split={}{split};{}", RUNGS.len(), scales.join(";"));
    let maps: String = (0..RUNGS.len()).map(|index| format!("-map [v{index}] ")).collect();
    let arguments = format!(
        "-i {} -filter_complex {graph} {maps} -map 0:a {X264} {GOP} -c:a aac -b:a 128k -f dash -seg_duration 4 -hls_playlist 1 \
         -adaptation_sets id=0,streams=v",
        clip.display()
    );
    let mut command = ffmpeg_command(&arguments, "ladder.mpd");
    if let Some(sets) = command.iter_mut().find(|argument| argument.starts_with("id=0")) {
        "id=0,streams=v id=1,streams=a".clone_into(sets);
    }
    command
}

/// (ours, peer) of each run, for each peer: CPU seconds and wall seconds.
async fn compare<const PEERS: usize>(running: &Stack, nodes: &[Node], peers: [&[Vec<String>]; PEERS]) -> [(Pairs, Pairs); PEERS] {
    let mut results = peers.map(|_| (Vec::new(), Vec::new()));
    for run in 0..runs() + warm_ups() {
        let client = running.client().await;
        let before = cpu::of_stack(running);
        let start = Instant::now();
        let name = stack::submit(&client, stack::request("in/clip.mp4", nodes.to_vec())).await;
        let task = client.wait_task(&name).await.expect("the server tells how the task goes");
        assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", running.logs());
        let ours = (cpu::of_stack(running) - before, start.elapsed().as_secs_f64());
        for (commands, (cpu, wall)) in peers.iter().zip(&mut results) {
            let peer = cpu::of_commands(commands, running.folder.path());
            if run >= warm_ups() {
                cpu.push((ours.0, peer.0));
                wall.push((ours.1, peer.1));
            }
        }
    }
    results
}

/// The ladder against shaka-streamer, where it is installed (.tools/shaka); wall seconds.
pub async fn against_shaka(report: &mut Report) {
    let Some(program) = shaka() else {
        println!("shaka-streamer is not installed: `scripts/install-test-tools bench` installs it");
        return;
    };
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = film(&running).await;
    let folder = running.folder.path();
    let names: Vec<String> = RUNGS.iter().map(|(_, height)| format!("{height}p")).collect();
    let input = format!(
        "inputs:\n  - {{name: {0}, media_type: video}}\n  - {{name: {0}, media_type: audio}}\n",
        clip.display()
    );
    let pipeline = format!(
        "streaming_mode: vod\nresolutions: [{}]\nchannel_layouts: [stereo]\naudio_codecs: [aac]\nvideo_codecs: [h264]\nmanifest_format: \
         [dash, hls]\nsegment_size: 4\nsegment_per_file: true\n",
        names.join(", ")
    );
    std::fs::write(folder.join("input.yaml"), input).expect("the folder is writable");
    std::fs::write(folder.join("pipeline.yaml"), pipeline).expect("the folder is writable");
    let command: Vec<String> = [
        program.display().to_string().as_str(),
        "-i",
        "input.yaml",
        "-p",
        "pipeline.yaml",
        "-o",
        "shaka",
    ]
    .map(String::from)
    .into();
    let [(_, wall)] = compare(&running, &[ladder()], [&[command]]).await;
    let (ours, peer): (Vec<f64>, Vec<f64>) = wall.into_iter().unzip();
    report.add(Figure {
        name: "ladder against shaka-streamer, wall s".into(),
        ours: median(ours),
        peer: median(peer),
        better: Better::Lower,
        floor: Some(0.9),
        goal: None,
        runs: runs(),
    });
}

fn shaka() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()?
        .join(".tools/shaka/bin/shaka-streamer");
    program.exists().then_some(program)
}
