//! Workers: joining, listing, draining, and what pools can do.

use std::collections::{BTreeMap, BTreeSet};

use mps_proto::{
    v1::{self, WorkerState},
    worker::v1::open_channel_response::Command,
};

use crate::{
    app::App,
    error::ApiError,
    service::commands,
    store::{
        tasks::timestamp,
        workers::{self, WorkerRow},
    },
};

const DEFAULT_PAGE: i32 = 50;
const MAX_PAGE: i32 = 1000;
/// Longest list of capabilities that a worker may bring, in bytes.
const MAX_CAPABILITY_BYTES: usize = 16 * 1024;

/// Makes a worker known, or refreshes it.
pub async fn join(app: &App, worker: WorkerRow) -> Result<(), ApiError> {
    check_join(&worker)?;
    workers::upsert(&app.store, &worker).await?;
    tracing::info!(worker.id = %worker.id, worker.pool = %worker.pool, worker.slots, "worker joined");
    Ok(())
}

fn check_join(worker: &WorkerRow) -> Result<(), ApiError> {
    if !mps_proto::name::is_valid_id(&worker.pool) {
        return Err(ApiError::invalid_field("pool", "write [a-z][a-z0-9-]{0,62}"));
    }
    let plain = |text: &str| !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain(&worker.id) {
        return Err(ApiError::invalid_field("worker_id", "write a ULID"));
    }
    if worker.slots < 1 {
        return Err(ApiError::invalid_field("slots", "at least 1"));
    }
    let size: usize = worker.capabilities.iter().map(String::len).sum();
    let clean = |text: &String| !text.is_empty() && !text.contains(',');
    if size > MAX_CAPABILITY_BYTES || !worker.capabilities.iter().all(clean) {
        return Err(ApiError::invalid_field(
            "capabilities",
            "words without commas, at most 16 KiB together",
        ));
    }
    Ok(())
}

/// One page of workers, by id.
pub async fn list_workers(app: &App, page: v1::ListWorkersRequest) -> Result<v1::ListWorkersResponse, ApiError> {
    let size = match page.page_size {
        0 => DEFAULT_PAGE,
        size if (1..=MAX_PAGE).contains(&size) => size,
        _ => return Err(ApiError::invalid_field("page_size", "1 to 1,000")),
    };
    let mut rows = workers::page(&app.store, &page.page_token, i64::from(size) + 1).await?;
    let more = rows.len() > size as usize;
    rows.truncate(size as usize);
    let next_page_token = match rows.last() {
        Some(last) if more => last.id.clone(),
        _ => String::new(),
    };
    let (now_ms, busy) = (app.store.now_ms().await?, workers::busy_slots(&app.store).await?);
    let workers = rows
        .into_iter()
        .map(|row| {
            let busy = busy.get(&row.id).copied().unwrap_or(0);
            message(app, row, now_ms, busy)
        })
        .collect();
    Ok(v1::ListWorkersResponse { workers, next_page_token })
}

/// Lets a worker take no more units, or take them again. `id` may be `workers/{id}`.
pub async fn drain(app: &App, id: &str, undrain: bool) -> Result<v1::Worker, ApiError> {
    let id = id.strip_prefix("workers/").unwrap_or(id);
    let reason = if undrain { "" } else { "drained by an administrator" };
    let row = workers::set_draining(&app.store, id, !undrain, reason).await?;
    let row = row.ok_or_else(|| ApiError::new(tonic::Code::NotFound, v1::ErrorReason::NotFound, format!("there is no worker {id}")))?;
    if undrain {
        workers::clear_failures(&app.store, id).await?;
    }
    commands::send(app, id, Command::Drain(!undrain)).await;
    let (now_ms, busy) = (app.store.now_ms().await?, workers::busy_slots(&app.store).await?);
    let busy = busy.get(&row.id).copied().unwrap_or(0);
    Ok(message(app, row, now_ms, busy))
}

/// What the workers that are connected now can do, by pool.
pub async fn pools(app: &App) -> Result<Vec<v1::PoolCapabilities>, ApiError> {
    let now_ms = app.store.now_ms().await?;
    let mut pools: BTreeMap<String, (i32, i32, BTreeSet<String>)> = BTreeMap::new();
    for row in workers::list(&app.store).await? {
        if !row.is_live(now_ms, app.config.lease_ttl) {
            continue;
        }
        let (workers, slots, capabilities) = pools.entry(row.pool).or_default();
        *workers += 1;
        *slots += row.slots;
        capabilities.extend(row.capabilities);
    }
    let message = |(pool, (workers, slots, capabilities)): (String, (i32, i32, BTreeSet<String>))| v1::PoolCapabilities {
        pool,
        workers,
        slots,
        capabilities: capabilities.into_iter().collect(),
    };
    Ok(pools.into_iter().map(message).collect())
}

fn message(app: &App, row: WorkerRow, now_ms: i64, busy_slots: i32) -> v1::Worker {
    let state = if !row.is_live(now_ms, app.config.lease_ttl) {
        WorkerState::Lost
    } else if row.draining {
        WorkerState::Draining
    } else {
        WorkerState::Active
    };
    v1::Worker {
        name: format!("workers/{}", row.id),
        display_name: row.display_name,
        pool: row.pool,
        state: state as i32,
        slots: row.slots,
        busy_slots,
        capabilities: row.capabilities,
        version: row.version,
        last_seen_time: Some(timestamp(row.seen_ms)),
        drain_reason: row.drain_reason,
    }
}
