//! Members of sets: URLs for uploads under names of the attempt, and the commit that makes them part of the set.

use std::{collections::BTreeMap, time::Duration};

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{MemberName, PlanSet, SetMember, SetTrack},
};
use sea_orm::DatabaseTransaction;
use tonic::Code;

use super::{names, write};
use crate::{
    app::App,
    error::ApiError,
    service::{
        accept::key_reserved,
        fence::{self, UnitError},
        uploads::URL_TTL,
    },
    storage::Audience,
    store::{
        leases::{Token, UnitRow},
        members::{self, Marks, MemberRow, NewMember},
        outputs::{self, NewOutput, OutputRow, ReserveError},
        sets::{self, SetRow},
    },
};

/// Most members of one call.
const MAX_AT_ONCE: usize = 64;
/// Largest object of one PUT.
const MAX_BYTES: i64 = 5 << 30;
/// Tracks of a set: 10 renditions, 10 of sound, 10 of subtitles.
const MAX_TRACKS: usize = 32;
/// Initialisation segments of a track.
const MAX_INITS: i32 = 1_000;
/// Segments of a track: a day of seconds.
const MAX_NUMBER: i32 = 100_000;
const DEFAULT_SEGMENT: Duration = Duration::from_secs(6);

/// The plan of a set.
pub(super) fn planned<'a>(unit: &'a UnitRow, set_id: &str) -> Result<&'a PlanSet, ApiError> {
    let sets = unit.plan.nodes.iter().filter_map(|node| node.set.as_ref());
    let found = sets.into_iter().find(|set| set.set_id == set_id);
    found.ok_or_else(|| ApiError::invalid_field("set_id", "names no set of the unit"))
}

/// Length of a set's segments.
fn target_ms(plan: &PlanSet) -> i64 {
    let asked = plan.segment_duration.and_then(|asked| Duration::try_from(asked).ok());
    asked.unwrap_or(DEFAULT_SEGMENT).as_millis() as i64
}

/// URLs for members of a set, one PUT each, and when they end (ms since 1970). Rows stand before URLs are given.
pub async fn urls(app: &App, token: &Token, set_id: &str, names: &[MemberName]) -> Result<(Vec<String>, i64), UnitError> {
    check_names(names)?;
    let unit = fence::leased(&app.store, token).await?;
    let plan = planned(&unit, set_id)?;
    let txn = app.store.begin().await?;
    if !sets::is_leased(&app.store, &txn, token).await? {
        txn.rollback().await?;
        return Err(UnitError::Fenced);
    }
    sets::begin(&app.store, &txn, &unit.id, plan, target_ms(plan)).await?;
    let tracks = sets::tracks(&app.store, &txn, set_id).await?;
    let suffix = |number: i32| match tracks.iter().find(|track| track.info.number == number) {
        Some(track) if track.info.kind == "subtitle" => "vtt",
        _ => names::segment_suffix(plan),
    };
    let mut new = Vec::with_capacity(names.len());
    for name in names {
        new.push(NewMember {
            track: name.track,
            number: name.index,
            object_key: names::member_key(plan, name.track, name.index, token.attempt, suffix(name.track))?,
            size_bytes: name.size_bytes,
        });
    }
    members::expect(&app.store, &txn, set_id, token, &new).await?;
    txn.commit().await?;
    let set = sets::get(&app.store, set_id).await?.ok_or_else(not_begun)?;
    let end_ms = app.store.now_ms().await? + URL_TTL.as_millis() as i64;
    let bucket = app.storages.open(&set.project, &set.storage_id).await?;
    let mut urls = Vec::with_capacity(new.len());
    for member in &new {
        urls.push(
            bucket
                .presign_member(&member.object_key, member.size_bytes, Audience::Worker, URL_TTL)
                .await?,
        );
    }
    Ok((urls, end_ms))
}

fn check_names(names: &[MemberName]) -> Result<(), ApiError> {
    if names.is_empty() || names.len() > MAX_AT_ONCE {
        return Err(ApiError::invalid_field("members", format!("1 to {MAX_AT_ONCE}")));
    }
    let is_right = |name: &MemberName| {
        (0..MAX_TRACKS as i32).contains(&name.track)
            && (-MAX_INITS..MAX_NUMBER).contains(&name.index)
            && (1..=MAX_BYTES).contains(&name.size_bytes)
    };
    match names.iter().all(is_right) {
        true => Ok(()),
        false => Err(ApiError::invalid_field(
            "members",
            format!("tracks from 0 to {MAX_TRACKS}, indexes from -{MAX_INITS}, sizes from 1 byte to 5 GiB"),
        )),
    }
}

fn not_begun() -> ApiError {
    ApiError::wrong_state("the set was not begun: its first manifest's key is not reserved by this unit")
}

/// Makes members part of their set and has its playlists written.
pub async fn commit(app: &App, token: &Token, set_id: &str, tracks: &[SetTrack], new: &[SetMember]) -> Result<(), UnitError> {
    let unit = fence::leased(&app.store, token).await?;
    let plan = planned(&unit, set_id)?;
    check_tracks(plan, tracks)?;
    let txn = app.store.begin().await?;
    if !sets::is_leased(&app.store, &txn, token).await? {
        txn.rollback().await?;
        return Err(UnitError::Fenced);
    }
    sets::begin(&app.store, &txn, &unit.id, plan, target_ms(plan)).await?;
    let Some(set) = sets::lock_publishing(&app.store, &txn, set_id).await? else {
        txn.rollback().await?;
        return Err(not_begun().into());
    };
    let written = write_rows(app, &txn, token, &unit, &set, tracks, new).await;
    match written {
        Ok(()) => txn.commit().await?,
        Err(error) => {
            txn.rollback().await?;
            return Err(error);
        }
    }
    write::when_due(app, set_id).await
}

fn check_tracks(plan: &PlanSet, tracks: &[SetTrack]) -> Result<(), ApiError> {
    if tracks.len() > MAX_TRACKS || (names::is_single(plan) && tracks.len() > 1) {
        return Err(ApiError::invalid_field("tracks", "are more than the set can have"));
    }
    for (number, track) in (0..).zip(tracks) {
        if track.number != number || !matches!(track.kind.as_str(), "video" | "audio" | "subtitle") {
            return Err(ApiError::invalid_field(
                format!("tracks[{number}]"),
                "tracks are numbered from 0; kinds are video, audio and subtitle",
            ));
        }
    }
    Ok(())
}

async fn write_rows(
    app: &App,
    txn: &DatabaseTransaction,
    token: &Token,
    unit: &UnitRow,
    set: &SetRow,
    tracks: &[SetTrack],
    new: &[SetMember],
) -> Result<(), UnitError> {
    if !tracks.is_empty() {
        take_tracks(app, txn, unit, set, tracks).await?;
    }
    if new.iter().any(is_break) && names::manifest(&set.plan, "mpd").is_some() {
        return Err(break_in_dash().into());
    }
    let known = sets::tracks(&app.store, txn, &set.id).await?;
    let mut by_track: BTreeMap<i32, Vec<&SetMember>> = BTreeMap::new();
    for member in new {
        if !known.iter().any(|track| track.info.number == member.track) {
            return Err(ApiError::invalid_field("members", format!("track {} is not known", member.track)).into());
        }
        by_track.entry(member.track).or_default().push(member);
    }
    let states = members::states(&app.store, txn, &set.id).await?;
    for (track, mut new) in by_track {
        new.sort_by_key(|member| member.index);
        let state = states.iter().find(|state| state.track == track);
        let next = state.map_or(0, |state| state.segments);
        commit_track(app, txn, token, &set.id, track, next, &new).await?;
    }
    Ok(())
}

async fn commit_track(
    app: &App,
    txn: &DatabaseTransaction,
    token: &Token,
    set_id: &str,
    track: i32,
    mut next: i32,
    new: &[&SetMember],
) -> Result<(), UnitError> {
    let first = new
        .iter()
        .map(|member| member.index)
        .filter(|index| *index >= 0)
        .min()
        .unwrap_or(next);
    let before = members::committed_from(&app.store, txn, set_id, track, first).await?;
    for member in new {
        if let Some(same) = before.iter().find(|before| before.number == member.index) {
            refuse_other(same, member)?;
            continue;
        }
        if member.index >= 0 {
            if member.index != next {
                let text = format!("track {track} goes on with index {next}, not {}", member.index);
                return Err(ApiError::invalid_field("members", text).into());
            }
            next += 1;
        }
        let row = row_of(set_id, token, member)?;
        if !members::commit(&app.store, txn, &row).await? {
            let text = format!(
                "no URL was given to this attempt for track {track}, index {} of {} bytes",
                member.index, member.size_bytes
            );
            return Err(ApiError::invalid_field("members", text).into());
        }
    }
    Ok(())
}

/// Whether what comes with a segment cannot be said in one period of a DASH manifest.
fn is_break(member: &SetMember) -> bool {
    member.discontinuity || member.init != 0
}

fn break_in_dash() -> ApiError {
    ApiError::wrong_state("the stream changes in its middle, which a DASH manifest of one period cannot tell")
        .hint("ask for HLS alone, or encode the stream")
}

/// A repeat is fine; another member under a committed index is not.
fn refuse_other(before: &MemberRow, member: &SetMember) -> Result<(), ApiError> {
    if before.sha256 == member.sha256 {
        return Ok(());
    }
    let what = match before.is_init() {
        true => "initialisation segment".to_owned(),
        false => format!("segment {}", member.index),
    };
    Err(ApiError::wrong_state(format!(
        "track {} has another {what} already: this worker encodes differently from the one that began the set",
        member.track
    ))
    .hint("restart the task, or keep workers of one kind in a pool"))
}

fn row_of(set_id: &str, token: &Token, member: &SetMember) -> Result<MemberRow, ApiError> {
    let ns = |duration: Option<&prost_types::Duration>| {
        let duration = duration.copied().unwrap_or_default();
        duration
            .seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::from(duration.nanos))
    };
    let (start_ns, duration_ns) = (ns(member.start.as_ref()), ns(member.duration.as_ref()));
    if member.index >= 0 && (start_ns < 0 || duration_ns <= 0) {
        return Err(ApiError::invalid_field("members", "a segment begins at 0 or later and lasts"));
    }
    if !(0..MAX_INITS).contains(&member.init) {
        return Err(ApiError::invalid_field(
            "members",
            format!("initialisation segments are 0 to {MAX_INITS}"),
        ));
    }
    Ok(MemberRow {
        set_id: set_id.to_owned(),
        track: member.track,
        number: member.index,
        attempt: token.attempt,
        object_key: String::new(),
        size_bytes: member.size_bytes,
        sha256: member.sha256.clone(),
        start_ns,
        duration_ns,
        i_frame_offset: member.i_frame_offset,
        i_frame_bytes: member.i_frame_bytes,
        init: member.init,
        marks: Marks {
            discontinuity: member.discontinuity,
            needs_previous: member.needs_previous,
            captions_608: member.captions_608,
            captions_708: member.captions_708,
        },
        committed: false,
    })
}

/// What must be the same where members of two attempts stand in one track.
fn is_same_track(a: &SetTrack, b: &SetTrack) -> bool {
    let essence = |track: &SetTrack| {
        (
            track.kind.clone(),
            track.codecs.clone(),
            (track.width_px, track.height_px),
            (track.sample_rate_hz, track.channels),
            track.timescale,
        )
    };
    essence(a) == essence(b)
}

/// Takes the tracks of an attempt: the same as those of earlier ones, once anything is committed.
async fn take_tracks(app: &App, txn: &DatabaseTransaction, unit: &UnitRow, set: &SetRow, tracks: &[SetTrack]) -> Result<(), UnitError> {
    let before = sets::tracks(&app.store, txn, &set.id).await?;
    let same = before.len() == tracks.len() && before.iter().zip(tracks).all(|(before, track)| is_same_track(&before.info, track));
    if same {
        return Ok(());
    }
    if !members::states(&app.store, txn, &set.id).await?.is_empty() {
        return Err(ApiError::wrong_state("the set's tracks differ from those of an earlier attempt").into());
    }
    sets::replace_tracks(&app.store, txn, &set.id, tracks).await?;
    reserve_playlists(app, txn, unit, set, tracks).await
}

/// Reserves the keys of media playlists, as outputs are reserved.
async fn reserve_playlists(
    app: &App,
    txn: &DatabaseTransaction,
    unit: &UnitRow,
    set: &SetRow,
    tracks: &[SetTrack],
) -> Result<(), UnitError> {
    if names::is_single(&set.plan) || names::manifest(&set.plan, "m3u8").is_none() {
        return Ok(());
    }
    let rows = outputs::reserved_of_node(&app.store, txn, &unit.id, &set.node_key).await?;
    let Some(manifest) = rows.iter().find(|row| row.id == set.id) else {
        return Err(not_begun().into());
    };
    let old: Vec<&str> = rows
        .iter()
        .map(|row| row.id.as_str())
        .filter(|id| names::is_playlist_id(&set.id, id))
        .collect();
    outputs::delete_rows(&app.store, txn, &old).await?;
    let mut new = Vec::new();
    for track in tracks {
        let id = names::media_playlist_id(&set.id, track.number);
        new.push(playlist_row(manifest, id, names::media_playlist_key(&set.plan, track.number)?));
        if track.kind == "video" {
            let id = names::i_frame_playlist_id(&set.id, track.number);
            new.push(playlist_row(manifest, id, names::i_frame_playlist_key(&set.plan, track.number)?));
        }
    }
    match outputs::reserve(&app.store, txn, &new).await {
        Ok(()) => Ok(()),
        Err(ReserveError::Db(error)) => Err(error.into()),
        Err(ReserveError::Taken { object_key, task_id }) if task_id == unit.task_id => Err(ApiError::new(
            Code::FailedPrecondition,
            ErrorReason::OutputKeyReserved,
            format!("another node of this task writes {object_key}"),
        )
        .hint("give the node another sub_stream_path")
        .into()),
        Err(ReserveError::Taken { object_key, task_id }) => Err(key_reserved(&unit.project, &object_key, &task_id).into()),
    }
}

fn playlist_row(manifest: &OutputRow, id: String, key: String) -> NewOutput {
    NewOutput {
        id,
        task_id: manifest.task_id.clone(),
        run: manifest.run,
        node_key: manifest.node_key.clone(),
        number: manifest.number,
        project: manifest.project.clone(),
        storage_id: manifest.storage_id.clone(),
        bucket_ref: manifest.bucket_ref.clone(),
        object_key: key,
        content_type: super::write::HLS_TYPE.to_owned(),
        unit_id: manifest.unit_id.clone(),
    }
}
