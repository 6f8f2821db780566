//! Watches against a scripted server over loopback.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use mps_proto::v1::{
    self, CancelTaskRequest, CancelTaskResponse, DeleteTaskRequest, DeleteTaskResponse, ErrorReason, GetTaskRequest, GetTaskResponse,
    InitialStateComplete, ListTasksRequest, ListTasksResponse, ProcessMediaRequest, ProcessMediaResponse, RestartTaskRequest,
    RestartTaskResponse, WaitTaskRequest, WaitTaskResponse, WatchHeartbeat, WatchReset,
    task_service_server::{TaskService, TaskServiceServer},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;

type Script = Vec<Result<WatchTasksResponse, Status>>;

/// What each connection answers, and what each asked for.
#[derive(Clone, Default)]
struct Scripted {
    connections: Arc<Mutex<VecDeque<Result<Script, Status>>>>,
    asked: Arc<Mutex<Vec<WatchTasksRequest>>>,
    waits: Arc<Mutex<VecDeque<Result<WaitTaskResponse, Status>>>>,
}

impl Scripted {
    fn new(connections: Vec<Result<Script, Status>>) -> Self {
        Self {
            connections: Arc::new(Mutex::new(connections.into())),
            ..Default::default()
        }
    }

    async fn serve(&self) -> Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("has an address"));
        let server = tonic::transport::Server::builder().add_service(TaskServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Client::connect(&address, "key").await.expect("the address is right")
    }

    fn tokens(&self) -> Vec<String> {
        let asked = self.asked.lock().expect("not poisoned");
        asked.iter().map(|request| request.resume_token.clone()).collect()
    }
}

#[tonic::async_trait]
impl TaskService for Scripted {
    type WatchTasksStream = Pin<Box<dyn Stream<Item = Result<WatchTasksResponse, Status>> + Send>>;

    async fn watch_tasks(&self, request: Request<WatchTasksRequest>) -> Result<Response<Self::WatchTasksStream>, Status> {
        self.asked.lock().expect("not poisoned").push(request.into_inner());
        let script = self.connections.lock().expect("not poisoned").pop_front();
        let messages = script.unwrap_or_else(|| Err(Status::permission_denied("the script is over")))?;
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn wait_task(&self, _: Request<WaitTaskRequest>) -> Result<Response<WaitTaskResponse>, Status> {
        let answer = self.waits.lock().expect("not poisoned").pop_front();
        answer
            .unwrap_or_else(|| Err(Status::permission_denied("the script is over")))
            .map(Response::new)
    }

    async fn process_media(&self, _: Request<ProcessMediaRequest>) -> Result<Response<ProcessMediaResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn get_task(&self, _: Request<GetTaskRequest>) -> Result<Response<GetTaskResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn list_tasks(&self, _: Request<ListTasksRequest>) -> Result<Response<ListTasksResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn cancel_task(&self, _: Request<CancelTaskRequest>) -> Result<Response<CancelTaskResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn restart_task(&self, _: Request<RestartTaskRequest>) -> Result<Response<RestartTaskResponse>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn delete_task(&self, _: Request<DeleteTaskRequest>) -> Result<Response<DeleteTaskResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn message(token: &str, event: Event) -> Result<WatchTasksResponse, Status> {
    Ok(WatchTasksResponse {
        resume_token: token.into(),
        event: Some(event),
    })
}

fn task(token: &str, name: &str) -> Result<WatchTasksResponse, Status> {
    message(
        token,
        Event::Task(Task {
            name: name.into(),
            ..Default::default()
        }),
    )
}

fn bad_token() -> Status {
    let details = ErrorDetails::with_error_info(
        ErrorReason::ResumeTokenInvalid.reason(),
        mps_proto::ERROR_DOMAIN,
        std::collections::HashMap::new(),
    );
    Status::with_error_details(Code::InvalidArgument, "token is of another filter", details)
}

/// Every event up to the end of the script, in short.
async fn told(server: &Scripted, options: WatchOptions) -> Vec<String> {
    let client = server.serve().await;
    let events = client.watch(options).map(|event| match event {
        Ok(WatchEvent::Task(task)) => task.name,
        Ok(WatchEvent::Removed(name)) => format!("-{name}"),
        Ok(WatchEvent::SnapshotComplete) => "complete".into(),
        Ok(WatchEvent::Reset(_)) => "reset".into(),
        Ok(WatchEvent::Progress(progress)) => format!("~{}", progress.name),
        Err(ClientError::Call(status)) => format!("{:?}", status.code()),
        Err(other) => panic!("{other}"),
    });
    tokio::time::timeout(Duration::from_secs(30), events.collect())
        .await
        .expect("the script ends within 30 s")
}

#[tokio::test]
async fn a_lost_connection_goes_on_after_the_last_safe_point() {
    let server = Scripted::new(vec![
        Ok(vec![
            task("", "a"),
            message("t1", Event::InitialStateComplete(InitialStateComplete {})),
            message("t2", Event::Heartbeat(WatchHeartbeat {})),
            Err(Status::unavailable("gone")),
        ]),
        Err(Status::unavailable("still gone")),
        Ok(vec![
            task("t3", "b"),
            message("", Event::Removed(v1::TaskRemoved { name: "a".into() })),
        ]),
    ]);
    let events = told(&server, WatchOptions::default()).await;
    assert_eq!(events, ["a", "complete", "b", "-a", "PermissionDenied"]);
    assert_eq!(server.tokens(), ["", "t2", "t2", "t3"]);
}

#[tokio::test]
async fn a_connection_lost_before_any_safe_point_is_told_as_a_reset_with_a_whole_snapshot() {
    let server = Scripted::new(vec![Ok(vec![task("", "a")]), Ok(vec![task("", "a")])]);
    let options = WatchOptions {
        skip_initial_state: true,
        ..Default::default()
    };
    let events = told(&server, options).await;
    assert_eq!(events, ["a", "reset", "a", "PermissionDenied"]);
    let skipped: Vec<bool> = server
        .asked
        .lock()
        .expect("not poisoned")
        .iter()
        .map(|request| request.skip_initial_state)
        .collect();
    assert_eq!(skipped, [true, false, false], "changes in between are only found by a snapshot");
}

#[tokio::test]
async fn a_refused_token_starts_anew() {
    let server = Scripted::new(vec![Ok(vec![task("old", "a")]), Err(bad_token()), Ok(vec![task("new", "b")])]);
    let events = told(&server, WatchOptions::default()).await;
    assert_eq!(events, ["a", "reset", "b", "PermissionDenied"]);
    assert_eq!(server.tokens(), ["", "old", "", "new"]);
}

#[tokio::test]
async fn a_reset_of_the_server_forgets_the_token() {
    let reset = Event::Reset(WatchReset { reason: "expired".into() });
    let server = Scripted::new(vec![Ok(vec![task("old", "a"), message("", reset)])]);
    let events = told(&server, WatchOptions::default()).await;
    assert_eq!(events, ["a", "reset", "PermissionDenied"]);
    assert_eq!(server.tokens(), ["", ""]);
}

#[tokio::test]
async fn a_server_that_was_never_there_is_reported_soon() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("has an address"));
    drop(listener);
    let client = Client::connect(&address, "key").await.expect("the address is right");
    let events: Vec<_> = tokio::time::timeout(Duration::from_secs(30), client.watch(WatchOptions::default()).collect())
        .await
        .expect("given up within 30 s");
    assert!(
        matches!(events.as_slice(), [Err(ClientError::Call(status))] if status.code() == Code::Unavailable),
        "{events:?}"
    );
}

#[tokio::test]
async fn waiting_goes_on_over_lost_connections_until_the_task_is_done() {
    let answer = |done| {
        Ok(WaitTaskResponse {
            task: Some(Task::default()),
            done,
        })
    };
    let server = Scripted::default();
    server
        .waits
        .lock()
        .expect("not poisoned")
        .extend([answer(false), Err(Status::unavailable("restart")), answer(true)]);
    assert!(server.serve().await.wait_task("t").await.is_ok());
    assert!(matches!(server.serve().await.wait_task("t").await, Err(ClientError::Call(_))));
}
