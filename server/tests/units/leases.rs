//! Handing out, renewing and losing leases.

use std::{collections::HashSet, time::Instant};

use mps_proto::{
    v1::{ErrorReason, NodeState, TaskState},
    worker::v1::{CommitState, FailureKind, LeaseState},
};
use mps_server::service::{
    fail::{self, AttemptOver},
    fence::UnitError,
    lease, renew,
    states::UnitState,
    uploads, workers,
};

use crate::bench::{ANY, Bench, TaskSpec, token};

crate::on_both!(
    best_unit_comes_first,
    urgent_unit_does_not_put_other_projects_behind_its_own,
    unit_goes_only_to_a_worker_that_can_do_it,
    workers_at_once_get_different_units,
    lease_shows_in_the_task,
    late_renewal_revives_a_lease_that_nobody_took,
    expired_attempt_is_fenced_everywhere,
    frozen_attempt_completes_after_restart_and_is_fenced,
    lease_lost_three_times_fails_the_task,
    draining_worker_gets_nothing,
    unknown_worker_is_told_to_join,
    failed_unit_goes_to_another_worker,
    project_runs_no_more_than_it_may,
    cancelled_unit_is_told_so_and_ends_cancelled,
    cancelled_unit_whose_worker_is_gone_ends_cancelled,
    unit_of_a_cancelling_task_is_not_leased,
    wrong_counter_is_mended_and_the_task_ends,
);

async fn best_unit_comes_first(bench: Bench) {
    bench.join("w1", &[]).await;
    let mut first_project = Vec::new();
    for _ in 0..5 {
        first_project.push(bench.task(TaskSpec::default()).await);
    }
    let other = TaskSpec {
        project: "p2",
        ..TaskSpec::default()
    };
    let other = bench.task(other).await;
    let urgent = TaskSpec {
        priority: 5,
        ..TaskSpec::default()
    };
    let urgent = bench.task(urgent).await;
    let mut order = Vec::new();
    while let Some(leased) = bench.lease("w1").await {
        order.push(leased.unit.id);
    }
    let place = |unit: &String| order.iter().position(|id| id == unit).unwrap();
    assert_eq!(order.len(), 7);
    assert_eq!(place(&urgent.unit_id), 0, "priority comes before age");
    assert!(
        place(&other.unit_id) <= 2,
        "a second project is not behind all of the first: {}",
        place(&other.unit_id)
    );
    let ages: Vec<usize> = first_project.iter().map(|task| place(&task.unit_id)).collect();
    assert!(ages.is_sorted(), "within a project older units come first: {ages:?}");
}

async fn urgent_unit_does_not_put_other_projects_behind_its_own(bench: Bench) {
    bench.join("w1", &[]).await;
    for _ in 0..20 {
        bench.task(TaskSpec::default()).await;
    }
    let urgent = TaskSpec {
        priority: 5,
        ..TaskSpec::default()
    };
    let urgent = bench.task(urgent).await;
    assert_eq!(bench.leased("w1").await.1.id, urgent.unit_id);
    let other = TaskSpec {
        project: "p2",
        ..TaskSpec::default()
    };
    let other = bench.task(other).await;
    let next = [bench.leased("w1").await.1.id, bench.leased("w1").await.1.id];
    assert!(next.contains(&other.unit_id));
}

async fn unit_goes_only_to_a_worker_that_can_do_it(bench: Bench) {
    bench.join("plain", &["decode.h264"]).await;
    bench.join("able", &["decode.h264", "encode.h265"]).await;
    let spec = TaskSpec {
        requirements: vec!["encode.h265".into()],
        priority: 9,
        ..TaskSpec::default()
    };
    let special = bench.task(spec).await;
    let common = bench.task(TaskSpec::default()).await;
    assert_eq!(
        bench.leased("plain").await.1.id,
        common.unit_id,
        "what nobody can do holds nobody up"
    );
    assert!(bench.lease("plain").await.is_none());
    assert_eq!(bench.leased("able").await.1.id, special.unit_id);
}

async fn workers_at_once_get_different_units(bench: Bench) {
    for number in 0..8 {
        bench.join(&format!("w{number}"), &[]).await;
        bench.task(TaskSpec::default()).await;
    }
    let calls: Vec<_> = (0..8)
        .map(|number| {
            let app = bench.app.clone();
            tokio::spawn(async move { lease::lease(&app, &format!("w{number}"), ANY).await.unwrap() })
        })
        .collect();
    let mut units = HashSet::new();
    for call in calls {
        units.insert(call.await.unwrap().expect("each gets one").unit.id);
    }
    assert_eq!(units.len(), 8);
}

async fn lease_shows_in_the_task(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let before = bench.row(&task).await.revision;
    let leased = bench.lease("w1").await.unwrap();
    assert_eq!(leased.task_name, format!("projects/p1/tasks/{}", task.id));
    let row = bench.row(&task).await;
    assert_eq!(
        (row.state, row.task.node_statuses[0].state()),
        (TaskState::Processing, NodeState::Processing)
    );
    assert_eq!(
        (row.task.node_statuses[0].attempts, row.task.node_statuses[0].worker.as_str()),
        (1, "workers/w1")
    );
    assert!(row.start_ms.is_some() && row.revision > before);
    let text = "SELECT count(*) AS count FROM outbox WHERE task_id = $1 AND revision = $2";
    assert_eq!(bench.count(text, vec![task.id.as_str().into(), row.revision.into()]).await, 1);
}

async fn late_renewal_revives_a_lease_that_nobody_took(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    bench.expire(&token).await;
    assert_eq!(bench.renew("w1", &token).await, LeaseState::Held);
    bench.reap().await;
    assert_eq!(bench.unit(&unit.id).await.state, UnitState::Leased);
    assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
}

async fn expired_attempt_is_fenced_everywhere(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.join("w2", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (first, unit) = bench.leased("w1").await;
    let list = bench.upload(&first, &unit, &[]).await;
    bench.expire(&first).await;
    bench.reap().await;
    assert_eq!(bench.row(&task).await.task.node_statuses[0].state(), NodeState::Waiting);
    assert_eq!(bench.renew("w1", &first).await, LeaseState::Fenced);
    assert_eq!(
        bench.complete(&first, list.clone()).await,
        CommitState::Fenced,
        "before somebody else took it"
    );

    let (second, again) = bench.leased("w2").await;
    assert_eq!((second.unit_id.as_str(), second.attempt), (first.unit_id.as_str(), 2));
    assert_eq!(bench.complete(&first, list).await, CommitState::Fenced, "and after");
    let failed = bench.fail(&first, FailureKind::Data, ErrorReason::InputDamaged, false).await;
    assert!(matches!(failed, Err(UnitError::Fenced)));
    let upload = uploads::create(&bench.app, &first, &again.plan.nodes[0].outputs[0].output_id, 1, &"0".repeat(64)).await;
    assert!(matches!(upload, Err(UnitError::Fenced)));

    assert_eq!(bench.finish(&second, &again).await, CommitState::Published);
    let made = bench.object(&task, "n0").await.unwrap();
    assert_eq!(made, format!("made by {}/2", unit.id));
    until_no_upload_is_open(&bench).await;
}

pub async fn until_no_upload_is_open(bench: &Bench) {
    mps_tests::wait::until("uploads are ended", std::time::Duration::from_secs(10), || async {
        (bench.open_uploads().await == 0).then_some(())
    })
    .await;
}

async fn frozen_attempt_completes_after_restart_and_is_fenced(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (frozen, unit) = bench.leased("w1").await;
    let list = bench.upload(&frozen, &unit, &[]).await;
    bench
        .execute("UPDATE units SET charged = 2 WHERE id = $1", vec![unit.id.as_str().into()])
        .await;
    bench.expire(&frozen).await;
    bench.reap().await;
    assert_eq!(bench.state(&task).await, TaskState::Failed);
    let new_unit = bench.restart(&task).await;

    assert_eq!(bench.complete(&frozen, list).await, CommitState::Fenced);
    assert_eq!(bench.object(&task, "n0").await, None);
    let (fresh, again) = bench.leased("w1").await;
    assert_eq!((again.id.as_str(), again.attempt), (new_unit.as_str(), 1));
    assert_eq!(bench.finish(&fresh, &again).await, CommitState::Published);
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
}

async fn lease_lost_three_times_fails_the_task(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    for attempt in 1..=3 {
        let (token, _) = bench.leased("w1").await;
        assert_eq!(token.attempt, attempt);
        bench.expire(&token).await;
        bench.reap().await;
        bench.check_counter(&task).await;
    }
    let row = bench.row(&task).await;
    assert_eq!(row.state, TaskState::Failed);
    let error = row.task.node_statuses[0].error.as_ref().unwrap();
    assert_eq!(fail::errors::info_of(error).unwrap().reason, "LEASE_LOST");
    assert!(bench.lease("w1").await.is_none());
    let text = "SELECT count(*) AS count FROM outputs WHERE reserved = 1";
    assert_eq!(bench.count(text, vec![]).await, 0, "its keys are free again");
}

async fn draining_worker_gets_nothing(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.task(TaskSpec::default()).await;
    workers::drain(&bench.app, "workers/w1", false).await.unwrap();
    assert!(bench.lease("w1").await.is_none());
    bench.join("w1", &[]).await;
    assert!(bench.lease("w1").await.is_none(), "joining again does not end it");
    assert!(renew::renew(&bench.app, "w1", &[]).await.unwrap().drain);
    workers::drain(&bench.app, "w1", true).await.unwrap();
    assert!(bench.lease("w1").await.is_some());
}

async fn unknown_worker_is_told_to_join(bench: Bench) {
    assert!(renew::renew(&bench.app, "w1", &[]).await.unwrap().unknown_worker);
    assert!(lease::lease(&bench.app, "w1", ANY).await.is_err());
    bench.join("w1", &[]).await;
    assert!(!renew::renew(&bench.app, "w1", &[]).await.unwrap().unknown_worker);
}

async fn failed_unit_goes_to_another_worker(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.task(TaskSpec::default()).await;
    let (first, _) = bench.leased("w1").await;
    bench.fail(&first, FailureKind::Node, ErrorReason::Stalled, false).await.unwrap();
    let (second, _) = bench.leased("w1").await;
    assert_eq!(second.attempt, 2, "where there is no other worker, the same one tries again");
    bench.join("w2", &[]).await;
    bench.fail(&second, FailureKind::Node, ErrorReason::Stalled, false).await.unwrap();
    assert!(bench.lease("w1").await.is_none());
    assert_eq!(bench.leased("w2").await.0.attempt, 3);
}

async fn project_runs_no_more_than_it_may(bench: Bench) {
    let mut config = (*bench.app.config).clone();
    config.limits.max_running_units_per_project = 2;
    let app = mps_server::app::App {
        config: config.into(),
        ..bench.app.clone()
    };
    bench.join("w1", &[]).await;
    for _ in 0..3 {
        bench.task(TaskSpec::default()).await;
    }
    let other = TaskSpec {
        project: "p2",
        priority: -5,
        ..TaskSpec::default()
    };
    let other = bench.task(other).await;
    let mut got = Vec::new();
    while let Some(leased) = lease::lease(&app, "w1", ANY).await.unwrap() {
        got.push(leased.unit);
    }
    assert_eq!(got.len(), 3);
    assert_eq!(got[2].id, other.unit_id);
    assert_eq!(bench.finish(&token(&got[0]), &got[0]).await, CommitState::Published);
    assert!(lease::lease(&app, "w1", ANY).await.unwrap().is_some());
}

async fn cancelled_unit_is_told_so_and_ends_cancelled(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    bench.upload(&token, &unit, &[]).await;
    bench.cancel(&task).await;
    assert_eq!(bench.renew("w1", &token).await, LeaseState::Cancelled);
    let released = AttemptOver {
        released: true,
        ..AttemptOver::default()
    };
    fail::fail(&bench.app, &token, released).await.unwrap();
    assert_eq!(bench.state(&task).await, TaskState::Cancelled);
    assert_eq!(bench.unit(&unit.id).await.state, UnitState::Cancelled);
    until_no_upload_is_open(&bench).await;
}

async fn cancelled_unit_whose_worker_is_gone_ends_cancelled(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, _) = bench.leased("w1").await;
    bench.cancel(&task).await;
    bench.expire(&token).await;
    bench.reap().await;
    assert_eq!(bench.state(&task).await, TaskState::Cancelled);
}

async fn unit_of_a_cancelling_task_is_not_leased(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    bench.cancel(&task).await;
    assert!(bench.lease("w1").await.is_none());
    assert_eq!(bench.state(&task).await, TaskState::Cancelled);
}

async fn wrong_counter_is_mended_and_the_task_ends(bench: Bench) {
    bench.join("w1", &[]).await;
    let wrong = bench.task(TaskSpec::default()).await;
    let stuck = bench.task(TaskSpec::default()).await;
    let right = bench.task(TaskSpec::default()).await;
    let id = |task: &crate::bench::TestTask| vec![task.id.as_str().into()];
    bench.execute("UPDATE tasks SET open_units = 3 WHERE id = $1", id(&wrong)).await;
    bench.execute("UPDATE units SET state = 5 WHERE task_id = $1", id(&stuck)).await;
    let revision = bench.row(&right).await.revision;
    let mut cursor = String::new();
    mps_server::service::reconcile::count_again(&bench.app, &mut cursor).await.unwrap();
    assert_eq!(bench.row(&wrong).await.open_units, 1);
    assert_eq!(bench.state(&stuck).await, TaskState::Failed);
    assert_eq!(bench.row(&right).await.revision, revision);
}

/// The loop itself: what a dead worker held is leased again within the lease and 2 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unit_of_a_dead_worker_is_leased_again_within_lease_and_two_seconds() {
    let bench = Bench::start_with(false, &[("MPS_LEASE_TTL", "1s")]).await;
    let reconciler = tokio::spawn(mps_server::service::reconcile::run(bench.app.clone()));
    bench.join("dead", &[]).await;
    bench.task(TaskSpec::default()).await;
    // the reconciler has been in contact for a lease time before the worker dies
    mps_tests::wait::until("a renewed lease is left alone", std::time::Duration::from_secs(20), {
        let (token, _) = bench.leased("dead").await;
        let (bench, since) = (&bench, Instant::now());
        move || {
            let token = token.clone();
            async move {
                assert_eq!(bench.renew("dead", &token).await, LeaseState::Held);
                (since.elapsed().as_millis() > 1500).then_some(())
            }
        }
    })
    .await;
    let died = Instant::now();
    let unit = mps_tests::wait::until("the unit is leased again", std::time::Duration::from_secs(20), || async {
        bench.join("alive", &[]).await;
        bench.lease("alive").await
    })
    .await;
    assert_eq!(unit.unit.attempt, 2);
    assert!(died.elapsed().as_millis() < 3000, "{:?}", died.elapsed());
    reconciler.abort();
}

/// 100,000 queued units: the index finds the best at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leasing_is_fast_behind_100_000_queued_units_on_sqlite() {
    crowd(Bench::start(false).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leasing_is_fast_behind_100_000_queued_units_on_postgres() {
    crowd(Bench::start(true).await).await;
}

async fn crowd(bench: Bench) {
    bench.join("w1", &[]).await;
    bench.task(TaskSpec::default()).await;
    let text = "INSERT INTO units (id, task_id, project_id, run, pool, requirements, priority, rank, front, cost, state, attempt, charged, \
        not_before_ms, plan, create_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
        SELECT 'crowd-' || n.i, u.task_id, u.project_id, u.run, u.pool, u.requirements, -1, u.rank + n.i, u.front, u.cost, 1, 0, 0, 0, u.plan, u.create_ms \
        FROM n, units u WHERE u.id NOT LIKE 'crowd-%'";
    bench.execute(text, vec![]).await;
    let urgent = TaskSpec {
        priority: 10,
        ..TaskSpec::default()
    };
    let urgent = bench.task(urgent).await;
    let start = Instant::now();
    assert_eq!(bench.leased("w1").await.1.id, urgent.unit_id);
    for _ in 0..9 {
        assert!(bench.lease("w1").await.is_some());
    }
    let each = start.elapsed() / 10;
    println!("one lease behind 100,000: {each:?}");
    assert!(each.as_millis() < 100, "{each:?}");
}
