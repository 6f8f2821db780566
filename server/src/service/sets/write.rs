//! Playlists of sets, written from rows: PUT, then the set's version is read again, and all is PUT again if it moved. So whoever
//! wrote an older state over a newer one notices it.

use std::collections::HashMap;

use mps_proto::{
    v1::{self, ErrorReason, OnConflict},
    worker::v1::PlanOutput,
};
use sha2::{Digest, Sha256};
use tonic::Code;

use super::names;
use crate::{
    app::App,
    error::ApiError,
    playlist::{self, Presentation, Segment, Track, dash, hls},
    service::{fence::UnitError, states::SetState, uploads::MARK},
    storage::Bucket,
    store::{
        commits, leases,
        members::{self, MemberRow},
        outputs::{self, OutputRow},
        sets::{self, SetRow, TrackRow},
        tasks::{self, timestamp},
    },
};

pub const HLS_TYPE: &str = "application/vnd.apple.mpegurl";
/// While a set grows its playlists are written at most this often; with each commit a little less often, since they grow.
const LEAST_INTERVAL_MS: i64 = 1000;
/// Times that playlists are written again because the set moved meanwhile; the next commit goes on.
const MOST_REPEATS: usize = 20;

/// Manifests as they stand.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    pub set_id: String,
    pub outputs: Vec<v1::Output>,
}

/// Writes the playlists of a set that grows, unless that was done a moment ago.
pub async fn when_due(app: &App, set_id: &str) -> Result<(), UnitError> {
    let Some(set) = sets::get(&app.store, set_id).await?.filter(|set| set.state == SetState::Publishing) else {
        return Ok(());
    };
    // cut at key frames of the input: how long the longest segment is, is known at the end
    let tracks = sets::tracks(&app.store, app.store.reader(), set_id).await?;
    if tracks.iter().any(|track| track.info.own_keys) {
        return Ok(());
    }
    let pause_ms = LEAST_INTERVAL_MS + set.version;
    let is_recent = set.playable_ms.is_some() && app.store.now_ms().await? - set.written_ms < pause_ms;
    if set.written_version >= set.version || is_recent {
        return Ok(());
    }
    write(app, set_id).await?;
    Ok(())
}

/// Writes the last playlists of a set: nothing more comes.
pub async fn finish(app: &App, set_id: &str) -> Result<Finished, UnitError> {
    sets::note_whole(&app.store, set_id).await?;
    write(app, set_id).await
}

async fn write(app: &App, set_id: &str) -> Result<Finished, UnitError> {
    let mut finished = Finished::default();
    let mut again = false;
    for _ in 0..MOST_REPEATS {
        let Some(set) = sets::get(&app.store, set_id).await? else {
            return Ok(finished);
        };
        if is_gone(&set) {
            return Ok(finished);
        }
        let loaded = load(app, &set).await?;
        let complete = loaded.presentation.complete;
        if loaded.presentation.is_playable() || complete {
            finished = put_all(app, &loaded, again || complete).await?;
        }
        let now = sets::note_written(&app.store, set_id, set.version).await?;
        if now.as_ref().is_none_or(is_gone) {
            sets::remove_again(&app.store, set_id).await?;
            return Ok(finished);
        }
        if set.playable_ms.is_none() && !complete && loaded.presentation.is_playable() {
            note_playable(app, &loaded, &finished).await?;
        }
        if now.is_none_or(|now| now.version == set.version) {
            return Ok(finished);
        }
        again = true;
    }
    Ok(finished)
}

fn is_gone(set: &SetRow) -> bool {
    matches!(set.state, SetState::Removing | SetState::Removed)
}

/// A set with everything that its playlists tell.
struct Loaded {
    set: SetRow,
    tracks: Vec<TrackRow>,
    presentation: Presentation,
    rows: Vec<OutputRow>,
    members: usize,
    member_bytes: i64,
}

async fn load(app: &App, set: &SetRow) -> Result<Loaded, UnitError> {
    let complete = set.whole || set.state != SetState::Publishing;
    let tracks = sets::tracks(&app.store, app.store.reader(), &set.id).await?;
    let members = members::committed(&app.store, &set.id).await?;
    let rows = outputs::of_node(&app.store, app.store.reader(), &set.task_id, set.run, &set.node_key).await?;
    let now_ms = app.store.now_ms().await?;
    let mut presentation = Presentation {
        tracks: tracks.iter().map(|track| shown(set, &rows, track, &members)).collect(),
        target_ms: set.target_ms,
        complete,
        start_ms: set.start_ms.unwrap_or(now_ms),
        publish_ms: now_ms,
    };
    if set.start_ms.is_none() && presentation.is_playable() && !complete {
        let available_ms = presentation.duration_ns() / 1_000_000;
        presentation.start_ms = sets::start_at(&app.store, &set.id, available_ms).await?.unwrap_or(now_ms);
    }
    Ok(Loaded {
        set: set.clone(),
        presentation,
        rows,
        member_bytes: members.iter().map(|member| member.size_bytes).sum(),
        members: members.len(),
        tracks,
    })
}

fn shown(set: &SetRow, rows: &[OutputRow], track: &TrackRow, members: &[MemberRow]) -> Track {
    let number = track.info.number;
    let own: Vec<&MemberRow> = members.iter().filter(|member| member.track == number).collect();
    let segments: Vec<&&MemberRow> = own.iter().filter(|member| !member.is_init()).collect();
    let hls_key = names::manifest(&set.plan, "m3u8").and_then(|manifest| key_of(rows, manifest));
    let playlist_key = match names::is_single(&set.plan) {
        true => hls_key.unwrap_or_default().to_owned(),
        false => names::media_playlist_key(&set.plan, number).unwrap_or_default(),
    };
    let is_text = track.info.kind == "subtitle";
    let numbered = |member: &&MemberRow| (-1 - member.number, member.object_key.clone());
    let has_i_frames = hls_key.is_some() && !names::is_single(&set.plan) && track.info.kind == "video";
    Track {
        info: track.info.clone(),
        inits: own.iter().filter(|member| member.is_init() && !is_text).map(numbered).collect(),
        whole_key: own
            .iter()
            .find(|member| member.is_init() && is_text)
            .map(|member| member.object_key.clone()),
        template: template(set, number, &segments),
        segments: segments.into_iter().map(|member| segment(member)).collect(),
        playlist_key,
        i_frame_key: has_i_frames.then(|| names::i_frame_playlist_key(&set.plan, number).ok()).flatten(),
    }
}

fn segment(member: &MemberRow) -> Segment {
    Segment {
        key: member.object_key.clone(),
        bytes: member.size_bytes,
        start_ns: member.start_ns,
        duration_ns: member.duration_ns,
        i_frame: (member.i_frame_bytes > 0).then_some((member.i_frame_offset, member.i_frame_bytes)),
        init: member.init,
        discontinuity: member.marks.discontinuity,
        needs_previous: member.marks.needs_previous,
        captions_608: member.marks.captions_608,
        captions_708: member.marks.captions_708,
    }
}

/// One pattern for all keys, where one attempt made all.
fn template(set: &SetRow, track: i32, segments: &[&&MemberRow]) -> Option<String> {
    let first = segments.first()?;
    let (_, suffix) = first.object_key.rsplit_once('.')?;
    let pattern = names::member_pattern(&set.plan, track, first.attempt, suffix)?;
    let fits = |member: &&MemberRow| pattern.replace(playlist::NUMBER, &member.number.to_string()) == member.object_key;
    segments.iter().all(|member| fits(member)).then_some(pattern)
}

fn key_of<'a>(rows: &'a [OutputRow], manifest: &PlanOutput) -> Option<&'a str> {
    let row = rows.iter().find(|row| row.id == manifest.output_id)?;
    Some(&row.object_key)
}

/// A playlist to be written.
struct Sheet {
    output_id: String,
    key: String,
    content_type: &'static str,
    body: String,
}

/// Writes what changed, media playlists first, so that no manifest names a playlist that is not there.
async fn put_all(app: &App, loaded: &Loaded, again: bool) -> Result<Finished, UnitError> {
    let bucket = app.storages.open(&loaded.set.project, &loaded.set.storage_id).await?;
    let everything = again || loaded.set.playable_ms.is_none();
    if loaded.set.playable_ms.is_none() {
        refuse_foreign(app, &bucket, loaded).await?;
    }
    for (track, row) in loaded.presentation.tracks.iter().zip(&loaded.tracks) {
        let count = track.segments.len() as i32;
        if count == 0 || (count == row.written && !everything) || names::is_single(&loaded.set.plan) {
            continue;
        }
        for sheet in sheets_of(loaded, track) {
            put(&bucket, &loaded.set, &sheet).await?;
        }
        sets::note_written_track(&app.store, &loaded.set.id, track.info.number, count).await?;
    }
    let mut finished = Finished {
        set_id: loaded.set.id.clone(),
        outputs: Vec::new(),
    };
    for (number, manifest) in (0..).zip(&loaded.set.plan.manifests) {
        let Some((sheet, always)) = manifest_sheet(loaded, manifest) else {
            continue;
        };
        if always || everything {
            put(&bucket, &loaded.set, &sheet).await?;
        }
        finished.outputs.push(output(loaded, number, &sheet));
    }
    Ok(finished)
}

fn sheets_of(loaded: &Loaded, track: &Track) -> Vec<Sheet> {
    if names::manifest(&loaded.set.plan, "m3u8").is_none() {
        return Vec::new();
    }
    let sheet = |output_id, key: &str, body| Sheet {
        output_id,
        key: key.to_owned(),
        content_type: HLS_TYPE,
        body,
    };
    let (set_id, number) = (&loaded.set.id, track.info.number);
    let body = hls::media(&loaded.presentation, track);
    let mut sheets = vec![sheet(names::media_playlist_id(set_id, number), &track.playlist_key, body)];
    if let (Some(key), Some(body)) = (&track.i_frame_key, hls::i_frames(&loaded.presentation, track)) {
        sheets.push(sheet(names::i_frame_playlist_id(set_id, number), key, body));
    }
    sheets
}

/// A manifest, and whether it changes with each commit.
fn manifest_sheet(loaded: &Loaded, manifest: &PlanOutput) -> Option<(Sheet, bool)> {
    let key = key_of(&loaded.rows, manifest)?;
    let presentation = &loaded.presentation;
    let (content_type, body, always) = match manifest.format.as_str() {
        "mpd" => ("application/dash+xml", dash::mpd(presentation, key), true),
        _ if names::is_single(&loaded.set.plan) => (HLS_TYPE, hls::media(presentation, presentation.tracks.first()?), true),
        _ => (HLS_TYPE, hls::master(presentation, key), false),
    };
    let sheet = Sheet {
        output_id: manifest.output_id.clone(),
        key: key.to_owned(),
        content_type,
        body,
    };
    Some((sheet, always))
}

async fn put(bucket: &Bucket, set: &SetRow, sheet: &Sheet) -> Result<(), UnitError> {
    let metadata = HashMap::from([(MARK.to_owned(), mark(&set.id, &sheet.output_id))]);
    let body = sheet.body.clone().into_bytes();
    bucket.put_changing(&sheet.key, sheet.content_type, metadata, body).await?;
    Ok(())
}

/// What a playlist's metadata `mps-upload` says.
pub(super) fn mark(set_id: &str, output_id: &str) -> String {
    format!("{set_id}/0/{output_id}")
}

fn output(loaded: &Loaded, number: i32, sheet: &Sheet) -> v1::Output {
    let set = &loaded.set;
    let state = match loaded.presentation.complete {
        true => v1::SetState::Complete,
        false => v1::SetState::Publishing,
    };
    let duration_ns = loaded.presentation.duration_ns();
    v1::Output {
        storage: mps_proto::name::full(&set.project, "storages", &set.storage_id),
        key: sheet.key.clone(),
        number,
        size_bytes: sheet.body.len() as i64,
        sha256: hex::encode(Sha256::digest(sheet.body.as_bytes())),
        content_type: sheet.content_type.to_owned(),
        media: None,
        publish_time: Some(timestamp(loaded.presentation.publish_ms)),
        source_offset: None,
        set: Some(v1::SetInfo {
            state: state as i32,
            member_count: i32::try_from(loaded.members).unwrap_or(i32::MAX),
            size_bytes: loaded.member_bytes,
            duration: Some(prost_types::Duration {
                seconds: duration_ns / 1_000_000_000,
                nanos: (duration_ns % 1_000_000_000) as i32,
            }),
        }),
    }
}

/// With on_conflict REFUSE, playlists replace nothing that no run of the task made.
async fn refuse_foreign(app: &App, bucket: &Bucket, loaded: &Loaded) -> Result<(), UnitError> {
    let set = &loaded.set;
    let task = tasks::get(&app.store, &set.project, &set.task_id).await?;
    if task.is_none_or(|task| task.task.on_conflict() != OnConflict::Refuse) {
        return Ok(());
    }
    for row in loaded.rows.iter().filter(|row| is_of_set(set, row)) {
        let Some(head) = bucket.head(&row.object_key).await? else {
            continue;
        };
        let ours = match head.metadata.get(MARK) {
            Some(mark) => commits::is_of_task(&app.store, &set.task_id, mark).await?,
            None => false,
        };
        if !ours {
            let message = format!("an object stands at {} and on_conflict is REFUSE", row.object_key);
            return Err(ApiError::new(Code::AlreadyExists, ErrorReason::OutputExists, message)
                .with("key", &row.object_key)
                .hint("remove the object, choose another path, or set on_conflict to REPLACE")
                .into());
        }
    }
    Ok(())
}

/// Whether a row of outputs is a manifest or a playlist of the set.
pub(super) fn is_of_set(set: &SetRow, row: &OutputRow) -> bool {
    let is_manifest = set.plan.manifests.iter().any(|manifest| manifest.output_id == row.id);
    is_manifest || names::is_playlist_id(&set.id, &row.id)
}

/// Tells watchers that the set can be played.
async fn note_playable(app: &App, loaded: &Loaded, finished: &Finished) -> Result<(), UnitError> {
    let set = &loaded.set;
    let txn = app.store.begin().await?;
    let task = tasks::lock(&app.store, &txn, &set.task_id).await?;
    let Some(mut task) = task.filter(|task| !task.ended() && task.task.run == set.run) else {
        txn.rollback().await?;
        return Ok(());
    };
    let now_ms = leases::now_in(&app.store, &txn).await?;
    if !sets::note_playable(&app.store, &txn, &set.id, now_ms).await? {
        txn.rollback().await?;
        return Ok(());
    }
    for row in loaded.rows.iter().filter(|row| is_of_set(set, row)) {
        commits::replace_at(&app.store, &txn, row).await?;
    }
    if let Some(status) = task.node_mut(&set.node_key) {
        status.playable_time = Some(timestamp(now_ms));
        status.outputs.clone_from(&finished.outputs);
    }
    tasks::save(&app.store, &txn, &mut task).await?;
    txn.commit().await?;
    app.nudge.committed();
    Ok(())
}
