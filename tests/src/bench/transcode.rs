//! Whole tasks through the service against ffmpeg with the same encoder settings, from the same file, on the same cores.

use std::{path::Path, time::Instant};

use mps_proto::v1::{Node, TaskState};

use super::{
    cpu,
    report::{Better, Figure, Report, median, runs, warm_ups},
};
use crate::{Stack, StackOptions, media, stack};

const CLIP_SECONDS: u32 = 60;

/// One transcode of a 60 s clip.
pub async fn one(report: &mut Report) {
    let commands = |clip: &Path| vec![transcode_command(clip, 720, "720.mp4")];
    let (cpu, wall) = compare(vec![stack::transcode("preset-h264-720p")], commands).await;
    add(report, "transcode 720p", cpu, wall, Some(1.05), Some(1.0));
}

/// 720p, 360p and ten snapshots against the three commands that a user would run.
pub async fn two_and_snapshots(report: &mut Report) {
    let offsets: Vec<String> = (0..10).map(|number| format!("{}%", number * 10)).collect();
    let offsets: Vec<&str> = offsets.iter().map(String::as_str).collect();
    let nodes = vec![
        stack::transcode("preset-h264-720p"),
        stack::transcode("preset-h264-360p"),
        stack::snapshots(&offsets),
    ];
    let commands = |clip: &Path| {
        let snapshots = format!("-i {} -vf fps=1/6 -q:v 4", clip.display());
        vec![
            transcode_command(clip, 720, "720.mp4"),
            transcode_command(clip, 360, "360.mp4"),
            ffmpeg_command(&snapshots, "snapshot-%d.jpg"),
        ]
    };
    let (cpu, wall) = compare(nodes, commands).await;
    add(report, "pass 720p + 360p + 10 snapshots", cpu, wall, Some(0.6), None);
}

pub(super) fn add(report: &mut Report, name: &str, cpu: Vec<(f64, f64)>, wall: Vec<(f64, f64)>, floor: Option<f64>, goal: Option<f64>) {
    for (what, pairs) in [("cpu s", cpu), ("wall s", wall)] {
        let (ours, peer): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        report.add(Figure {
            name: format!("{name}, {what}"),
            ours: median(ours),
            peer: median(peer),
            better: Better::Lower,
            floor,
            goal,
            runs: runs(),
        });
    }
}

/// The settings of preset-h264-{height}p.
fn transcode_command(clip: &Path, height: u32, output: &str) -> Vec<String> {
    let arguments = format!(
        "-i {} -vf scale=-2:{height} -c:v libx264 -preset veryfast -crf 23 -g 250 -profile:v high -pix_fmt yuv420p \
         -c:a aac -b:a 128k -movflags +faststart",
        clip.display()
    );
    ffmpeg_command(&arguments, output)
}

pub(super) fn ffmpeg_command(arguments: &str, output: &str) -> Vec<String> {
    let mut command: Vec<String> = ["ffmpeg", "-nostdin", "-v", "error", "-y"].map(String::from).into();
    command.extend(arguments.split(' ').filter(|argument| !argument.is_empty()).map(String::from));
    command.push(output.to_owned());
    command
}

pub(super) type Pairs = Vec<(f64, f64)>;

/// (ours, peer) of each run: CPU seconds and wall seconds.
async fn compare(nodes: Vec<Node>, commands: impl Fn(&Path) -> Vec<Vec<String>>) -> (Pairs, Pairs) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = running.folder.path().join("clip.mp4");
    let arguments = format!(
        "-f lavfi -i testsrc2=s=1920x1080:r=30:d={CLIP_SECONDS} -f lavfi -i sine=f=440:r=48000:d={CLIP_SECONDS} \
         -vf noise=alls=6:allf=t -c:v libx264 -preset veryfast -crf 21 -bf 2 -pix_fmt yuv420p -g 60 -c:a aac -shortest"
    );
    media::ffmpeg(&arguments, &clip);
    running.upload(&clip, "in/clip.mp4").await;
    let (mut cpu, mut wall) = (Vec::new(), Vec::new());
    for run in 0..runs() + warm_ups() {
        let (our_cpu, our_wall) = ours(&running, &nodes, run).await;
        let (peer_cpu, peer_wall) = cpu::of_commands(&commands(&clip), running.folder.path());
        if run >= warm_ups() {
            cpu.push((our_cpu, peer_cpu));
            wall.push((our_wall, peer_wall));
        }
    }
    (cpu, wall)
}

async fn ours(running: &Stack, nodes: &[Node], run: usize) -> (f64, f64) {
    let client = running.client().await;
    let mut request = stack::request("in/clip.mp4", nodes.to_vec());
    request.session_id = format!("run-{run}");
    let before = cpu::of_stack(running);
    let start = Instant::now();
    let name = stack::submit(&client, request).await;
    let task = client.wait_task(&name).await.expect("the server tells how the task goes");
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", running.logs());
    let wall = start.elapsed().as_secs_f64();
    (cpu::of_stack(running) - before, wall)
}
