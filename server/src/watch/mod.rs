//! Watching tasks. One reader per replica follows the watch log and reads each changed row once for all watchers (`reader`); what
//! waits for a watcher is one entry per task, the newest (`mailbox`, in `hub`); each stream is a small state machine (`session`).
//!
//! The promise: a watcher ends with the last state of every task, none missing or stale; states passed through may be merged.
//! A watcher's mailbox is opened first, then its snapshot is read, then the mailbox is followed: what changed meanwhile is in it.

mod hub;
mod mailbox;
mod progress;
mod reader;
mod session;
mod token;

#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::StreamExt;
use mps_proto::v1::WatchTasksResponse;

use crate::{app::App, error::ApiError, filter::Filter, grpc::caller::Caller};

pub use hub::Hub;
pub use reader::run;

/// What a watcher asked for, checked.
#[derive(Debug, Clone)]
pub struct WatchSpec {
    pub project: String,
    pub filter: Filter,
    /// The filter as it was written: the resume token binds it.
    pub filter_text: String,
    pub resume_token: String,
    pub skip_initial_state: bool,
    pub heartbeat: Duration,
}

/// The stream of one watcher.
pub type WatchStream = futures::stream::BoxStream<'static, Result<WatchTasksResponse, tonic::Status>>;

/// Starts watching: snapshot, `initial_state_complete`, changes, heartbeats (which check the credentials again).
pub async fn watch(app: &App, caller: Caller, spec: WatchSpec) -> Result<WatchStream, ApiError> {
    let session = session::Session::open(app.clone(), caller, spec)?;
    let messages = futures::stream::unfold(session, |mut session| async move { Some((session.next().await?, session)) });
    Ok(messages.boxed())
}
