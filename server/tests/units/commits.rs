//! Committing: once, whole, rolled forward whatever dies.

use mps_proto::{
    v1::{NodeState, OnConflict, TaskState},
    worker::v1::{CommitState, FailureKind, LeaseState},
};
use mps_server::{
    service::{commit, reconcile, states::UnitState},
    store::{commits, leases::Token, uploads},
};
use mps_tests::wait::until;
use prost::Message;

use crate::{
    bench::{Bench, TaskSpec},
    leases::until_no_upload_is_open,
};

crate::on_both!(
    two_units_finish_at_once_and_the_task_ends,
    completing_twice_publishes_once,
    two_completes_at_once_publish_once,
    commit_whose_server_died_is_taken_over,
    commit_whose_uploads_were_completed_already_is_taken_over,
    server_that_lost_the_commit_publishes_nothing,
    cancel_does_not_stop_a_commit,
    cancelled_task_does_not_commit,
    lost_parts_queue_the_unit_again,
    incomplete_list_is_refused,
    refuse_keeps_what_stands_there,
    refuse_replaces_what_an_earlier_run_made,
    older_output_is_replaced,
    failed_node_leaves_the_others_published,
    failed_node_of_the_machine_becomes_a_unit_of_its_own,
);

const TEN_SECONDS: std::time::Duration = std::time::Duration::from_secs(10);

async fn until_ended(bench: &Bench, task: &crate::bench::TestTask) {
    until("the task has ended", TEN_SECONDS, || async {
        bench.row(task).await.ended().then_some(())
    })
    .await;
}

async fn two_units_finish_at_once_and_the_task_ends(bench: Bench) {
    bench.join("w1", &[]).await;
    for _ in 0..5 {
        let task = bench
            .task(TaskSpec {
                nodes: 2,
                ..TaskSpec::default()
            })
            .await;
        let (token, _) = bench.leased("w1").await;
        bench
            .fail(&token, FailureKind::Node, mps_proto::v1::ErrorReason::ChildCrashed, true)
            .await
            .unwrap();
        let (first, one) = bench.leased("w1").await;
        let (second, two) = bench.leased("w1").await;
        let lists = (bench.upload(&first, &one, &[]).await, bench.upload(&second, &two, &[]).await);
        let ends = tokio::join!(bench.complete(&first, lists.0), bench.complete(&second, lists.1));
        assert_eq!(ends, (CommitState::Published, CommitState::Published));
        let row = bench.row(&task).await;
        assert_eq!((row.state, row.open_units), (TaskState::Succeeded, 0));
    }
}

async fn completing_twice_publishes_once(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[]).await;
    assert_eq!(bench.complete(&token, list.clone()).await, CommitState::Published);
    let row = bench.row(&task).await;
    assert_eq!(bench.complete(&token, list).await, CommitState::Published);
    assert_eq!(bench.row(&task).await.revision, row.revision, "the repeat changes nothing");
    assert_eq!(row.state, TaskState::Succeeded);
    for (status, key) in row.task.node_statuses.iter().zip(["n0", "n1"]) {
        assert_eq!(status.state(), NodeState::Succeeded);
        let [output] = status.outputs.as_slice() else {
            panic!("{status:?}")
        };
        let made = bench.object(&task, key).await.unwrap();
        assert_eq!(
            (output.size_bytes, output.storage.as_str()),
            (made.len() as i64, "projects/p1/storages/local")
        );
    }
    assert!(
        bench
            .outputs(&unit.id)
            .await
            .iter()
            .all(|output| output.state == 1 && output.publish_ms.is_some())
    );
    assert_eq!(
        bench.renew("w1", &token).await,
        LeaseState::Held,
        "the worker hears of it from its complete"
    );
}

async fn two_completes_at_once_publish_once(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[]).await;
    let answers = tokio::join!(bench.complete(&token, list.clone()), bench.complete(&token, list));
    for answer in [answers.0, answers.1] {
        assert!(matches!(answer, CommitState::Published | CommitState::Committing), "{answer:?}");
    }
    until_ended(&bench, &task).await;
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
}

/// Leaves a commit as a server does that dies right after it stored the list.
async fn stored_and_dead(bench: &Bench) -> (crate::bench::TestTask, Token) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[]).await;
    let txn = bench.app.store.begin().await.unwrap();
    let stored = commits::start(&bench.app.store, &txn, &token, list.encode_to_vec(), "dead", -1)
        .await
        .unwrap();
    assert!(stored);
    txn.commit().await.unwrap();
    (task, token)
}

async fn commit_whose_server_died_is_taken_over(bench: Bench) {
    let (task, token) = stored_and_dead(&bench).await;
    let list = Default::default();
    assert_eq!(bench.complete(&token, list).await, CommitState::Committing);
    bench.expire(&token).await;
    bench.reap().await;
    reconcile::take_over(&bench.replica()).await.unwrap();
    until_ended(&bench, &task).await;
    let row = bench.row(&task).await;
    assert_eq!((row.state, row.task.node_statuses[0].attempts), (TaskState::Succeeded, 1));
    assert_eq!(bench.complete(&token, Default::default()).await, CommitState::Published);
    until_no_upload_is_open(&bench).await;
}

async fn commit_whose_uploads_were_completed_already_is_taken_over(bench: Bench) {
    let (task, token) = stored_and_dead(&bench).await;
    let unit = bench.unit(&token.unit_id).await;
    let request = mps_proto::worker::v1::CompleteUnitRequest::decode(unit.commit_list.unwrap().as_slice()).unwrap();
    // the server died between the provider's answer and its own note of it
    for output in request.nodes.iter().flat_map(|node| &node.outputs) {
        let upload = uploads::get(&bench.app.store, &output.upload_id).await.unwrap().unwrap();
        bench
            .execute("UPDATE uploads SET state = 2 WHERE id = $1", vec![upload.id.as_str().into()])
            .await;
        let bucket = bench.app.storages.open(&upload.project, &upload.storage_id).await.unwrap();
        let parts = [(1, output.part_etags[0].clone())];
        bucket
            .complete_multipart(&upload.object_key, upload.provider_id.as_deref().unwrap(), &parts)
            .await
            .unwrap();
    }
    reconcile::take_over(&bench.replica()).await.unwrap();
    until_ended(&bench, &task).await;
    let row = bench.row(&task).await;
    assert_eq!((row.state, row.task.node_statuses[0].attempts), (TaskState::Succeeded, 1));
}

async fn server_that_lost_the_commit_publishes_nothing(bench: Bench) {
    let (task, token) = stored_and_dead(&bench).await;
    let end = commit::roll_forward(bench.app.clone(), token.clone()).await;
    assert_eq!(end, commit::CommitEnd::Lost);
    assert_eq!(bench.state(&task).await, TaskState::Processing);
    assert_eq!(bench.unit(&token.unit_id).await.state, UnitState::Committing);
}

async fn cancel_does_not_stop_a_commit(bench: Bench) {
    let (task, token) = stored_and_dead(&bench).await;
    bench.cancel(&task).await;
    assert_eq!(bench.renew("w1", &token).await, LeaseState::Held);
    reconcile::take_over(&bench.replica()).await.unwrap();
    until_ended(&bench, &task).await;
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
    assert!(bench.object(&task, "n1").await.is_some());
}

async fn cancelled_task_does_not_commit(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[]).await;
    bench.cancel(&task).await;
    assert_eq!(bench.complete(&token, list).await, CommitState::Fenced);
    assert_eq!(bench.state(&task).await, TaskState::Cancelled);
    assert_eq!(bench.object(&task, "n0").await, None);
    until_no_upload_is_open(&bench).await;
}

async fn lost_parts_queue_the_unit_again(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[]).await;
    let lost = uploads::get(&bench.app.store, &list.nodes[1].outputs[0].upload_id)
        .await
        .unwrap()
        .unwrap();
    let bucket = bench.app.storages.open(&lost.project, &lost.storage_id).await.unwrap();
    bucket
        .abort_multipart(&lost.object_key, lost.provider_id.as_deref().unwrap())
        .await
        .unwrap();
    assert_eq!(bench.complete(&token, list).await, CommitState::Requeued);
    assert_eq!(bench.state(&task).await, TaskState::Processing);
    until_no_upload_is_open(&bench).await;

    bench.execute("UPDATE units SET not_before_ms = 0", vec![]).await;
    let (again, unit) = bench.leased("w1").await;
    assert_eq!(again.attempt, 2);
    assert_eq!(bench.finish(&again, &unit).await, CommitState::Published);
    assert_eq!(bench.object(&task, "n0").await.unwrap(), format!("made by {}/2", unit.id));
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
}

async fn incomplete_list_is_refused(bench: Bench) {
    bench.join("w1", &[]).await;
    bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let whole = bench.upload(&token, &unit, &[]).await;
    let mut without_node = whole.clone();
    without_node.nodes.pop();
    let mut without_output = whole.clone();
    without_output.nodes[0].outputs.clear();
    let mut other_size = whole.clone();
    other_size.nodes[0].outputs[0].size_bytes += 1;
    let mut other_upload = whole.clone();
    other_upload.nodes[0].outputs[0].upload_id = whole.nodes[1].outputs[0].upload_id.clone();
    for wrong in [without_node, without_output, other_size, other_upload] {
        assert!(commit::complete(&bench.app, &token, wrong).await.is_err());
    }
    assert_eq!(bench.unit(&unit.id).await.state, UnitState::Leased);
    assert_eq!(bench.complete(&token, whole).await, CommitState::Published);
}

async fn refuse_keeps_what_stands_there(bench: Bench) {
    bench.join("w1", &[]).await;
    let spec = TaskSpec {
        nodes: 2,
        on_conflict: OnConflict::Refuse,
        ..TaskSpec::default()
    };
    let task = bench.task(spec).await;
    bench.put_object(&task, "n0", "mine").await;
    let (token, unit) = bench.leased("w1").await;
    assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
    let row = bench.row(&task).await;
    assert_eq!(row.state, TaskState::PartiallySucceeded);
    let error = row.task.node_statuses[0].error.as_ref().unwrap();
    assert_eq!(mps_server::service::fail::errors::info_of(error).unwrap().reason, "OUTPUT_EXISTS");
    assert_eq!(bench.object(&task, "n0").await.unwrap(), "mine");
    assert!(bench.object(&task, "n1").await.unwrap().starts_with("made by"));
    until_no_upload_is_open(&bench).await;
}

async fn refuse_replaces_what_an_earlier_run_made(bench: Bench) {
    bench.join("w1", &[]).await;
    let spec = TaskSpec {
        on_conflict: OnConflict::Refuse,
        ..TaskSpec::default()
    };
    let task = bench.task(spec).await;
    let (token, unit) = bench.leased("w1").await;
    assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
    let second_unit = bench.restart(&task).await;
    let (token, unit) = bench.leased("w1").await;
    assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
    assert_eq!(bench.object(&task, "n0").await.unwrap(), format!("made by {second_unit}/1"));
}

async fn older_output_is_replaced(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench.task(TaskSpec::default()).await;
    let (token, unit) = bench.leased("w1").await;
    assert_eq!(bench.finish(&token, &unit).await, CommitState::Published);
    bench.restart(&task).await;
    assert_eq!(bench.outputs(&unit.id).await[0].state, 1, "kept until the new one is there");
    let (token, second) = bench.leased("w1").await;
    assert_eq!(bench.finish(&token, &second).await, CommitState::Published);
    assert_eq!(bench.outputs(&unit.id).await[0].state, 2);
    assert_eq!(bench.outputs(&second.id).await[0].state, 1);
}

async fn failed_node_leaves_the_others_published(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[("n1", FailureKind::Data)]).await;
    assert_eq!(bench.complete(&token, list).await, CommitState::Published);
    let row = bench.row(&task).await;
    assert_eq!(row.state, TaskState::PartiallySucceeded);
    assert!(row.task.error.is_some());
    assert_eq!(row.task.node_statuses[1].state(), NodeState::Failed);
    assert!(bench.object(&task, "n0").await.is_some());
}

async fn failed_node_of_the_machine_becomes_a_unit_of_its_own(bench: Bench) {
    bench.join("w1", &[]).await;
    let task = bench
        .task(TaskSpec {
            nodes: 2,
            ..TaskSpec::default()
        })
        .await;
    let (token, unit) = bench.leased("w1").await;
    let list = bench.upload(&token, &unit, &[("n1", FailureKind::Node)]).await;
    assert_eq!(bench.complete(&token, list).await, CommitState::Published);
    let row = bench.row(&task).await;
    assert_eq!((row.state, row.open_units), (TaskState::Processing, 1));
    assert_eq!(row.task.node_statuses[0].state(), NodeState::Succeeded);
    assert_eq!(row.task.node_statuses[1].state(), NodeState::Waiting);

    let (again, apart) = bench.leased("w1").await;
    assert_ne!(again.unit_id, token.unit_id);
    assert_eq!((again.attempt, apart.charged, apart.plan.nodes.len()), (2, 1, 1));
    assert_eq!(bench.finish(&again, &apart).await, CommitState::Published);
    assert_eq!(bench.state(&task).await, TaskState::Succeeded);
    bench.check_counter(&task).await;
}
