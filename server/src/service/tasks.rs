//! Reading, listing and waiting for tasks.

use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use mps_proto::v1::{ListTasksRequest, ListTasksResponse, NodeState, Task, TaskProgress, TaskState};
use prost::Message;
use sea_orm::Value;
use sha2::{Digest, Sha256};

use super::{paging::Page, waiting};
use crate::{
    app::App,
    error::ApiError,
    filter::Filter,
    store::tasks::{self, TaskRow},
};

const DEFAULT_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A task as it is now.
pub async fn get(app: &App, project: &str, id: &str) -> Result<Task, ApiError> {
    let row = find(app, project, id).await?;
    let mut shown = vec![row];
    dress(app, &mut shown).await?;
    shown
        .pop()
        .map(|row| row.task)
        .ok_or_else(|| ApiError::internal("a task was lost while it was read"))
}

async fn find(app: &App, project: &str, id: &str) -> Result<TaskRow, ApiError> {
    tasks::get(&app.store, project, id)
        .await?
        .ok_or_else(|| ApiError::not_found(mps_proto::name::full(project, "tasks", id)))
}

/// Adds what the row does not hold: why tasks wait, and how far nodes are.
pub async fn dress(app: &App, rows: &mut [TaskRow]) -> Result<(), ApiError> {
    waiting::explain(app, rows).await?;
    let running: Vec<String> = rows
        .iter()
        .filter(|row| row.state == TaskState::Processing)
        .map(|row| row.id.clone())
        .collect();
    if running.is_empty() {
        return Ok(());
    }
    let progress = app.queue.progress_of(&running).await;
    for (id, payload) in running.iter().zip(progress) {
        let progress = payload.and_then(|bytes| TaskProgress::decode(bytes.as_slice()).ok());
        if let (Some(progress), Some(row)) = (progress, rows.iter_mut().find(|row| row.id == *id)) {
            show_progress(&mut row.task, progress);
        }
    }
    Ok(())
}

fn show_progress(task: &mut Task, progress: TaskProgress) {
    if progress.run != task.run {
        return;
    }
    for status in &mut task.node_statuses {
        if status.state() == NodeState::Processing {
            status.progress = progress.nodes.get(&status.key).cloned();
        }
    }
}

/// Lists tasks.
pub async fn list(app: &App, project: &str, request: ListTasksRequest) -> Result<ListTasksResponse, ApiError> {
    let filter = Filter::parse(&request.filter)?;
    let descending = match request.order_by.as_str() {
        "" | "create_time desc" => true,
        "create_time" | "create_time asc" => false,
        _ => return Err(ApiError::invalid_field("order_by", "write \"create_time desc\" or \"create_time\"")),
    };
    let binding = binding(&request, descending);
    let page = Page::parse(request.page_size, &request.page_token, app.config.limits.max_page_size)?;
    let mut values: Vec<Value> = vec![project.into()];
    let mut condition = format!("project_id = $1 AND ({})", filter.sql(app.store.is_postgres(), &mut values));
    if !page.after.is_empty() {
        let (create_ms, id) = position(&page.after, &binding)?;
        let than = if descending { "<" } else { ">" };
        values.push(create_ms.into());
        values.push(id.into());
        let (time, id) = (values.len() - 1, values.len());
        condition += &format!(" AND (create_ms {than} ${time} OR (create_ms = ${time} AND id {than} ${id}))");
    }
    let order = if descending { "DESC" } else { "ASC" };
    condition += &format!(" ORDER BY create_ms {order}, id {order} LIMIT {}", page.limit());
    let mut rows = tasks::select(&app.store, &condition, values).await?;
    dress(app, &mut rows).await?;
    let keys: Vec<(String, String)> = rows
        .iter()
        .map(|row| (row.task.name.clone(), format!("{}:{}:{binding}", row.create_ms, row.id)))
        .collect();
    let key = |task: &Task| {
        keys.iter()
            .find(|(name, _)| *name == task.name)
            .map(|(_, key)| key.clone())
            .unwrap_or_default()
    };
    let (tasks, next_page_token) = page.cut(rows.into_iter().map(|row| row.task).collect(), key);
    Ok(ListTasksResponse { tasks, next_page_token })
}

/// Binds a token to filter and order.
fn binding(request: &ListTasksRequest, descending: bool) -> String {
    let digest = Sha256::digest(format!("{descending} {}", request.filter));
    BASE64_URL_SAFE_NO_PAD.encode(digest.get(..6).unwrap_or_default())
}

fn position(after: &str, binding: &str) -> Result<(i64, String), ApiError> {
    let foreign = || ApiError::invalid_field("page_token", "is not a token of an earlier page of this filter and order");
    let mut parts = after.splitn(3, ':');
    let (Some(create_ms), Some(id), Some(bound)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(foreign());
    };
    if bound != binding {
        return Err(foreign());
    }
    Ok((create_ms.parse().map_err(|_| foreign())?, id.to_owned()))
}

/// Returns when the task has ended or the time is over.
pub async fn wait(app: &App, project: &str, id: &str, timeout: Option<Duration>) -> Result<(Task, bool), ApiError> {
    let timeout = timeout.unwrap_or(DEFAULT_WAIT);
    if timeout > LONGEST_WAIT {
        return Err(ApiError::invalid_field("timeout", format!("at most {} s", LONGEST_WAIT.as_secs())));
    }
    let until = Instant::now() + timeout;
    loop {
        let row = find(app, project, id).await?;
        let left = until.saturating_duration_since(Instant::now());
        if row.ended() || left.is_zero() || app.shutdown.is_cancelled() {
            let done = row.ended();
            let mut rows = vec![row];
            dress(app, &mut rows).await?;
            let task = rows.pop().map(|row| row.task).unwrap_or_default();
            return Ok((task, done));
        }
        tokio::select! {
            () = app.hub.wait_change(id, row.revision, left) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
}
