//! Resident memory of the server with 100,000 stored tasks, and of an idle supervisor.

use std::{sync::atomic::AtomicUsize, time::Duration};

use super::{
    calls::submit_until,
    cpu::resident_mb,
    report::{Better, Figure, Report},
};
use crate::{Stack, StackOptions, database::DatabaseKind};

const TASKS: usize = 100_000;

pub async fn run(report: &mut Report) {
    let mut running = Stack::start(StackOptions::on(DatabaseKind::Postgres).workers(0)).await;
    submit_until(&running, &AtomicUsize::new(0), TASKS).await;
    // What counts is a server that finds the tasks there, not one that has just taken them all.
    let server = running.server.as_mut().expect("server runs");
    add(
        report,
        "memory server after taking 100,000 tasks, MB",
        resident_mb(server.pid().as_raw()),
        None,
    );
    server.stop(Duration::from_secs(10));
    running.start_server().await;
    settle().await;
    let server = running.server.as_ref().expect("server runs");
    add(
        report,
        "memory server, 100,000 tasks stored, MB",
        resident_mb(server.pid().as_raw()),
        Some(60.0),
    );
    drop(running);

    let idle = Stack::start(StackOptions::default().workers(1)).await;
    crate::wait::until("the worker has joined", Duration::from_secs(60), || async {
        let request = mps_proto::v1::ListWorkersRequest::default();
        let answer = idle.client().await.system().list_workers(request).await.ok()?;
        (!answer.into_inner().workers.is_empty()).then_some(())
    })
    .await;
    settle().await;
    add(
        report,
        "memory supervisor, idle, MB",
        resident_mb(idle.workers[0].pid().as_raw()),
        Some(30.0),
    );
}

/// Idle means that nothing has been asked for a while.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

fn add(report: &mut Report, name: &str, megabytes: f64, limit: Option<f64>) {
    report.add(Figure {
        name: name.into(),
        ours: megabytes,
        peer: 1.0,
        better: Better::Lower,
        floor: limit,
        goal: limit,
        runs: 1,
    });
}
