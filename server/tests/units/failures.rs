//! Failing: retried, split, given up, and who is to blame.

use mps_proto::{
    v1::{self, ErrorReason, TaskState},
    worker::v1::{CommitState, Failure, FailureKind},
};
use mps_server::{
    service::{
        fail::{self, AttemptOver, errors},
        fence::UnitError,
        states::UnitState,
        uploads, workers,
    },
    store::leases::UnitRow,
};

use crate::bench::{Bench, TaskSpec, token};

crate::on_both!(
    bad_data_fails_at_once_with_the_log,
    outside_failure_waits_before_it_is_tried_again,
    crash_splits_the_unit_into_its_nodes,
    unit_handed_back_is_not_charged,
    failing_twice_counts_once,
    second_standstill_at_one_place_is_the_files_fault,
    standstill_is_remembered_when_the_unit_is_split,
    worker_whose_units_succeed_elsewhere_is_drained,
    open_upload_is_given_again_and_parts_are_checked,
    janitor_aborts_what_a_dead_server_left,
);

async fn bad_data_fails_at_once_with_the_log(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    bench
        .fail(&token, FailureKind::Data, ErrorReason::InputNotMedia, false)
        .await
        .unwrap();
    let row = bench.row(&task).await;
    assert_eq!((row.state, row.open_units), (TaskState::Failed, 0));
    let info = fail::errors::info_of(row.task.error.as_ref().unwrap()).unwrap();
    assert_eq!(
        (info.reason.as_str(), info.metadata["log_tail"].as_str()),
        ("INPUT_NOT_MEDIA", "last words")
    );
    assert_eq!(info.metadata["hint"], "mend it");
    assert_eq!(bench.unit(&unit.id).await.state, UnitState::Failed);
}

async fn outside_failure_waits_before_it_is_tried_again(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    for attempt in 1..=3 {
        let (token, _) = bench.leased("w1").await;
        assert_eq!(token.attempt, attempt);
        bench
            .fail(&token, FailureKind::Outside, ErrorReason::InputUnavailable, false)
            .await
            .unwrap();
        assert!(bench.lease("w1").await.is_none(), "not at once");
        bench.execute("UPDATE units SET not_before_ms = 0", vec![]).await;
    }
    assert_eq!(bench.state(&task).await, TaskState::Failed);
}

async fn crash_splits_the_unit_into_its_nodes(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 3,
            ..TaskSpec::default()
        })
        .await;
    let (first, _) = bench.leased("w1").await;
    bench
        .fail(&first, FailureKind::Node, ErrorReason::ChildCrashed, true)
        .await
        .unwrap();
    assert_eq!(bench.row(&task).await.open_units, 3);
    bench.check_counter(&task).await;
    assert_eq!(bench.unit(&first.unit_id).await.state, UnitState::Split);
    let mut apart: Vec<UnitRow> = Vec::new();
    for _ in 0..3 {
        let (token, unit) = bench.leased("w1").await;
        assert_eq!(
            (token.attempt, unit.charged, unit.plan.nodes.len()),
            (2, 1, 1),
            "attempts are carried over"
        );
        apart.push(unit);
    }
    for unit in &apart[..2] {
        assert_eq!(bench.finish(&token(unit), unit).await, CommitState::Published);
    }
    let bad = token(&apart[2]);
    bench.fail(&bad, FailureKind::Node, ErrorReason::ChildCrashed, true).await.unwrap();
    let (last, _) = bench.leased("w1").await;
    assert_eq!(last.attempt, 3);
    bench.fail(&last, FailureKind::Node, ErrorReason::ChildCrashed, true).await.unwrap();
    assert_eq!(bench.state(&task).await, TaskState::PartiallySucceeded);
}

async fn unit_handed_back_is_not_charged(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    for _ in 0..5 {
        let (token, _) = bench.leased("w1").await;
        let released = AttemptOver {
            released: true,
            ..AttemptOver::default()
        };
        fail::fail(&bench.app, &token, released).await.unwrap();
    }
    let (token, unit) = bench.leased("w1").await;
    assert_eq!((token.attempt, unit.charged), (6, 0));
    assert_eq!(bench.state(&task).await, TaskState::Processing);
}

async fn failing_twice_counts_once(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.task(TaskSpec::default()).await;
    let (token, _) = bench.leased("w1").await;
    bench.fail(&token, FailureKind::Node, ErrorReason::Stalled, false).await.unwrap();
    let again = bench.fail(&token, FailureKind::Node, ErrorReason::Stalled, false).await;
    assert!(matches!(again, Err(UnitError::Fenced)));
    assert_eq!(bench.unit(&token.unit_id).await.charged, 1);
}

fn stalled_at(position: &str, split: bool) -> AttemptOver {
    let mut status = errors::status(tonic::Code::Internal, ErrorReason::Stalled, "nothing moves", "wait");
    for (key, value) in [("stream", "film"), ("position", position)] {
        status = errors::with_metadata(status, key, value);
    }
    AttemptOver {
        failure: Failure {
            kind: FailureKind::Node as i32,
            status: Some(status),
        },
        split,
        ..AttemptOver::default()
    }
}

async fn second_standstill_at_one_place_is_the_files_fault(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    for position in ["3.00", "9.00"] {
        let (token, _) = bench.leased("w1").await;
        fail::fail(&bench.app, &token, stalled_at(position, false)).await.unwrap();
        assert_eq!(bench.state(&task).await, TaskState::Processing, "{position}");
    }
    let other = bench.task(TaskSpec::default()).await;
    let (last, _) = bench.leased("w1").await;
    fail::fail(&bench.app, &last, stalled_at("20.00", false)).await.unwrap();
    assert_eq!(bench.state(&task).await, TaskState::Failed, "three attempts are enough");
    for _ in 0..2 {
        let (token, _) = bench.leased("w1").await;
        fail::fail(&bench.app, &token, stalled_at("3.00", false)).await.unwrap();
    }
    let error = bench.row(&other).await.task.error.expect("failed at the second time");
    assert_eq!(error.code, tonic::Code::FailedPrecondition as i32);
}

async fn standstill_is_remembered_when_the_unit_is_split(bench: Bench) {
    bench.join("w1", &[]).await;
    let spec = TaskSpec {
        nodes: 2,
        ..TaskSpec::default()
    };
    let task = bench.task(spec).await;
    let (token, _) = bench.leased("w1").await;
    fail::fail(&bench.app, &token, stalled_at("3.00", true)).await.unwrap();
    let (good, unit) = bench.leased("w1").await;
    assert_eq!(bench.finish(&good, &unit).await, CommitState::Published);
    let (bad, _) = bench.leased("w1").await;
    fail::fail(&bench.app, &bad, stalled_at("3.10", true)).await.unwrap();
    assert_eq!(bench.state(&task).await, TaskState::PartiallySucceeded);
}

async fn worker_whose_units_succeed_elsewhere_is_drained(bench: Bench) {
    bench.join("bad", &[]).await;
    bench.join("good", &[]).await;
    for round in 1..=3 {
        bench.task(TaskSpec::default()).await;
        let (token, _) = bench.leased("bad").await;
        bench.fail(&token, FailureKind::Node, ErrorReason::DiskFull, false).await.unwrap();
        let (token, unit) = bench.leased("good").await;
        assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
        let listed = workers::list_workers(&bench.app, v1::ListWorkersRequest::default())
            .await
            .unwrap()
            .workers;
        let bad = listed.iter().find(|worker| worker.name == "workers/bad").unwrap();
        assert_eq!(bad.state() == v1::WorkerState::Draining, round == 3, "round {round}");
        assert_eq!(bad.drain_reason.is_empty(), round < 3);
    }
}

async fn open_upload_is_given_again_and_parts_are_checked(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    let output = &unit.plan.nodes[0].outputs[0].output_id;
    let sha256 = "0".repeat(64);
    let size = 40 << 20;
    let upload = uploads::create(&bench.app, &token, output, size, &sha256).await.unwrap();
    assert_eq!((upload.part_size, upload.part_count), (16 << 20, 3));
    let again = uploads::create(&bench.app, &token, output, size, &sha256).await.unwrap();
    assert_eq!(again.id, upload.id);
    let (urls, _) = uploads::part_urls(&bench.app, &token, &upload.id, &[1, 2, 3]).await.unwrap();
    assert_eq!(urls.len(), 3);
    for wrong in [vec![0], vec![4], (0..65).map(|_| 1).collect()] {
        assert!(
            uploads::part_urls(&bench.app, &token, &upload.id, &wrong).await.is_err(),
            "{wrong:?}"
        );
    }
    assert!(uploads::create(&bench.app, &token, "another", size, &sha256).await.is_err());
}

async fn janitor_aborts_what_a_dead_server_left(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    bench.upload(&token, &unit, &[]).await;
    mps_server::service::janitor::round(&bench.app).await.unwrap();
    assert_eq!(bench.open_uploads().await, 1, "the attempt is not over");
    bench
        .execute("UPDATE units SET state = 6 WHERE id = $1", vec![unit.id.as_str().into()])
        .await;
    mps_server::service::janitor::round(&bench.app).await.unwrap();
    assert_eq!(bench.open_uploads().await, 0);
    let aborted = uploads::part_urls(&bench.app, &token, "any", &[1]).await;
    assert!(aborted.is_err());
    assert_eq!(bench.object(&task, "n0").await, None);
}
