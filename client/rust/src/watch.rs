//! Watching tasks: a stream that reconnects by itself and goes on where it was.

use std::time::{Duration, Instant};

use futures::{Stream, stream};
use mps_proto::v1::{Task, TaskProgress, WatchTasksRequest, WatchTasksResponse, watch_tasks_response::Event};
use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use crate::{
    Client, ClientError,
    retry::{is_transient, wait_after},
};

/// The server's heartbeats come every 15 s; this long without anything, the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(50);
/// Tries of the first connection; a server that was never there is reported soon.
const FIRST_TRIES: u32 = 4;
/// How long a server may be away once it was there.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);

/// What is watched.
#[derive(Debug, Clone, Default)]
pub struct WatchOptions {
    /// `projects/{project}`; empty: the key's own.
    pub parent: String,
    /// As in ListTasks; empty: every task.
    pub filter: String,
    /// Leaves the snapshot at the start out.
    pub skip_initial_state: bool,
}

/// What a watch tells.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// A task as it is now.
    Task(Box<Task>),
    /// Name of a task that was deleted or no longer matches.
    Removed(String),
    /// Every task that matches has been told.
    SnapshotComplete,
    /// Forget everything that was told: a snapshot follows. With the reason.
    Reset(String),
    /// How far a task's nodes are.
    Progress(TaskProgress),
}

impl Client {
    /// Watches a project's tasks. The stream goes on over lost connections and restarts of the server; it ends after an error
    /// that another try cannot cure, or when the server is away for 10 minutes.
    pub fn watch(&self, options: WatchOptions) -> impl Stream<Item = Result<WatchEvent, ClientError>> + Send + use<> {
        let watch = Watch {
            client: self.clone(),
            options,
            resume_token: String::new(),
            connection: None,
            failures: 0,
            last_contact: None,
            has_ended: false,
        };
        stream::unfold(watch, |mut watch| async move {
            if watch.has_ended {
                return None;
            }
            let event = watch.next().await;
            watch.has_ended = event.is_err();
            Some((event, watch))
        })
    }
}

struct Watch {
    client: Client,
    options: WatchOptions,
    /// Of the last safe point; empty: none yet.
    resume_token: String,
    connection: Option<Streaming<WatchTasksResponse>>,
    /// In a row.
    failures: u32,
    /// When the server was last heard; `None`: never.
    last_contact: Option<Instant>,
    has_ended: bool,
}

impl Watch {
    async fn next(&mut self) -> Result<WatchEvent, ClientError> {
        loop {
            let Some(connection) = &mut self.connection else {
                if let Some(reset) = self.reconnect().await? {
                    return Ok(reset);
                }
                continue;
            };
            let message = match tokio::time::timeout(SILENCE, connection.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => {
                    self.lost(Status::unavailable("the server ended the stream"))?;
                    continue;
                }
                Ok(Err(status)) => {
                    self.lost(status)?;
                    continue;
                }
                Err(_) => {
                    self.lost(Status::unavailable("the server is silent"))?;
                    continue;
                }
            };
            if let Some(event) = self.take(message) {
                return Ok(event);
            }
        }
    }

    /// Notes the safe point; heartbeats tell the caller nothing.
    fn take(&mut self, message: WatchTasksResponse) -> Option<WatchEvent> {
        self.failures = 0;
        self.last_contact = Some(Instant::now());
        if matches!(message.event, Some(Event::Reset(_))) {
            self.resume_token.clear();
        }
        if !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
        }
        match message.event? {
            Event::Task(task) => Some(WatchEvent::Task(Box::new(task))),
            Event::Removed(removed) => Some(WatchEvent::Removed(removed.name)),
            Event::InitialStateComplete(_) => Some(WatchEvent::SnapshotComplete),
            Event::Heartbeat(_) => None,
            Event::Reset(reset) => Some(WatchEvent::Reset(reset.reason)),
            Event::Progress(progress) => Some(WatchEvent::Progress(progress)),
        }
    }

    /// Opens the stream after a wait. Gives a reset where what was told before may have become stale unseen.
    async fn reconnect(&mut self) -> Result<Option<WatchEvent>, ClientError> {
        if self.failures > 0 {
            tokio::time::sleep(wait_after(self.failures)).await;
        }
        let was_connected = self.last_contact.is_some();
        let request = WatchTasksRequest {
            parent: self.options.parent.clone(),
            filter: self.options.filter.clone(),
            resume_token: self.resume_token.clone(),
            // Changes between two connections without a safe point are only found by a snapshot.
            skip_initial_state: self.options.skip_initial_state && !was_connected,
            heartbeat_interval: None,
        };
        let mut tasks = self.client.tasks();
        let opened = match tokio::time::timeout(SILENCE, tasks.watch_tasks(request)).await {
            Ok(opened) => opened,
            Err(_) => Err(Status::unavailable("the server is silent")),
        };
        match opened {
            Ok(answer) => {
                self.connection = Some(answer.into_inner());
                self.last_contact = Some(Instant::now());
                let is_new_snapshot = was_connected && self.resume_token.is_empty();
                Ok(is_new_snapshot.then(|| WatchEvent::Reset("the connection was lost before a safe point".into())))
            }
            Err(status) => self.lost(status).map(|()| None),
        }
    }

    /// Decides what a failure means: another try, another try without the token, or the end.
    fn lost(&mut self, status: Status) -> Result<(), ClientError> {
        self.connection = None;
        self.failures = self.failures.saturating_add(1);
        if is_bad_token(&status) && !self.resume_token.is_empty() {
            // The next connection starts without a token, and tells the reset when it is there.
            self.resume_token.clear();
            return Ok(());
        }
        let may_go_on = match self.last_contact {
            Some(last) => last.elapsed() < GIVE_UP_AFTER,
            None => self.failures < FIRST_TRIES,
        };
        if is_transient(&status) && may_go_on {
            return Ok(());
        }
        Err(status.into())
    }
}

fn is_bad_token(status: &Status) -> bool {
    status
        .get_details_error_info()
        .is_some_and(|info| info.reason == mps_proto::v1::ErrorReason::ResumeTokenInvalid.reason())
}

#[cfg(test)]
mod tests;
