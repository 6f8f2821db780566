//! How long it takes to say what a large file contains: the service's answer against ffprobe on the same file.

use std::time::Instant;

use mps_proto::v1;

use super::{
    cpu, nodes,
    report::{Better, Figure, Report, median},
};
use crate::{Stack, StackOptions};

const RUNS: usize = 5;
const BYTES: u64 = 1_600_000_000;

pub async fn run(report: &mut Report) {
    let running = Stack::start(StackOptions::default().slots(1)).await;
    let clip = nodes::large_film(&running, BYTES).await;
    let command: Vec<String> = [
        "ffprobe",
        "-v",
        "error",
        "-show_format",
        "-show_streams",
        "-of",
        "json",
        "-o",
        "told.json",
        "-i",
    ]
    .map(String::from)
    .into_iter()
    .chain([clip.display().to_string()])
    .collect();
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for run in 0..=RUNS {
        let took = probe(&running).await;
        let (_, theirs) = cpu::of_commands(std::slice::from_ref(&command), running.folder.path());
        // The first run warms caches and is not counted.
        if run > 0 {
            ours.push(took);
            peer.push(theirs);
        }
    }
    report.add(Figure {
        name: "probe of a file of 1.6 GB, wall s".into(),
        ours: median(ours),
        peer: median(peer),
        better: Better::Lower,
        floor: Some(2.0),
        goal: None,
        runs: RUNS,
    });
}

/// Seconds from the call to the answer.
async fn probe(running: &Stack) -> f64 {
    let object = v1::StorageObject {
        storage: "local".into(),
        key: "in/clip.mp4".into(),
    };
    let request = v1::ProbeMediaRequest {
        parent: "projects/default".into(),
        input: Some(v1::TaskInput {
            source: Some(v1::task_input::Source::Object(object)),
        }),
    };
    let client = running.client().await;
    let start = Instant::now();
    let answer = client
        .storages()
        .probe_media(request)
        .await
        .expect("the file is probed")
        .into_inner();
    let took = start.elapsed().as_secs_f64();
    assert!(answer.media.is_some_and(|media| media.streams.len() == 2));
    took
}
