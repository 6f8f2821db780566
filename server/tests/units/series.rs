//! Series: rows for files whose number follows from the input. Side inputs: what units read beside it.

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{CommitState, PlanSeries},
};
use mps_server::{
    service::{fence::UnitError, series, uploads},
    store::leases::Token,
};
use prost::Message;

use crate::bench::{Bench, TaskSpec, TestTask};

crate::on_both!(
    declared_files_are_made_and_published,
    later_attempt_with_fewer_files_drops_the_rest,
    key_of_another_open_task_is_refused,
    ten_thousand_files_are_declared,
    side_inputs_are_handed_out_like_the_input,
);

/// A leased task whose node makes a series.
async fn begun(bench: &Bench) -> (TestTask, Token) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let mut plan = bench.unit(&task.unit_id).await.plan;
    plan.nodes[0].series = Some(PlanSeries {
        key: format!("out/{}/p{{number}}.jpg", task.id),
        content_type: "image/jpeg".into(),
        max_files: 10_000,
        ..PlanSeries::default()
    });
    let text = "UPDATE units SET plan = $2 WHERE id = $1";
    bench
        .execute(text, vec![task.unit_id.as_str().into(), plan.encode_to_vec().into()])
        .await;
    let text = "UPDATE outputs SET object_key = $2 WHERE unit_id = $1";
    let key = format!("out/{}/p0.jpg", task.id);
    bench.execute(text, vec![task.unit_id.as_str().into(), key.into()]).await;
    let (token, _) = bench.leased("w1").await;
    (task, token)
}

async fn declare(bench: &Bench, token: &Token, count: i32) -> Result<Vec<String>, UnitError> {
    let outputs = series::declare(&bench.app, token, "n0", count).await?;
    Ok(outputs.into_iter().map(|output| output.output_id).collect())
}

async fn declared_files_are_made_and_published(bench: Bench) {
    let (task, token) = begun(&bench).await;
    let ids = declare(&bench, &token, 3).await.unwrap();
    assert_eq!(declare(&bench, &token, 3).await.unwrap(), ids, "the same count gives the same rows");
    let unit = bench.unit(&token.unit_id).await;
    assert_eq!(unit.plan.nodes[0].outputs[0].output_id, ids[0]);
    let mut list = bench.upload(&token, &unit, &[]).await;
    assert!(
        mps_server::service::commit::complete(&bench.app, &token, list.clone())
            .await
            .is_err(),
        "two are missing"
    );
    for id in &ids[1..] {
        list.nodes[0].outputs.push(bench.upload_file(&token, id).await);
    }
    assert_eq!(bench.complete(&token, list).await, CommitState::Published);
    let row = bench.row(&task).await;
    let outputs = &row.task.node_statuses[0].outputs;
    let keys: Vec<&str> = outputs.iter().map(|output| output.key.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys, ["p0.jpg", "p1.jpg", "p2.jpg"]);
}

async fn later_attempt_with_fewer_files_drops_the_rest(bench: Bench) {
    let (_, token) = begun(&bench).await;
    let first = declare(&bench, &token, 5).await.unwrap();
    bench.expire(&token).await;
    bench.reap().await;
    assert!(matches!(declare(&bench, &token, 5).await, Err(UnitError::Fenced)));
    let (next, _) = bench.leased("w1").await;
    assert_eq!(declare(&bench, &next, 2).await.unwrap(), first[..2]);
    let reserved = "SELECT count(*) AS count FROM outputs WHERE reserved = 1";
    assert_eq!(bench.count(reserved, vec![]).await, 2);
    assert_eq!(declare(&bench, &next, 4).await.unwrap()[..2], first[..2]);
    assert!(declare(&bench, &next, 10_001).await.is_err());
}

async fn key_of_another_open_task_is_refused(bench: Bench) {
    let (task, token) = begun(&bench).await;
    let other = bench.task(TaskSpec::default()).await;
    let text = "UPDATE outputs SET object_key = $2 WHERE unit_id = $1";
    let key = format!("out/{}/p2.jpg", task.id);
    bench.execute(text, vec![other.unit_id.as_str().into(), key.into()]).await;
    let Err(UnitError::Api(error)) = declare(&bench, &token, 3).await else {
        panic!("another task holds the key")
    };
    assert_eq!(error.reason, ErrorReason::OutputKeyReserved);
    assert!(declare(&bench, &token, 2).await.is_ok());
}

async fn ten_thousand_files_are_declared(bench: Bench) {
    let (_, token) = begun(&bench).await;
    let ids = declare(&bench, &token, 10_000).await.unwrap();
    assert_eq!(ids.len(), 10_000);
    assert_eq!(declare(&bench, &token, 10_000).await.unwrap(), ids);
}

async fn side_inputs_are_handed_out_like_the_input(bench: Bench) {
    use mps_proto::{v1, worker::v1::SideInput};
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let mut plan = bench.unit(&task.unit_id).await.plan;
    let side = |id: &str, source| SideInput {
        id: id.into(),
        source: Some(v1::TaskInput { source: Some(source) }),
        max_bytes: 100,
    };
    let object = v1::StorageObject {
        storage: "projects/p1/storages/local".into(),
        key: "logo.png".into(),
    };
    plan.side_inputs = vec![
        side("s0", v1::task_input::Source::Object(object)),
        side("s1", v1::task_input::Source::Url("http://10.0.0.1/words.vtt".into())),
    ];
    let text = "UPDATE units SET plan = $2 WHERE id = $1";
    bench
        .execute(text, vec![task.unit_id.as_str().into(), plan.encode_to_vec().into()])
        .await;
    let (token, _) = bench.leased("w1").await;
    let bucket = bench.app.storages.open("p1", "local").await.unwrap();
    bucket.put("logo.png", "image/png", b"logo".to_vec()).await.unwrap();
    let input = uploads::input_url(&bench.app, &token, "s0").await.unwrap();
    assert!(!input.untrusted);
    assert_eq!(reqwest::get(&input.url).await.unwrap().bytes().await.unwrap().as_ref(), b"logo");
    let input = uploads::input_url(&bench.app, &token, "s1").await.unwrap();
    assert!(input.untrusted && input.url == "http://10.0.0.1/words.vtt");
    assert!(uploads::input_url(&bench.app, &token, "s2").await.is_err());
    bench.expire(&token).await;
    bench.reap().await;
    assert!(matches!(uploads::input_url(&bench.app, &token, "s0").await, Err(UnitError::Fenced)));
}
