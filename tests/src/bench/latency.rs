//! Time from ProcessMedia's answer to the spawn of the child, on an idle system.

use std::time::{Duration, Instant};

use super::report::{Better, Figure, Report, percentile};
use crate::{Stack, StackOptions, media, process::children_of, stack};

const TASKS: usize = 60;

pub async fn run(report: &mut Report) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = running.folder.path().join("clip.mp4");
    media::clip(&clip, 1, "320x240");
    running.upload(&clip, "in/clip.mp4").await;
    let mut times = Vec::new();
    for _ in 0..TASKS {
        times.push(one(&running).await);
    }
    for (share, name, limit) in [
        (0.5, "latency answer to spawn, p50 ms", 10.0),
        (0.99, "latency answer to spawn, p99 ms", 50.0),
    ] {
        report.add(Figure {
            name: name.into(),
            ours: percentile(&mut times, share),
            peer: 1.0,
            better: Better::Lower,
            floor: Some(limit),
            goal: Some(limit),
            runs: TASKS,
        });
    }
}

/// Milliseconds. The watching thread looks at /proc without rest, so a spawn is seen within about a millisecond.
async fn one(running: &Stack) -> f64 {
    let worker = running.workers[0].pid().as_raw();
    let seen = std::thread::spawn(move || {
        let start = Instant::now();
        while children_of(worker).is_empty() {
            assert!(start.elapsed() < Duration::from_secs(20), "no child within 20 s");
        }
        Instant::now()
    });
    let client = running.client().await;
    let name = stack::submit(&client, stack::request("in/clip.mp4", vec![stack::transcode("preset-h264-360p")])).await;
    let answered = Instant::now();
    let seen = seen.join().expect("watching thread ends");
    running.wait_ended(&name, Duration::from_secs(60)).await;
    seen.saturating_duration_since(answered).as_secs_f64() * 1000.0
}
