//! Waiting for one task's end.

use std::time::{Duration, Instant};

use mps_proto::v1::{Task, WaitTaskRequest};

use crate::{
    Client, ClientError,
    retry::{is_transient, wait_after},
};

/// How long one WaitTask may last on the server.
const ONE_WAIT: Duration = Duration::from_secs(30);
/// Time on top after which an answer is missing.
const SLACK: Duration = Duration::from_secs(15);
/// How long a server may be away.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

impl Client {
    /// Waits until a task's run has ended, over restarts of the server. Fails when the server is away for 5 minutes.
    pub async fn wait_task(&self, name: &str) -> Result<Task, ClientError> {
        let mut last_contact = Instant::now();
        let mut failures = 0;
        loop {
            match self.wait_once(name).await {
                Ok((task, true)) => return Ok(task),
                Ok((_, false)) => (failures, last_contact) = (0, Instant::now()),
                Err(status) if is_transient(&status) && last_contact.elapsed() < GIVE_UP_AFTER => {
                    failures += 1;
                    tokio::time::sleep(wait_after(failures)).await;
                }
                Err(status) => return Err(status.into()),
            }
        }
    }

    async fn wait_once(&self, name: &str) -> Result<(Task, bool), tonic::Status> {
        let mut request = tonic::Request::new(WaitTaskRequest {
            name: name.to_owned(),
            timeout: prost_types::Duration::try_from(ONE_WAIT).ok(),
        });
        request.set_timeout(ONE_WAIT + SLACK);
        let answer = self.tasks().wait_task(request).await?.into_inner();
        let task = answer
            .task
            .ok_or_else(|| tonic::Status::failed_precondition("the server's answer has no task"))?;
        Ok((task, answer.done))
    }
}
