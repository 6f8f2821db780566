//! One whole stack: redis-server, mps-server and mps-workers as real processes, and clients to it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mps_client::Client;
use mps_proto::v1::{self, Task, TaskState};

use crate::{
    database::{Database, DatabaseKind},
    process::{Process, bin_dir, free_port},
    wait::until,
};

/// How a stack is made.
#[derive(Clone)]
pub struct StackOptions {
    pub database: DatabaseKind,
    pub workers: usize,
    pub slots: usize,
    /// More environment of the server, such as `("MPS_LEASE_TTL", "3s")`.
    pub server_env: Vec<(String, String)>,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            database: DatabaseKind::Sqlite,
            workers: 1,
            slots: 2,
            server_env: vec![("MPS_LEASE_TTL".into(), "3s".into())],
        }
    }
}

impl StackOptions {
    pub fn on(database: DatabaseKind) -> Self {
        Self {
            database,
            ..Self::default()
        }
    }

    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    pub fn slots(mut self, slots: usize) -> Self {
        self.slots = slots;
        self
    }

    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.server_env.push((key.into(), value.into()));
        self
    }
}

/// A running stack. Everything ends when it drops.
pub struct Stack {
    pub options: StackOptions,
    pub folder: tempfile::TempDir,
    pub redis: Option<Process>,
    pub server: Option<Process>,
    pub workers: Vec<Process>,
    pub database: Database,
    pub public_port: u16,
    pub worker_port: u16,
    pub http_port: u16,
    pub store_port: u16,
}

impl Stack {
    /// Starts everything and waits until the server is ready.
    pub async fn start(options: StackOptions) -> Self {
        let folder = tempfile::Builder::new().prefix("mps-test-").tempdir().expect("temporary folder");
        let database = Database::start(options.database, folder.path());
        let mut stack = Self {
            workers: Vec::new(),
            redis: None,
            server: None,
            database,
            public_port: free_port(),
            worker_port: free_port(),
            http_port: free_port(),
            store_port: free_port(),
            folder,
            options,
        };
        stack.start_redis();
        stack.start_server().await;
        for _ in 0..stack.options.workers {
            stack.add_worker();
        }
        stack
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn redis_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub fn start_redis(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(self.socket());
        command.arg("--dir").arg(self.folder.path());
        self.redis = Some(Process::start(&mut command, &self.log("redis")));
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(self.socket()).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server is not ready within 5 s");
    }

    /// kill −9 of redis-server; with its data, since it keeps none.
    pub fn kill_redis(&mut self) {
        if let Some(mut redis) = self.redis.take() {
            redis.kill();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Starts mps-server on the stack's ports and data, and waits until it is ready.
    pub async fn start_server(&mut self) {
        let data = self.folder.path().join("data");
        let mut command = Command::new(bin_dir().join("mps-server"));
        command
            .env("MPS_DATA_DIR", &data)
            .env("MPS_DATABASE_URL", self.database.url())
            .env("MPS_REDIS_URL", self.redis_url())
            .env("MPS_LISTEN", format!("127.0.0.1:{}", self.public_port))
            .env("MPS_WORKER_LISTEN", format!("127.0.0.1:{}", self.worker_port))
            .env("MPS_HTTP_LISTEN", format!("127.0.0.1:{}", self.http_port))
            .env("MPS_LOCAL_STORE__LISTEN", format!("127.0.0.1:{}", self.store_port))
            .env("MPS_LOCAL_STORE__ROOT", data.join("objects"));
        for (key, value) in &self.options.server_env {
            command.env(key, value);
        }
        self.server = Some(Process::start(&mut command, &self.log("server")));
        let url = format!("http://127.0.0.1:{}/readyz", self.http_port);
        let start = std::time::Instant::now();
        loop {
            if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let server = self.server.as_mut().expect("server was started");
            assert!(
                server.is_alive() && start.elapsed() < Duration::from_secs(30),
                "mps-server is not ready:\n{}",
                server.log_text()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn kill_server(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    pub fn scratch(&self, worker: usize) -> PathBuf {
        self.folder.path().join(format!("scratch-{worker}"))
    }

    /// Starts one more worker; gives its index.
    pub fn add_worker(&mut self) -> usize {
        let index = self.workers.len();
        let process = self.spawn_worker(index);
        self.workers.push(process);
        index
    }

    /// Starts worker `index` again after its end.
    pub fn restart_worker(&mut self, index: usize) {
        self.workers[index] = self.spawn_worker(index);
    }

    fn spawn_worker(&self, index: usize) -> Process {
        let mut command = Command::new(bin_dir().join("mps-worker"));
        command
            .arg("run")
            .env("MPS_WORKER_SERVER", format!("http://127.0.0.1:{}", self.worker_port))
            .env("MPS_WORKER_TOKEN_FILE", self.folder.path().join("data/worker.token"))
            .env("MPS_WORKER_REDIS_URL", self.redis_url())
            .env("MPS_WORKER_POOL", "cpu")
            .env("MPS_WORKER_SCRATCH", self.scratch(index))
            .env("MPS_WORKER_SLOTS", self.options.slots.to_string());
        Process::start(&mut command, &self.log(&format!("worker-{index}")))
    }

    /// Waits until so many workers take units: they try their encoders first.
    pub async fn wait_joined(&self, count: usize) {
        let client = self.client().await;
        until(&format!("{count} workers have joined"), Duration::from_secs(60), || async {
            let listed = client.system().list_workers(v1::ListWorkersRequest::default()).await.ok()?;
            (listed.into_inner().workers.len() == count).then_some(())
        })
        .await;
    }

    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.public_port)
    }

    /// The installation's admin key.
    pub fn admin_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("data/admin.key"))
            .expect("server made admin.key")
            .trim()
            .to_owned()
    }

    pub async fn client(&self) -> Client {
        self.client_with(&self.admin_key()).await
    }

    pub async fn client_with(&self, key: &str) -> Client {
        Client::connect(&self.address(), key).await.expect("client connects")
    }

    /// Uploads a file to the built-in storage.
    pub async fn upload(&self, path: &Path, key: &str) {
        self.client()
            .await
            .upload_file("local", key, path, |_| {})
            .await
            .expect("upload works");
    }

    /// Waits until the task has ended, over restarts of the server.
    pub async fn wait_ended(&self, name: &str, deadline: Duration) -> Task {
        until(&format!("{name} ends"), deadline, || async {
            let client = Client::connect(&self.address(), &self.admin_key()).await.ok()?;
            let task = get(&client, name).await?;
            is_ended(task.state()).then_some(task)
        })
        .await
    }

    /// Waits until the task is in a state.
    pub async fn wait_state(&self, name: &str, state: TaskState, deadline: Duration) -> Task {
        until(&format!("{name} becomes {}", state.as_str_name()), deadline, || async {
            let client = Client::connect(&self.address(), &self.admin_key()).await.ok()?;
            get(&client, name).await.filter(|task| task.state() == state)
        })
        .await
    }

    /// Downloads an output into the stack's folder and checks size and checksum.
    pub async fn fetch_output(&self, output: &v1::Output) -> PathBuf {
        use sha2::Digest;
        let path = self.folder.path().join(output.key.replace('/', "_"));
        self.client()
            .await
            .download(&output.storage, &output.key, &path, |_| {})
            .await
            .expect("download works");
        let bytes = std::fs::read(&path).expect("downloaded file");
        assert_eq!(bytes.len() as i64, output.size_bytes, "{} has another size", output.key);
        assert_eq!(
            hex::encode(sha2::Sha256::digest(&bytes)),
            output.sha256,
            "{} has another checksum",
            output.key
        );
        path
    }

    /// Logs of all processes, for a failing test.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for process in self.server.iter().chain(&self.workers) {
            text += &format!("== {} ==\n{}\n", process.log.display(), process.log_text());
        }
        text
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        for worker in &mut self.workers {
            worker.signal(nix::sys::signal::Signal::SIGCONT);
            worker.stop(Duration::from_secs(8));
        }
        if let Some(server) = &mut self.server {
            server.stop(Duration::from_secs(8));
        }
    }
}

/// A task, or `None` while the server does not answer.
pub async fn get(client: &Client, name: &str) -> Option<Task> {
    client
        .tasks()
        .get_task(v1::GetTaskRequest { name: name.into() })
        .await
        .ok()?
        .into_inner()
        .task
}

pub fn is_ended(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Succeeded | TaskState::PartiallySucceeded | TaskState::Failed | TaskState::Cancelled
    )
}

/// A transcode node from a template.
pub fn transcode(template: &str) -> v1::Node {
    let source = Some(v1::transcode_node::Source::Template(template.into()));
    v1::Node {
        operation: Some(v1::node::Operation::Transcode(v1::TranscodeNode {
            source,
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// A snapshot node from the JPEG preset.
pub fn snapshots(offsets: &[&str]) -> v1::Node {
    let source = Some(v1::snapshot_node::Source::Template("preset-snapshot-jpeg".into()));
    let offsets = offsets.iter().map(ToString::to_string).collect();
    v1::Node {
        operation: Some(v1::node::Operation::Snapshot(v1::SnapshotNode {
            source,
            offsets,
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// A request over an object of the built-in storage; outputs go to `out/{input}/`.
pub fn request(key: &str, nodes: Vec<v1::Node>) -> v1::ProcessMediaRequest {
    let object = v1::StorageObject {
        storage: "local".into(),
        key: key.into(),
    };
    v1::ProcessMediaRequest {
        input: Some(v1::TaskInput {
            source: Some(v1::task_input::Source::Object(object)),
        }),
        output: Some(v1::TaskOutput {
            storage: String::new(),
            directory: format!("out/{key}/"),
        }),
        nodes,
        ..Default::default()
    }
}

/// Submits and gives the task's name.
pub async fn submit(client: &Client, request: v1::ProcessMediaRequest) -> String {
    let answer = client
        .tasks()
        .process_media(request)
        .await
        .unwrap_or_else(|status| panic!("refused: {status:?}"));
    answer.into_inner().task.expect("answer carries the task").name
}
