//! ProcessMedia calls per second at 64 concurrent callers.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::report::{Better, Figure, Report};
use crate::{Stack, StackOptions, database::DatabaseKind, stack};

const CALLERS: usize = 64;
const CALLS: usize = 6000;

pub async fn run(report: &mut Report) {
    for (kind, name, floor, goal) in [
        (DatabaseKind::Postgres, "calls ProcessMedia/s, Postgres", Some(1000.0), Some(2000.0)),
        (DatabaseKind::Sqlite, "calls ProcessMedia/s, SQLite", None, None),
    ] {
        let rate = rate(kind).await;
        report.add(Figure {
            name: name.into(),
            ours: rate,
            peer: 1.0,
            better: Better::Higher,
            floor,
            goal,
            runs: CALLS,
        });
    }
}

async fn rate(kind: DatabaseKind) -> f64 {
    let running = Stack::start(StackOptions::on(kind).workers(0)).await;
    let next = AtomicUsize::new(0);
    submit_until(&running, &next, CALLS / 20).await;
    let start = Instant::now();
    submit_until(&running, &next, CALLS + CALLS / 20).await;
    CALLS as f64 / start.elapsed().as_secs_f64()
}

/// Submits tasks over `CALLERS` callers until the counter reaches `end`. The input need not be there: only a worker reads it.
pub async fn submit_until(running: &Stack, next: &AtomicUsize, end: usize) {
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(running.client().await);
    }
    let callers = (0..CALLERS).map(|caller| {
        let client = &clients[caller % clients.len()];
        async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return;
                }
                let mut request = stack::request("in/clip.mp4", vec![stack::transcode("preset-h264-360p")]);
                if let Some(output) = &mut request.output {
                    output.directory = format!("out/{number}/");
                }
                stack::submit(client, request).await;
            }
        }
    });
    futures::future::join_all(callers).await;
}
