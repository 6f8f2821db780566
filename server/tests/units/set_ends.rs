//! How sets end: removed with their node, closed, replaced, deleted; and members that were never committed.

use mps_proto::{
    v1::{DeleteTaskRequest, ErrorReason, SetState, TaskState},
    worker::v1::{CommitState, FailureKind},
};
use mps_server::{
    service::{delete, sets},
    store::sets as store,
};

use crate::{
    bench::{Bench, PROJECT, TestTask},
    sets::{Film, begun},
};

crate::on_both!(
    failure_removes_the_set,
    cancel_removes_the_set,
    retry_keeps_the_set,
    partial_set_is_closed_where_that_is_asked_for,
    set_that_nobody_could_play_is_removed_all_the_same,
    members_that_were_never_committed_are_swept,
    deleting_a_task_deletes_members,
    deleting_a_task_without_outputs_keeps_objects,
    next_run_replaces_the_set,
    playlist_written_after_the_removal_is_removed_too,
    playlist_written_after_the_end_has_the_end,
);

async fn fail(bench: &Bench, token: &mps_server::store::leases::Token, kind: FailureKind) {
    bench.fail(token, kind, ErrorReason::InputDamaged, false).await.unwrap();
}

async fn set_state(bench: &Bench, film: &Film) -> Vec<SetState> {
    let row = bench.row(&film.task).await;
    let infos = row.task.node_statuses[0].outputs.iter().map(|output| output.set.unwrap());
    infos.map(|info| info.state()).collect()
}

async fn failure_removes_the_set(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..2).await;
    fail(&bench, &token, FailureKind::Data).await;
    assert_eq!(bench.state(&film.task).await, TaskState::Failed);
    sets::run_due(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await, Vec::<String>::new());
    assert_eq!(set_state(&bench, &film).await, [SetState::Removed; 2]);
    sets::run_due(&bench.app).await.unwrap();
}

async fn cancel_removes_the_set(bench: Bench) {
    let (film, token, _) = begun(&bench, true).await;
    film.upload(&bench, &token, 0, 0).await;
    bench.cancel(&film.task).await;
    fail(&bench, &token, FailureKind::Node).await;
    assert_eq!(bench.state(&film.task).await, TaskState::Cancelled);
    sets::run_due(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await, Vec::<String>::new());
}

async fn retry_keeps_the_set(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..1).await;
    fail(&bench, &token, FailureKind::Node).await;
    sets::run_due(&bench.app).await.unwrap();
    assert!(film.text(&bench, "film.m3u8").await.is_some());
    let (token, _) = bench.leased("w1").await;
    film.grow(&bench, &token, 1..2).await;
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
}

async fn partial_set_is_closed_where_that_is_asked_for(bench: Bench) {
    let (film, token, _) = begun(&bench, true).await;
    film.grow(&bench, &token, -1..2).await;
    fail(&bench, &token, FailureKind::Data).await;
    sets::run_due(&bench.app).await.unwrap();
    let media = film.text(&bench, "film_0.m3u8").await.unwrap();
    assert!(
        media.ends_with("#EXT-X-ENDLIST\n") && media.matches("#EXTINF").count() == 2,
        "{media}"
    );
    assert!(film.text(&bench, "film.mpd").await.unwrap().contains("type=\"static\""));
    assert_eq!(set_state(&bench, &film).await, [SetState::Closed; 2]);
    let published = "SELECT count(*) AS count FROM outputs WHERE state = 1 AND reserved = 0";
    assert_eq!(bench.count(published, vec![]).await, 2);
}

async fn set_that_nobody_could_play_is_removed_all_the_same(bench: Bench) {
    let (film, token, _) = begun(&bench, true).await;
    let member = film.upload(&bench, &token, 0, 0).await;
    sets::commit(&bench.app, &token, &film.set_id, &[], &[member]).await.unwrap();
    fail(&bench, &token, FailureKind::Data).await;
    sets::run_due(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await, Vec::<String>::new());
}

async fn members_that_were_never_committed_are_swept(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..1).await;
    film.upload(&bench, &token, 0, 1).await;
    let before = film.objects(&bench).await.len();
    bench.execute("UPDATE set_members SET create_ms = 1", vec![]).await;
    sets::sweep(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await.len(), before, "its attempt may still commit it");
    bench.expire(&token).await;
    bench.reap().await;
    sets::sweep(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await.len(), before - 1);
    let pending = "SELECT count(*) AS count FROM set_members WHERE state <> 1";
    assert_eq!(bench.count(pending, vec![]).await, 0);
}

async fn completed(bench: &Bench) -> Film {
    let (film, token, _) = begun(bench, false).await;
    film.grow(bench, &token, -1..2).await;
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
    film
}

async fn deleting_a_task_deletes_members(bench: Bench) {
    let film = completed(&bench).await;
    let request = DeleteTaskRequest {
        delete_outputs: true,
        ..DeleteTaskRequest::default()
    };
    let answer = delete::delete_task(&bench.app, PROJECT, &film.task.id, &request).await.unwrap();
    assert_eq!((answer.deleted_outputs.len(), answer.kept_outputs.len()), (2, 0));
    assert_eq!(film.objects(&bench).await, Vec::<String>::new());
    sets::sweep(&bench.app).await.unwrap();
    for table in ["sets", "set_tracks", "set_members", "outputs"] {
        let count = bench.count(&format!("SELECT count(*) AS count FROM {table}"), vec![]).await;
        assert_eq!(count, 0, "{table}");
    }
}

async fn deleting_a_task_without_outputs_keeps_objects(bench: Bench) {
    let film = completed(&bench).await;
    let before = film.objects(&bench).await.len();
    let request = DeleteTaskRequest::default();
    delete::delete_task(&bench.app, PROJECT, &film.task.id, &request).await.unwrap();
    sets::sweep(&bench.app).await.unwrap();
    sets::run_due(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await.len(), before);
    assert_eq!(bench.count("SELECT count(*) AS count FROM sets", vec![]).await, 0);
}

async fn next_run_replaces_the_set(bench: Bench) {
    let first = completed(&bench).await;
    let unit_id = bench.restart(&first.task).await;
    let id = first.task.id.clone();
    let second = Film::of(&bench, TestTask { id, unit_id }, false).await;
    let (token, _) = bench.leased("w1").await;
    second.tell_tracks(&bench, &token).await;
    let before = second.objects(&bench).await.len();
    second.grow(&bench, &token, -1..1).await;
    sets::run_due(&bench.app).await.unwrap();
    // six members of the first run are gone, four of the second are there
    assert_eq!(second.objects(&bench).await.len(), before - 6 + 4);
    assert!(second.text(&bench, "film.m3u8").await.is_some());
    second.grow(&bench, &token, 1..2).await;
    assert_eq!(bench.complete(&token, second.list(&token)).await, CommitState::Published);
    assert_eq!(bench.state(&second.task).await, TaskState::Succeeded);
}

async fn playlist_written_after_the_removal_is_removed_too(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..1).await;
    fail(&bench, &token, FailureKind::Data).await;
    sets::run_due(&bench.app).await.unwrap();
    // a server that was slow to write notices it afterwards
    store::remove_again(&bench.app.store, &film.set_id).await.unwrap();
    let bucket = bench.app.storages.open(PROJECT, "local").await.unwrap();
    let mark = format!("{0}/0/{0}", film.set_id);
    let metadata = std::collections::HashMap::from([("mps-upload".to_owned(), mark)]);
    let key = format!("out/{}/film.m3u8", film.task.id);
    bucket.put_changing(&key, "text/plain", metadata, b"late".to_vec()).await.unwrap();
    sets::run_due(&bench.app).await.unwrap();
    assert_eq!(film.objects(&bench).await, Vec::<String>::new());
}

async fn playlist_written_after_the_end_has_the_end(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..2).await;
    store::note_whole(&bench.app.store, &film.set_id).await.unwrap();
    // a late call of the worker that has the members written
    let (late, end) = tokio::join!(sets::when_due(&bench.app, &film.set_id), sets::finish(&bench.app, &film.set_id));
    late.unwrap();
    end.unwrap();
    assert!(film.text(&bench, "film_0.m3u8").await.unwrap().ends_with("#EXT-X-ENDLIST\n"));
}
