//! The listeners as clients see them: keys, roles, health, reflection, gRPC-Web, CORS, shutdown.

use std::{net::SocketAddr, time::Duration};

use mps_proto::{
    v1::{self as api, task_service_client::TaskServiceClient},
    worker::v1::{JoinRequest, worker_service_client::WorkerServiceClient},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tonic::{Code, Request, transport::Channel};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt;

use crate::{app::App, config::Config, serve::Listeners, service::access, store::Store};

/// A server on free ports; Redis is not there, and need not be.
struct Fixture {
    app: App,
    public: SocketAddr,
    worker: SocketAddr,
    http: SocketAddr,
    folder: tempfile::TempDir,
    serving: JoinSet<()>,
}

impl Fixture {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let any = "127.0.0.1:0";
        let mut all = vec![
            ("MPS_DATA_DIR", folder.path().to_str().unwrap()),
            ("MPS_REDIS_URL", "redis+unix:///nowhere"),
        ];
        all.extend(["MPS_LISTEN", "MPS_WORKER_LISTEN", "MPS_HTTP_LISTEN", "MPS_LOCAL_STORE__LISTEN"].map(|key| (key, any)));
        all.extend_from_slice(environment);
        let mut config = Config::of(&all).unwrap();
        std::fs::write(folder.path().join("worker.token"), "any-token\ngpu gpu-token\n").unwrap();
        let store = Store::connect(config.database_url.expose(), 2).await.unwrap();
        store.migrate().await.unwrap();
        let listeners = Listeners::bind(&mut config).await.unwrap();
        let (public, worker, http) = listeners.addresses().unwrap();
        let app = App::open(config, store).await.unwrap();
        access::bootstrap(&app).await.unwrap();
        let serving = listeners.serve(&app).unwrap();
        Self {
            app,
            public,
            worker,
            http,
            folder,
            serving,
        }
    }

    async fn channel(&self, address: SocketAddr) -> Channel {
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
    }

    fn admin_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("admin.key"))
            .unwrap()
            .trim()
            .to_owned()
    }
}

#[tokio::test]
async fn call_without_a_valid_key_is_refused_with_a_hint() {
    let server = Fixture::start(&[]).await;
    let mut tasks = TaskServiceClient::new(server.channel(server.public).await);
    let error = tasks.list_tasks(api::ListTasksRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let info = error.get_details_error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("UNAUTHENTICATED", "mps.v1"));
    assert!(info.metadata.contains_key("hint"));

    // A worker's token is no key, and a key is no token.
    let request = bearing(api::ListTasksRequest::default(), "any-token");
    assert_eq!(tasks.list_tasks(request).await.unwrap_err().code(), Code::Unauthenticated);
    let mut workers = WorkerServiceClient::new(server.channel(server.worker).await);
    let request = bearing(join_cpu(), &server.admin_key());
    assert_eq!(workers.join(request).await.unwrap_err().code(), Code::Unauthenticated);

    // WorkerService is not on the public listener, whoever asks.
    let mut public = WorkerServiceClient::new(server.channel(server.public).await);
    let request = bearing(join_cpu(), &server.admin_key());
    assert_eq!(public.join(request).await.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn worker_joins_only_the_pool_that_its_token_is_for() {
    let server = Fixture::start(&[]).await;
    let mut workers = WorkerServiceClient::new(server.channel(server.worker).await);
    let refused = workers.join(bearing(join_cpu(), "gpu-token")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    workers
        .join(bearing(join_cpu(), "any-token"))
        .await
        .expect("the token is for any pool");
}

fn bearing<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

fn join_cpu() -> JoinRequest {
    JoinRequest {
        worker_id: mps_proto::name::new_id(),
        pool: "cpu".into(),
        slots: 1,
        plan_versions: vec![1],
        ..Default::default()
    }
}

#[tokio::test]
async fn health_is_open_and_reflection_shows_the_contract_with_comments_but_no_workers() {
    let server = Fixture::start(&[]).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel(server.public).await);
    let request = tonic_health::pb::HealthCheckRequest {
        service: "mps.v1.TaskService".into(),
    };
    let status = health.check(request).await.unwrap().into_inner().status();
    assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving);

    let listed = reflect(&server, MessageRequest::ListServices(String::new())).await;
    let Some(MessageResponse::ListServicesResponse(services)) = listed else {
        panic!("no list")
    };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["mps.v1.TaskService", "mps.v1.AccessService", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("mps.worker")), "{names:?}");

    for symbol in ["mps.v1.TaskService", "google.rpc.BadRequest", "google.rpc.ErrorInfo"] {
        let found = reflect(&server, MessageRequest::FileContainingSymbol(symbol.into())).await;
        let Some(MessageResponse::FileDescriptorResponse(file)) = found else {
            panic!("{symbol} is not there")
        };
        let text = String::from_utf8_lossy(&file.file_descriptor_proto[0]).into_owned();
        assert!(
            symbol != "mps.v1.TaskService" || text.contains("Role: operator."),
            "comments are not there"
        );
    }
}

async fn reflect(server: &Fixture, message: MessageRequest) -> Option<MessageResponse> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let mut client = ServerReflectionClient::new(server.channel(server.public).await);
    let mut answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    answers.message().await.unwrap()?.message_response
}

#[tokio::test]
async fn closed_reflection_needs_a_key() {
    let server = Fixture::start(&[("MPS_OPEN_REFLECTION", "false")]).await;
    let mut client = ServerReflectionClient::new(server.channel(server.public).await);
    let request = tokio_stream::once(ServerReflectionRequest::default());
    assert_eq!(
        client.server_reflection_info(request).await.unwrap_err().code(),
        Code::Unauthenticated
    );
}

/// One HTTP/1.1 exchange.
async fn http1(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}host: test\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn web_pages_of_configured_origins_call_over_grpc_web() {
    let server = Fixture::start(&[("MPS_CORS_ORIGINS", "https://console.example")]).await;
    let preflight = "OPTIONS /mps.v1.TaskService/ListTasks HTTP/1.1\r\norigin: https://console.example\r\n\
        access-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type,x-grpc-web\r\n";
    let answer = http1(server.public, preflight, b"").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("access-control-allow-origin: https://console.example"), "{answer}");

    let call = "POST /mps.v1.SystemService/GetServerInfo HTTP/1.1\r\norigin: https://console.example\r\n\
        content-type: application/grpc-web+proto\r\n";
    let answer = http1(server.public, call, &[0; 5]).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("grpc-status: 16"), "{answer}");
    assert!(answer.contains("access-control-expose-headers"), "{answer}");

    let check = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\ncontent-type: application/grpc-web+proto\r\n";
    let answer = http1(server.public, check, &[0; 5]).await;
    assert!(answer.contains("grpc-status:0"), "{answer}");

    let other = preflight.replace("console", "evil");
    assert!(!http1(server.public, &other, b"").await.contains("access-control-allow-origin"));
}

#[tokio::test]
async fn http_tells_health_readiness_and_metrics() {
    let server = Fixture::start(&[]).await;
    let mut tasks = TaskServiceClient::new(server.channel(server.public).await);
    tasks.list_tasks(api::ListTasksRequest::default()).await.unwrap_err();
    assert!(
        http1(server.http, "GET /healthz HTTP/1.1\r\n", b"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        http1(server.http, "GET /readyz HTTP/1.1\r\n", b"")
            .await
            .starts_with("HTTP/1.1 200")
    );
    let metrics = http1(server.http, "GET /metrics HTTP/1.1\r\n", b"").await;
    let counted = "mps_grpc_calls_total{code=\"Unauthenticated\",method=\"mps.v1.TaskService/ListTasks\"}";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn server_ends_within_its_grace_although_a_client_stays_connected() {
    let server = Fixture::start(&[]).await;
    let idle = server.channel(server.public).await;
    let mut tasks = TaskServiceClient::new(idle.clone());
    tasks.list_tasks(api::ListTasksRequest::default()).await.unwrap_err();
    server.app.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.serving.join_all())
        .await
        .expect("all listeners end");
    drop(idle);
}
