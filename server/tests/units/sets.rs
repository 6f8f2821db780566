//! Sets while they grow: fenced, without gaps, playable early, continued by the next attempt, complete at the end.

use mps_proto::{
    v1::{NodeState, SetState, TaskState},
    worker::v1::{
        CommitState, CompleteUnitRequest, CompletedNode, MemberName, NodeResult, PlanOutput, PlanSet, SetMember, SetTrack, UnitAttempt,
    },
};
use mps_server::{
    service::{fence::UnitError, sets},
    store::{
        leases::{Token, UnitRow},
        outputs::{self, NewOutput},
    },
};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::bench::{Bench, PROJECT, TaskSpec, TestTask};

crate::on_both!(
    set_is_playable_while_it_grows_and_complete_at_the_end,
    members_are_committed_once_in_order_and_without_gaps,
    stale_attempt_can_neither_upload_nor_commit,
    next_attempt_goes_on_after_the_last_member,
    unit_without_its_whole_set_is_not_taken_in,
    playlist_key_of_another_task_is_refused,
    tracks_that_differ_from_an_earlier_attempt_are_refused,
    changes_in_the_middle_are_told_in_hls_and_refused_in_dash,
);

/// A film with one picture track and one of sound, as HLS and DASH.
pub struct Film {
    pub task: TestTask,
    pub set_id: String,
}

impl Film {
    pub async fn new(bench: &Bench, keep_partial: bool) -> Self {
        let task = bench.task(TaskSpec::default()).await;
        Self::of(bench, task, keep_partial).await
    }

    /// Makes the only node of a queued task one with a set.
    pub async fn of(bench: &Bench, task: TestTask, keep_partial: bool) -> Self {
        let mut plan = bench.unit(&task.unit_id).await.plan;
        let row = bench.outputs(&task.unit_id).await.remove(0);
        let node = &mut plan.nodes[0];
        let mpd = mps_proto::name::new_id();
        let manifest = |id: &str, number, format: &str| PlanOutput {
            output_id: id.into(),
            number,
            format: format.into(),
            ..PlanOutput::default()
        };
        node.outputs = vec![manifest(&row.id, 0, "m3u8"), manifest(&mpd, 1, "mpd")];
        node.set = Some(PlanSet {
            set_id: row.id.clone(),
            manifests: node.outputs.clone(),
            directory: format!("out/{}/", task.id),
            sub_stream_path: "film_{subStreamNumber}.m3u8".into(),
            segment_path: "seg/film_{subStreamNumber}_{segmentNumber}.m4s".into(),
            keep_partial,
            ..PlanSet::default()
        });
        let text = "UPDATE units SET plan = $2 WHERE id = $1";
        bench
            .execute(text, vec![task.unit_id.as_str().into(), plan.encode_to_vec().into()])
            .await;
        let text = "UPDATE outputs SET object_key = $2 WHERE id = $1";
        bench
            .execute(text, vec![row.id.as_str().into(), format!("out/{}/film.m3u8", task.id).into()])
            .await;
        let second = NewOutput {
            id: mpd,
            task_id: row.task_id,
            run: row.run,
            node_key: row.node_key,
            number: 1,
            project: row.project,
            storage_id: row.storage_id,
            bucket_ref: row.bucket_ref,
            object_key: format!("out/{}/film.mpd", task.id),
            content_type: "application/dash+xml".into(),
            unit_id: row.unit_id,
        };
        let txn = bench.app.store.begin().await.unwrap();
        if let Err(error) = outputs::reserve(&bench.app.store, &txn, &[second]).await {
            panic!("{error:?}");
        }
        txn.commit().await.unwrap();
        Self { set_id: row.id, task }
    }

    pub fn tracks() -> Vec<SetTrack> {
        let track = |number, kind: &str, codecs: &str| SetTrack {
            number,
            kind: kind.into(),
            codecs: codecs.into(),
            timescale: 1000,
            ..SetTrack::default()
        };
        vec![track(0, "video", "avc1.640028"), track(1, "audio", "mp4a.40.2")]
    }

    /// Leaves out the DASH manifest.
    async fn without_dash(&self, bench: &Bench) {
        let mut plan = bench.unit(&self.task.unit_id).await.plan;
        let node = &mut plan.nodes[0];
        node.outputs.truncate(1);
        node.set.as_mut().unwrap().manifests.truncate(1);
        let values = vec![self.task.unit_id.as_str().into(), plan.encode_to_vec().into()];
        bench.execute("UPDATE units SET plan = $2 WHERE id = $1", values).await;
        let values = vec![self.task.unit_id.as_str().into()];
        bench.execute("DELETE FROM outputs WHERE unit_id = $1 AND number = 1", values).await;
    }

    pub async fn tell_tracks(&self, bench: &Bench, token: &Token) {
        sets::commit(&bench.app, token, &self.set_id, &Self::tracks(), &[]).await.unwrap();
    }

    /// Uploads a member and gives what commits it.
    pub async fn upload(&self, bench: &Bench, token: &Token, track: i32, index: i32) -> SetMember {
        let body = body(track, index);
        let name = MemberName {
            track,
            index,
            size_bytes: body.len() as i64,
        };
        let (urls, _) = sets::urls(&bench.app, token, &self.set_id, &[name]).await.unwrap();
        let put = |body: String| {
            reqwest::Client::new()
                .put(&urls[0])
                .header("content-type", "video/mp4")
                .body(body)
                .send()
        };
        let other_size = put(format!("{body} and more")).await.unwrap();
        assert!(!other_size.status().is_success(), "the size is signed");
        assert!(put(body.clone()).await.unwrap().status().is_success());
        member(track, index)
    }

    /// Uploads and commits a member of each track.
    pub async fn grow(&self, bench: &Bench, token: &Token, indexes: std::ops::Range<i32>) {
        for index in indexes {
            let members = [self.upload(bench, token, 0, index).await, self.upload(bench, token, 1, index).await];
            sets::commit(&bench.app, token, &self.set_id, &[], &members).await.unwrap();
        }
    }

    pub fn list(&self, token: &Token) -> CompleteUnitRequest {
        let node = CompletedNode {
            key: "n0".into(),
            detail: Some(NodeResult {
                complete_sets: vec![self.set_id.clone()],
                ..NodeResult::default()
            }),
            ..CompletedNode::default()
        };
        CompleteUnitRequest {
            unit: Some(UnitAttempt {
                unit_id: token.unit_id.clone(),
                attempt: token.attempt,
            }),
            nodes: vec![node],
            ..CompleteUnitRequest::default()
        }
    }

    /// The object of that name in the film's folder.
    pub async fn text(&self, bench: &Bench, name: &str) -> Option<String> {
        let bucket = bench.app.storages.open(PROJECT, "local").await.unwrap();
        let key = format!("out/{}/{name}", self.task.id);
        bucket.head(&key).await.unwrap()?;
        Some(String::from_utf8(bucket.get(&key, None).await.unwrap()).unwrap())
    }

    /// Objects in the film's folder.
    pub async fn objects(&self, bench: &Bench) -> Vec<String> {
        let bucket = bench.app.storages.open(PROJECT, "local").await.unwrap();
        let listing = bucket.list(&format!("out/{}/", self.task.id), true, 1000, None).await.unwrap();
        listing
            .objects
            .into_iter()
            .filter(|object| !object.folder)
            .map(|object| object.key)
            .collect()
    }
}

fn body(track: i32, index: i32) -> String {
    format!("member {track} {index}")
}

pub fn member(track: i32, index: i32) -> SetMember {
    let body = body(track, index);
    let seconds = |seconds| prost_types::Duration { seconds, nanos: 0 };
    SetMember {
        track,
        index,
        size_bytes: body.len() as i64,
        sha256: hex::encode(Sha256::digest(body.as_bytes())),
        start: Some(seconds(i64::from(index.max(0)) * 4)),
        duration: Some(seconds(if index < 0 { 0 } else { 4 })),
        ..SetMember::default()
    }
}

/// A leased film whose tracks are known.
pub async fn begun(bench: &Bench, keep_partial: bool) -> (Film, Token, UnitRow) {
    bench.join("w1", &[]).await;
    let film = Film::new(bench, keep_partial).await;
    let (token, unit) = bench.leased("w1").await;
    film.tell_tracks(bench, &token).await;
    (film, token, unit)
}

async fn set_is_playable_while_it_grows_and_complete_at_the_end(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..0).await;
    assert!(film.text(&bench, "film.m3u8").await.is_none(), "nothing to play yet");
    let first = film.upload(&bench, &token, 0, 0).await;
    sets::commit(&bench.app, &token, &film.set_id, &[], &[first]).await.unwrap();
    assert!(
        bench.row(&film.task).await.task.node_statuses[0].playable_time.is_none(),
        "there is no sound yet"
    );
    let before = bench.row(&film.task).await.revision;
    let first = film.upload(&bench, &token, 1, 0).await;
    sets::commit(&bench.app, &token, &film.set_id, &[], &[first]).await.unwrap();

    let row = bench.row(&film.task).await;
    assert!(row.revision > before, "watchers hear of it");
    let status = &row.task.node_statuses[0];
    assert!(status.playable_time.is_some() && status.state() == NodeState::Processing);
    let states: Vec<SetState> = status.outputs.iter().map(|output| output.set.unwrap().state()).collect();
    assert_eq!(states, [SetState::Publishing; 2]);
    let media = film.text(&bench, "film_0.m3u8").await.unwrap();
    assert!(media.contains("TYPE:EVENT") && !media.contains("ENDLIST"), "{media}");
    let master = film.text(&bench, "film.m3u8").await.unwrap();
    assert!(
        master.contains("film_0.m3u8") && master.contains("CODECS=\"avc1.640028,mp4a.40.2\""),
        "{master}"
    );
    assert!(film.text(&bench, "film.mpd").await.unwrap().contains("type=\"dynamic\""));

    film.grow(&bench, &token, 1..3).await;
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
    let row = bench.row(&film.task).await;
    assert_eq!(row.state, TaskState::Succeeded);
    let status = &row.task.node_statuses[0];
    let info = status.outputs[0].set.unwrap();
    assert_eq!(
        (info.state(), info.member_count, info.duration.unwrap().seconds),
        (SetState::Complete, 8, 12)
    );
    let keys: Vec<&str> = status.outputs.iter().map(|output| output.key.rsplit('/').next().unwrap()).collect();
    assert_eq!(keys, ["film.m3u8", "film.mpd"]);
    let media = film.text(&bench, "film_1.m3u8").await.unwrap();
    assert!(media.contains("TYPE:VOD") && media.ends_with("#EXT-X-ENDLIST\n") && media.matches("#EXTINF").count() == 3);
    assert!(film.text(&bench, "film.m3u8").await.unwrap().contains("AVERAGE-BANDWIDTH"));
    assert!(
        film.text(&bench, "film.mpd")
            .await
            .unwrap()
            .contains("mediaPresentationDuration=\"PT12.000S\"")
    );
    let reserved = "SELECT count(*) AS count FROM outputs WHERE reserved = 1";
    assert_eq!(bench.count(reserved, vec![]).await, 0);
}

async fn members_are_committed_once_in_order_and_without_gaps(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    let commit = async |members: &[SetMember]| sets::commit(&bench.app, &token, &film.set_id, &[], members).await;
    assert!(commit(&[member(0, 0)]).await.is_err(), "no URL was given for it");
    let (first, second) = (film.upload(&bench, &token, 0, 0).await, film.upload(&bench, &token, 0, 1).await);
    assert!(commit(std::slice::from_ref(&second)).await.is_err(), "a gap");
    let unknown = SetMember { track: 7, ..first.clone() };
    assert!(commit(&[unknown]).await.is_err());
    commit(&[second.clone(), first.clone()]).await.unwrap();
    commit(&[first.clone(), second]).await.unwrap();
    let other = SetMember {
        sha256: "0".repeat(64),
        ..first
    };
    assert!(commit(&[other]).await.is_err(), "something else under a committed index");
    let committed = "SELECT count(*) AS count FROM set_members WHERE state = 1";
    assert_eq!(bench.count(committed, vec![]).await, 2);
}

async fn stale_attempt_can_neither_upload_nor_commit(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..1).await;
    let late = film.upload(&bench, &token, 0, 1).await;
    bench.expire(&token).await;
    bench.reap().await;
    let (next, _) = bench.leased("w1").await;
    for stale in [
        &token,
        &Token {
            attempt: 7,
            ..next.clone()
        },
    ] {
        let name = MemberName {
            track: 0,
            index: 1,
            size_bytes: 5,
        };
        let urls = sets::urls(&bench.app, stale, &film.set_id, &[name]).await;
        assert!(matches!(urls, Err(UnitError::Fenced)));
        let committed = sets::commit(&bench.app, stale, &film.set_id, &[], std::slice::from_ref(&late)).await;
        assert!(matches!(committed, Err(UnitError::Fenced)));
    }
    assert!(
        sets::commit(&bench.app, &next, &film.set_id, &[], &[late]).await.is_err(),
        "what the earlier attempt uploaded is its own"
    );
}

async fn next_attempt_goes_on_after_the_last_member(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..2).await;
    let ahead = film.upload(&bench, &token, 0, 2).await;
    sets::commit(&bench.app, &token, &film.set_id, &[], &[ahead]).await.unwrap();
    bench.expire(&token).await;
    bench.reap().await;

    let leased = bench.lease("w1").await.unwrap();
    let token = crate::bench::token(&leased.unit);
    let progress = &leased.sets[0];
    let segments: Vec<i32> = progress.tracks.iter().map(|track| track.segments).collect();
    assert_eq!(segments, [3, 2]);
    assert_eq!(progress.tracks[1].next_start.unwrap().seconds, 8);
    assert_eq!(progress.tracks[1].init_sha256, member(1, -1).sha256);

    film.tell_tracks(&bench, &token).await;
    let again = film.upload(&bench, &token, 0, -1).await;
    let second = film.upload(&bench, &token, 1, 2).await;
    sets::commit(&bench.app, &token, &film.set_id, &[], &[again, second]).await.unwrap();
    film.grow(&bench, &token, 3..4).await;
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
    let media = film.text(&bench, "film_1.m3u8").await.unwrap();
    let names: Vec<&str> = media.lines().filter(|line| line.ends_with(".m4s")).collect();
    let attempts: Vec<char> = names.iter().map(|name| name.chars().rev().nth(4).unwrap()).collect();
    assert_eq!(attempts, ['1', '1', '2', '2'], "{media}");
    for name in names {
        assert!(film.text(&bench, name).await.is_some(), "{name}");
    }
    assert!(film.text(&bench, "film.mpd").await.unwrap().contains("<SegmentList"));
}

async fn unit_without_its_whole_set_is_not_taken_in(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    assert!(
        mps_server::service::commit::complete(&bench.app, &token, film.list(&token))
            .await
            .is_err()
    );
    film.grow(&bench, &token, -1..1).await;
    let mut without = film.list(&token);
    without.nodes[0].detail = None;
    assert!(mps_server::service::commit::complete(&bench.app, &token, without).await.is_err());
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
}

async fn playlist_key_of_another_task_is_refused(bench: Bench) {
    bench.join("w1", &[]).await;
    let film = Film::new(&bench, false).await;
    let other = bench.task(TaskSpec::default()).await;
    let text = "UPDATE outputs SET object_key = $2 WHERE unit_id = $1";
    let key = format!("out/{}/film_1.m3u8", film.task.id);
    bench.execute(text, vec![other.unit_id.as_str().into(), key.into()]).await;
    let (token, _) = bench.leased("w1").await;
    let refused = sets::commit(&bench.app, &token, &film.set_id, &Film::tracks(), &[]).await;
    let Err(UnitError::Api(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.reason, mps_proto::v1::ErrorReason::OutputKeyReserved);
}

async fn tracks_that_differ_from_an_earlier_attempt_are_refused(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    let mut others = Film::tracks();
    others[0].codecs = "avc1.4d0028".into();
    sets::commit(&bench.app, &token, &film.set_id, &others, &[]).await.unwrap();
    film.grow(&bench, &token, -1..0).await;
    assert!(
        sets::commit(&bench.app, &token, &film.set_id, &Film::tracks(), &[]).await.is_err(),
        "members of the others are committed"
    );
}

async fn changes_in_the_middle_are_told_in_hls_and_refused_in_dash(bench: Bench) {
    let (film, token, _) = begun(&bench, false).await;
    film.grow(&bench, &token, -1..1).await;
    let changed = SetMember {
        discontinuity: true,
        ..film.upload(&bench, &token, 0, 1).await
    };
    let refused = sets::commit(&bench.app, &token, &film.set_id, &[], &[changed]).await;
    let Err(UnitError::Api(error)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        error.message.contains("a DASH manifest of one period cannot tell"),
        "{}",
        error.message
    );

    let film = Film::new(&bench, false).await;
    film.without_dash(&bench).await;
    let (token, _) = bench.leased("w1").await;
    // Cut at the input's key frames: nothing is published before the longest segment is known.
    let tracks: Vec<SetTrack> = Film::tracks()
        .into_iter()
        .map(|track| SetTrack { own_keys: true, ..track })
        .collect();
    sets::commit(&bench.app, &token, &film.set_id, &tracks, &[]).await.unwrap();
    film.grow(&bench, &token, -1..1).await;
    let mut members = Vec::new();
    for track in 0..2 {
        members.push(film.upload(&bench, &token, track, -2).await);
        members.push(SetMember {
            discontinuity: true,
            init: 1,
            needs_previous: track == 0,
            captions_608: track == 0,
            ..film.upload(&bench, &token, track, 1).await
        });
    }
    sets::commit(&bench.app, &token, &film.set_id, &[], &members).await.unwrap();
    assert!(film.text(&bench, "film_0.m3u8").await.is_none());
    assert_eq!(bench.complete(&token, film.list(&token)).await, CommitState::Published);
    let media = film.text(&bench, "film_0.m3u8").await.unwrap();
    let changes = media.split("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"seg/film_0_init1-").count();
    assert!(changes == 2 && !media.contains("INDEPENDENT"), "{media}");
    assert!(film.text(&bench, "film.m3u8").await.unwrap().contains("INSTREAM-ID=\"CC1\""));
    assert!(bench.row(&film.task).await.task.node_statuses[0].playable_time.is_some());
}
