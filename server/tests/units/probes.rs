//! Probes: units without a task, in slots of their own.

use mps_proto::{
    v1::{self, ErrorReason},
    worker::v1::{ChildResult, CommitState, CompleteUnitRequest, FailureKind, LeaseScope},
};
use mps_server::{
    service::{fail, fence::UnitError, input_members, lease, uploads, workers},
    store::units,
};
use prost::Message;

use crate::bench::{ANY, Bench, PROJECT, TaskSpec, token};

crate::on_both!(
    probe_and_task_never_take_each_others_slot,
    project_that_runs_all_it_may_still_probes,
    probe_answers_its_caller,
    probe_that_fails_says_why,
    members_of_a_playlist_are_presigned_for_its_unit_alone,
);

async fn probe_and_task_never_take_each_others_slot(bench: Bench) {
    bench.join("w1", &[]).await;
    let probe = probe(&bench).await;
    assert!(bench.lease_of("w1", LeaseScope::Tasks).await.is_none());
    let task = bench.task(TaskSpec::default()).await;
    assert_eq!(bench.lease_of("w1", LeaseScope::Probes).await.unwrap().unit.id, probe);
    assert!(bench.lease_of("w1", LeaseScope::Probes).await.is_none());
    assert_eq!(bench.lease_of("w1", LeaseScope::Tasks).await.unwrap().unit.id, task.unit_id);
    let listed = workers::list_workers(&bench.app, v1::ListWorkersRequest::default()).await.unwrap();
    assert_eq!(listed.workers[0].busy_slots, 1, "a probe is in no slot of tasks");
}

async fn project_that_runs_all_it_may_still_probes(bench: Bench) {
    bench.join("w1", &[]).await;
    let mut app = bench.app.clone();
    let mut config = mps_server::config::Config::clone(&app.config);
    config.limits.max_running_units_per_project = 1;
    app.config = config.into();
    bench.task(TaskSpec::default()).await;
    let task = bench.task(TaskSpec::default()).await;
    probe(&bench).await;
    let ask = |scope| lease::lease(&app, "w1", lease::Ask { scope, ..ANY });
    assert!(ask(LeaseScope::Probes).await.unwrap().is_some());
    let first = ask(LeaseScope::Tasks).await.unwrap();
    assert!(
        first.is_some_and(|leased| leased.unit.id != task.unit_id),
        "a probe is no running unit"
    );
    assert!(ask(LeaseScope::Tasks).await.unwrap().is_none());
    probe(&bench).await;
    assert!(ask(LeaseScope::Probes).await.unwrap().is_some());
}

async fn probe(bench: &Bench) -> String {
    probe_of(bench, v1::task_input::Source::Url("https://example.com/a.mp4".into())).await
}

async fn probe_of(bench: &Bench, source: v1::task_input::Source) -> String {
    let id = mps_proto::name::new_id();
    let unit = units::NewUnit {
        id: id.clone(),
        task_id: String::new(),
        project: PROJECT.into(),
        run: 1,
        pool: "cpu".into(),
        requirements: Vec::new(),
        priority: units::PROBE_PRIORITY,
        cost: 0.1,
        plan: mps_plan::plan_probe(Default::default()),
        attempt: 0,
        charged: 0,
    };
    let input = v1::TaskInput { source: Some(source) };
    let txn = bench.app.store.begin().await.unwrap();
    units::insert(&bench.app.store, &txn, &[unit]).await.unwrap();
    txn.commit().await.unwrap();
    let text = "INSERT INTO probes (unit_id, project_id, input, create_ms) VALUES ($1, $2, $3, {now})";
    let values = vec![id.as_str().into(), PROJECT.into(), input.encode_to_vec().into()];
    bench.execute(text, values).await;
    id
}

async fn probe_result(bench: &Bench, id: &str) -> ChildResult {
    use sea_orm::ConnectionTrait;
    let statement = bench.app.store.sql("SELECT result FROM probes WHERE unit_id = $1", [id.into()]);
    let row = bench.app.store.writer().query_one_raw(statement).await.unwrap().unwrap();
    ChildResult::decode(row.try_get::<Vec<u8>>("", "result").unwrap().as_slice()).unwrap()
}

async fn probe_answers_its_caller(bench: Bench) {
    bench.join("w1", &[]).await;
    let id = probe(&bench).await;
    let leased = bench.lease("w1").await.unwrap();
    assert_eq!(
        (leased.input_name.as_str(), leased.task_name.as_str()),
        ("https://example.com/a.mp4", "")
    );
    let token = token(&leased.unit);
    let input = uploads::input_url(&bench.app, &token, "").await.unwrap();
    assert!(input.untrusted);
    let list = CompleteUnitRequest {
        input: Some(v1::MediaInfo {
            container: "mp4".into(),
            ..v1::MediaInfo::default()
        }),
        ..CompleteUnitRequest::default()
    };
    assert_eq!(bench.complete(&token, list.clone()).await, CommitState::Published);
    assert_eq!(bench.complete(&token, list).await, CommitState::Published);
    assert_eq!(probe_result(&bench, &id).await.input.unwrap().container, "mp4");
}

async fn probe_that_fails_says_why(bench: Bench) {
    bench.join("w1", &[]).await;
    let id = probe(&bench).await;
    let (token, _) = bench.leased("w1").await;
    bench
        .fail(&token, FailureKind::Data, ErrorReason::InputNotMedia, false)
        .await
        .unwrap();
    let failure = probe_result(&bench, &id).await.failure.unwrap();
    assert_eq!(fail::errors::reason_of(&failure), "INPUT_NOT_MEDIA");
    assert!(bench.lease_of("w1", LeaseScope::Probes).await.is_none());
}

async fn members_of_a_playlist_are_presigned_for_its_unit_alone(bench: Bench) {
    bench.join("w1", &[]).await;
    let playlist = v1::StorageObject {
        storage: "projects/p1/storages/local".into(),
        key: "films/list.m3u8".into(),
    };
    probe_of(&bench, v1::task_input::Source::Object(playlist)).await;
    let leased = bench.lease("w1").await.unwrap();
    let token = token(&leased.unit);
    let bucket = bench.app.storages.open("p1", "local").await.unwrap();
    bucket.put("films/sub/s1.ts", "video/mp2t", b"media".to_vec()).await.unwrap();
    let ask = async |key: &str| input_members::urls(&bench.app, &token, &[key.to_owned()]).await;
    let (urls, _) = ask("films/sub/s1.ts").await.unwrap();
    assert_eq!(reqwest::get(&urls[0]).await.unwrap().bytes().await.unwrap().as_ref(), b"media");
    for key in ["other/s1.ts", "films/../other/s1.ts", "films"] {
        let refused = ask(key).await.unwrap_err();
        assert!(
            matches!(&refused, UnitError::Api(error) if error.reason == ErrorReason::InputForbidden),
            "{key}"
        );
    }
    bench.expire(&token).await;
    bench.reap().await;
    assert!(matches!(ask("films/sub/s1.ts").await, Err(UnitError::Fenced)));
}
