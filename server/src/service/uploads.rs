//! Where workers read inputs from and write outputs to: presigned URLs, and the multipart uploads behind them.

use std::{collections::HashMap, time::Duration};

use mps_proto::v1::{TaskInput, task_input::Source};
use prost::Message;

use super::{
    fence::{self, UnitError},
    states::UploadState,
};
use crate::{
    app::App,
    error::ApiError,
    storage::{Audience, StorageError},
    store::{
        leases::{self, Token, UnitRow},
        tasks,
        uploads::{self, Target, UploadRow},
    },
};

/// How long a presigned URL holds.
pub const URL_TTL: Duration = Duration::from_secs(15 * 60);
/// Most parts that are presigned at once.
const MAX_PARTS_AT_ONCE: usize = 64;
const MIB: i64 = 1 << 20;
const MIN_PART_BYTES: i64 = 16 * MIB;
/// Providers take 10,000 parts; some room is left.
const MAX_PARTS: i64 = 9000;
/// Largest object of S3.
const MAX_OBJECT_BYTES: i64 = 5 * 1024 * 1024 * MIB;
/// Name of the metadata that says which attempt made an object.
pub const MARK: &str = "mps-upload";

/// Where to read the input.
pub struct InputUrl {
    pub url: String,
    /// Whether it came from a user.
    pub untrusted: bool,
}

/// Presigns the input of a unit or one of its side inputs, or passes a user's URL on. An empty id: the input.
pub async fn input_url(app: &App, token: &Token, side_input_id: &str) -> Result<InputUrl, UnitError> {
    let unit = fence::leased(&app.store, token).await?;
    let input = match side_input_id {
        "" => input_of(app, &unit).await?,
        id => Some(side_input_of(&unit, id)?),
    };
    match input.and_then(|input| input.source) {
        Some(Source::Url(url)) => Ok(InputUrl { url, untrusted: true }),
        Some(Source::Object(object)) => {
            let storage = mps_proto::name::parse(&object.storage, "storages").map_or(object.storage.as_str(), |(_, id)| id);
            let bucket = app.storages.open(&unit.project, storage).await?;
            let url = bucket.presign_get(&object.key, Audience::Worker, URL_TTL).await?;
            Ok(InputUrl { url, untrusted: false })
        }
        None => Err(ApiError::internal("unit has no input").into()),
    }
}

fn side_input_of(unit: &UnitRow, id: &str) -> Result<TaskInput, ApiError> {
    let found = unit.plan.side_inputs.iter().find(|input| input.id == id);
    let source = found.and_then(|input| input.source.clone());
    source.ok_or_else(|| ApiError::invalid_field("side_input_id", "names no side input of the unit"))
}

pub(super) async fn input_of(app: &App, unit: &UnitRow) -> Result<Option<TaskInput>, UnitError> {
    if !unit.is_probe() {
        return Ok(tasks::get(&app.store, &unit.project, &unit.task_id)
            .await?
            .and_then(|row| row.task.input));
    }
    let input = leases::probe_input(&app.store, &unit.id).await?;
    let input = input.map(|input| TaskInput::decode(input.as_slice())).transpose();
    input.map_err(|error| ApiError::internal(error).into())
}

/// Opens the upload of one output; asked again, gives the open one.
pub async fn create(app: &App, token: &Token, output_id: &str, size_bytes: i64, sha256: &str) -> Result<UploadRow, UnitError> {
    check_file(size_bytes, sha256)?;
    let unit = fence::leased(&app.store, token).await?;
    let target = uploads::target(&app.store, &unit.id, output_id).await?;
    let target = target.ok_or_else(|| ApiError::invalid_field("output_id", "names no output that this unit is to make"))?;
    let before = uploads::of_output(&app.store, token, output_id).await?;
    let same = |upload: &UploadRow| upload.is(UploadState::Open) && upload.size_bytes == size_bytes && upload.sha256 == sha256;
    if let Some(open) = before.into_iter().find(same) {
        return Ok(open);
    }
    open(app, new_row(unit, &target, output_id, size_bytes, sha256), &target).await
}

fn check_file(size_bytes: i64, sha256: &str) -> Result<(), ApiError> {
    if !(0..=MAX_OBJECT_BYTES).contains(&size_bytes) {
        return Err(ApiError::invalid_field("size_bytes", "0 to 5 TiB"));
    }
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if sha256.len() != 64 || !sha256.chars().all(hexadecimal) {
        return Err(ApiError::invalid_field("sha256", "64 lower-case hexadecimal digits"));
    }
    Ok(())
}

fn new_row(unit: UnitRow, target: &Target, output_id: &str, size_bytes: i64, sha256: &str) -> UploadRow {
    let (part_size, part_count) = parts_of(size_bytes);
    UploadRow {
        id: mps_proto::name::new_id(),
        output_id: output_id.to_owned(),
        unit_id: unit.id,
        attempt: unit.attempt,
        task_id: unit.task_id,
        project: unit.project,
        storage_id: target.storage_id.clone(),
        object_key: target.object_key.clone(),
        provider_id: None,
        state: UploadState::Creating as i32,
        size_bytes,
        sha256: sha256.to_owned(),
        part_size,
        part_count,
    }
}

/// Size and number of the parts of a file: equal, at least 16 MiB, at most 9,000; a small file is one part.
fn parts_of(size_bytes: i64) -> (i64, i32) {
    let least = (size_bytes + MAX_PARTS - 1) / MAX_PARTS;
    let whole = (least + MIB - 1) / MIB * MIB;
    let part_size = whole.max(MIN_PART_BYTES);
    let count = ((size_bytes + part_size - 1) / part_size).max(1);
    (part_size, count as i32)
}

/// The row first, then the provider: whatever dies between, the row tells what may be left.
async fn open(app: &App, mut upload: UploadRow, target: &Target) -> Result<UploadRow, UnitError> {
    let bucket = app.storages.open(&upload.project, &upload.storage_id).await?;
    if !uploads::insert_fenced(&app.store, &upload).await? {
        return Err(UnitError::Fenced);
    }
    let metadata = HashMap::from([(MARK.to_owned(), upload.mark())]);
    let created = bucket.create_multipart(&upload.object_key, &target.content_type, metadata).await;
    let provider_id = match created {
        Ok(provider_id) => provider_id,
        Err(error) => {
            uploads::advance(&app.store, &upload.id, &[UploadState::Creating], UploadState::Aborted).await?;
            return Err(error.into());
        }
    };
    if !uploads::set_open(&app.store, &upload.id, &provider_id).await? {
        bucket.abort_multipart(&upload.object_key, &provider_id).await?;
        return Err(UnitError::Fenced);
    }
    upload.state = UploadState::Open as i32;
    upload.provider_id = Some(provider_id);
    Ok(upload)
}

/// The URL of the only part of an upload, so that small files cost one question less; empty where there are more parts.
pub async fn only_part_url(app: &App, upload: &UploadRow) -> Result<String, UnitError> {
    let (1, Some(provider_id)) = (upload.part_count, &upload.provider_id) else {
        return Ok(String::new());
    };
    let bucket = app.storages.open(&upload.project, &upload.storage_id).await?;
    let url = bucket.presign_part(&upload.object_key, provider_id, 1, Audience::Worker, URL_TTL);
    Ok(url.await?)
}

/// URLs of parts, and when they end (ms since 1970).
pub async fn part_urls(app: &App, token: &Token, upload_id: &str, parts: &[i32]) -> Result<(Vec<String>, i64), UnitError> {
    fence::leased(&app.store, token).await?;
    let upload = uploads::get(&app.store, upload_id).await?;
    let ours = |upload: &UploadRow| upload.unit_id == token.unit_id && upload.attempt == token.attempt;
    let upload = upload
        .filter(ours)
        .ok_or_else(|| ApiError::invalid_field("upload_id", "names no upload of this attempt"))?;
    let (true, Some(provider_id)) = (upload.is(UploadState::Open), &upload.provider_id) else {
        return Err(ApiError::wrong_state("the upload is not open").into());
    };
    if parts.len() > MAX_PARTS_AT_ONCE {
        return Err(ApiError::invalid_field("part_numbers", "at most 64").into());
    }
    if !parts.iter().all(|part| (1..=upload.part_count).contains(part)) {
        return Err(ApiError::invalid_field("part_numbers", format!("from 1 to {}", upload.part_count)).into());
    }
    let end_ms = app.store.now_ms().await? + URL_TTL.as_millis() as i64;
    let bucket = app.storages.open(&upload.project, &upload.storage_id).await?;
    let mut urls = Vec::with_capacity(parts.len());
    for part in parts {
        let url = bucket
            .presign_part(&upload.object_key, provider_id, *part, Audience::Worker, URL_TTL)
            .await?;
        urls.push(url);
    }
    Ok((urls, end_ms))
}

/// Aborts what an attempt that is over left behind, in the background; the janitor repeats what fails.
pub fn abort_later(app: &App, token: Token) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = abort_attempt(&app, &token).await {
            tracing::debug!(%error, unit.id = %token.unit_id, "uploads are left to the janitor");
        }
    });
}

async fn abort_attempt(app: &App, token: &Token) -> Result<(), UnitError> {
    for upload in uploads::of_attempt(&app.store, token).await? {
        abort(app, &upload).await?;
    }
    Ok(())
}

/// Aborts an upload of an attempt that is over; the end is decided in the database before the call.
pub async fn abort(app: &App, upload: &UploadRow) -> Result<(), UnitError> {
    use UploadState::{Aborted, Aborting, Completing, Creating, Open};
    if !uploads::advance(&app.store, &upload.id, &[Creating, Open, Completing, Aborting], Aborting).await? {
        return Ok(());
    }
    if let Some(provider_id) = &upload.provider_id {
        abort_at_provider(app, upload, provider_id).await?;
    }
    uploads::advance(&app.store, &upload.id, &[Aborting], Aborted).await?;
    Ok(())
}

async fn abort_at_provider(app: &App, upload: &UploadRow, provider_id: &str) -> Result<(), StorageError> {
    let bucket = app.storages.open(&upload.project, &upload.storage_id).await?;
    bucket.abort_multipart(&upload.object_key, provider_id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_one_part_and_large_ones_at_most_9000_equal_ones() {
        assert_eq!(parts_of(0), (MIN_PART_BYTES, 1));
        assert_eq!(parts_of(MIN_PART_BYTES), (MIN_PART_BYTES, 1));
        assert_eq!(parts_of(MIN_PART_BYTES + 1), (MIN_PART_BYTES, 2));
        for size in [200 << 30, MAX_OBJECT_BYTES] {
            let (part_size, count) = parts_of(size);
            assert_eq!(part_size % MIB, 0);
            assert!(
                i64::from(count) <= MAX_PARTS && part_size * i64::from(count) >= size,
                "{size}: {part_size} × {count}"
            );
        }
    }
}
