//! One server without listeners: a database of its own, the built-in store on a folder, no Redis. Tests play the workers.

use std::sync::{Arc, Mutex, Weak};

use mps_proto::{
    v1::{self, NodeState, OnConflict, TaskState},
    worker::v1::{
        self as worker, CommitState, CompleteUnitRequest, CompletedNode, CompletedOutput, LeaseScope, MediaPlan, PlanNode, PlanOutput,
    },
};
use mps_server::{
    app::App,
    config::{Config, Secret},
    service::{
        commit,
        fail::{self, AttemptOver},
        fence::UnitError,
        lease::{self, Leased},
        renew, uploads, workers,
    },
    storage::embedded,
    store::{
        Store,
        leases::{self, Token, UnitRow},
        outputs::{self, NewOutput, OutputRow},
        tasks::{self, TaskRow},
        units::{self, NewUnit},
        workers::WorkerRow,
    },
};
use mps_tests::database::Postgres;
use sea_orm::{ConnectionTrait, Value};
use sha2::{Digest, Sha256};

pub const PROJECT: &str = "p1";
/// A question for any unit, by a worker with one free slot.
pub const ANY: lease::Ask = lease::Ask {
    scope: LeaseScope::Unspecified,
    free_slots: 1,
    free_scratch_bytes: 0,
};
static CLUSTER: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());

pub struct Bench {
    pub app: App,
    folder: tempfile::TempDir,
    _cluster: Option<Arc<Postgres>>,
    serving: tokio::task::JoinHandle<()>,
}

/// A task whose nodes make one file each, in one unit.
pub struct TestTask {
    pub id: String,
    pub unit_id: String,
}

pub struct TaskSpec {
    pub project: &'static str,
    pub nodes: usize,
    pub priority: i32,
    pub on_conflict: OnConflict,
    pub requirements: Vec<String>,
}

impl Default for TaskSpec {
    fn default() -> Self {
        Self {
            project: PROJECT,
            nodes: 1,
            priority: 0,
            on_conflict: OnConflict::Replace,
            requirements: Vec::new(),
        }
    }
}

/// The cluster of this run; it ends with the last test that uses it.
fn cluster() -> Arc<Postgres> {
    let mut shared = CLUSTER.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(Postgres::start());
    *shared = Arc::downgrade(&started);
    started
}

async fn new_database(cluster: &Postgres) -> String {
    let admin = Store::connect(&cluster.url(), 1).await.unwrap();
    let name = format!("t{}", mps_proto::name::new_id());
    admin.writer().execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    let url = cluster.url();
    format!("{}/{name}", url.rsplit_once('/').unwrap().0)
}

impl Bench {
    pub async fn start(on_postgres: bool) -> Self {
        Self::start_with(on_postgres, &[]).await
    }

    pub async fn start_with(on_postgres: bool, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let mut environment = vec![
            ("MPS_DATA_DIR", data.as_str()),
            ("MPS_LOCAL_STORE__LISTEN", "127.0.0.1:0"),
            ("MPS_REDIS_URL", "redis://127.0.0.1:1"),
        ];
        environment.extend_from_slice(settings);
        let mut config = Config::of(&environment).unwrap();
        let cluster = on_postgres.then(cluster);
        if let Some(cluster) = &cluster {
            config.database_url = Secret::new(new_database(cluster).await);
        }
        let store = Store::connect(config.database_url.expose(), 8).await.unwrap();
        store.migrate().await.unwrap();
        let listener = tokio::net::TcpListener::bind(config.local_store.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        config.local_store.listen = address;
        let app = App::open(config, store).await.unwrap();
        let keys = embedded::LocalKeys::load(folder.path()).unwrap();
        let (shared, ended) = (app.config.clone(), app.shutdown.clone());
        let serving = tokio::spawn(async move {
            embedded::serve(listener, shared, keys, async move { ended.cancelled().await })
                .await
                .unwrap();
        });
        Self {
            app,
            folder,
            _cluster: cluster,
            serving,
        }
    }

    /// Another server on the same database and store.
    pub fn replica(&self) -> App {
        App {
            replica_id: mps_proto::name::new_id().into(),
            ..self.app.clone()
        }
    }

    pub async fn join(&self, id: &str, capabilities: &[&str]) {
        let worker = WorkerRow {
            id: id.into(),
            display_name: id.into(),
            pool: "cpu".into(),
            slots: 4,
            capabilities: capabilities.iter().map(|&capability| capability.to_owned()).collect(),
            plan_versions: vec![mps_proto::PLAN_VERSION],
            version: "test".into(),
            draining: false,
            drain_reason: String::new(),
            join_ms: 0,
            seen_ms: 0,
        };
        workers::join(&self.app, worker).await.unwrap();
    }

    pub async fn task(&self, spec: TaskSpec) -> TestTask {
        let id = mps_proto::name::new_id();
        let keys: Vec<String> = (0..spec.nodes).map(|number| format!("n{number}")).collect();
        let status = |key: &String| v1::NodeStatus {
            key: key.clone(),
            state: NodeState::Waiting as i32,
            ..v1::NodeStatus::default()
        };
        let mut row = TaskRow {
            id: id.clone(),
            project: spec.project.into(),
            state: TaskState::Waiting,
            open_units: 1,
            revision: 0,
            create_ms: self.app.store.now_ms().await.unwrap(),
            start_ms: None,
            end_ms: None,
            input: "local:in.mp4".into(),
            task: v1::Task {
                name: mps_proto::name::full(spec.project, "tasks", &id),
                node_statuses: keys.iter().map(status).collect(),
                priority: spec.priority,
                run: 1,
                on_conflict: spec.on_conflict as i32,
                ..v1::Task::default()
            },
            spec: v1::ProcessMediaRequest::default(),
            traceparent: String::new(),
        };
        let txn = self.app.store.begin().await.unwrap();
        tasks::insert(&self.app.store, &txn, &mut row).await.unwrap();
        let unit_id = self.queue_unit(&txn, &row, &keys, spec.requirements).await;
        txn.commit().await.unwrap();
        TestTask { id, unit_id }
    }

    async fn queue_unit(&self, txn: &sea_orm::DatabaseTransaction, row: &TaskRow, keys: &[String], requirements: Vec<String>) -> String {
        let unit_id = mps_proto::name::new_id();
        let bucket = self.app.storages.open(&row.project, "local").await.unwrap();
        let mut outputs = Vec::new();
        let mut plan = MediaPlan {
            plan_version: mps_proto::PLAN_VERSION,
            ..MediaPlan::default()
        };
        for key in keys {
            let output_id = mps_proto::name::new_id();
            plan.nodes.push(PlanNode {
                key: key.clone(),
                outputs: vec![PlanOutput {
                    output_id: output_id.clone(),
                    ..PlanOutput::default()
                }],
                ..PlanNode::default()
            });
            outputs.push(NewOutput {
                id: output_id,
                task_id: row.id.clone(),
                run: row.task.run,
                node_key: key.clone(),
                number: 0,
                project: row.project.clone(),
                storage_id: "local".into(),
                bucket_ref: bucket.bucket_ref().into(),
                object_key: object_key(&row.id, key),
                content_type: "video/mp4".into(),
                unit_id: unit_id.clone(),
            });
        }
        let unit = NewUnit {
            id: unit_id.clone(),
            task_id: row.id.clone(),
            project: row.project.clone(),
            run: row.task.run,
            pool: "cpu".into(),
            requirements,
            priority: row.task.priority,
            cost: 1.0,
            plan,
            attempt: 0,
            charged: 0,
        };
        units::insert(&self.app.store, txn, &[unit]).await.unwrap();
        if let Err(error) = outputs::reserve(&self.app.store, txn, &outputs).await {
            panic!("{error:?}");
        }
        unit_id
    }

    /// Starts another run of an ended task, with a new unit, as RestartTask does.
    pub async fn restart(&self, task: &TestTask) -> String {
        let txn = self.app.store.begin().await.unwrap();
        let mut row = tasks::lock(&self.app.store, &txn, &task.id).await.unwrap().unwrap();
        assert!(row.ended());
        row.task.run += 1;
        row.state = TaskState::Waiting;
        row.open_units = 1;
        row.end_ms = None;
        let keys: Vec<String> = row.task.node_statuses.iter().map(|status| status.key.clone()).collect();
        for key in &keys {
            row.node_mut(key).unwrap().set_state(NodeState::Waiting);
        }
        let unit_id = self.queue_unit(&txn, &row, &keys, Vec::new()).await;
        tasks::save(&self.app.store, &txn, &mut row).await.unwrap();
        txn.commit().await.unwrap();
        unit_id
    }

    /// Sets a task to cancelling while its unit is leased or committing, as CancelTask does.
    pub async fn cancel(&self, task: &TestTask) {
        let txn = self.app.store.begin().await.unwrap();
        let mut row = tasks::lock(&self.app.store, &txn, &task.id).await.unwrap().unwrap();
        row.state = TaskState::Cancelling;
        tasks::save(&self.app.store, &txn, &mut row).await.unwrap();
        txn.commit().await.unwrap();
    }

    pub async fn lease(&self, worker: &str) -> Option<Leased> {
        self.lease_of(worker, ANY.scope).await
    }

    pub async fn lease_of(&self, worker: &str, scope: LeaseScope) -> Option<Leased> {
        lease::lease(&self.app, worker, lease::Ask { scope, ..ANY }).await.unwrap()
    }

    pub async fn leased(&self, worker: &str) -> (Token, UnitRow) {
        let leased = self.lease(worker).await.expect("a unit is leased");
        (token(&leased.unit), leased.unit)
    }

    pub async fn renew(&self, worker: &str, token: &Token) -> worker::LeaseState {
        let renewal = renew::renew(&self.app, worker, std::slice::from_ref(token)).await.unwrap();
        renewal.verdicts[0].state()
    }

    /// Lets a lease run out.
    pub async fn expire(&self, token: &Token) {
        self.execute(
            "UPDATE units SET lease_until_ms = 1 WHERE id = $1 AND state = 2",
            vec![token.unit_id.as_str().into()],
        )
        .await;
    }

    pub async fn reap(&self) {
        mps_server::service::reconcile::reap(&self.app).await.unwrap();
    }

    /// Uploads a file for each output of the unit, except for `failing` nodes, and gives the list to complete it with.
    pub async fn upload(&self, token: &Token, unit: &UnitRow, failing: &[(&str, worker::FailureKind)]) -> CompleteUnitRequest {
        let mut request = CompleteUnitRequest {
            unit: Some(worker::UnitAttempt {
                unit_id: token.unit_id.clone(),
                attempt: token.attempt,
            }),
            ..CompleteUnitRequest::default()
        };
        for node in &unit.plan.nodes {
            let mut completed = CompletedNode {
                key: node.key.clone(),
                ..CompletedNode::default()
            };
            match failing.iter().find(|(key, _)| *key == node.key) {
                Some((_, kind)) => completed.failure = Some(failure(*kind, v1::ErrorReason::PipelineFailed)),
                None => {
                    for output in &node.outputs {
                        completed.outputs.push(self.upload_file(token, &output.output_id).await);
                    }
                }
            }
            request.nodes.push(completed);
        }
        request
    }

    pub async fn upload_file(&self, token: &Token, output_id: &str) -> CompletedOutput {
        let body = format!("made by {}/{}", token.unit_id, token.attempt).into_bytes();
        let sha256 = hex::encode(Sha256::digest(&body));
        let size_bytes = body.len() as i64;
        let upload = uploads::create(&self.app, token, output_id, size_bytes, &sha256).await.unwrap();
        assert_eq!(upload.part_count, 1);
        let (urls, _) = uploads::part_urls(&self.app, token, &upload.id, &[1]).await.unwrap();
        let answer = reqwest::Client::new().put(&urls[0]).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        CompletedOutput {
            output_id: output_id.into(),
            upload_id: upload.id,
            part_etags: vec![etag],
            size_bytes,
            sha256,
        }
    }

    pub async fn complete(&self, token: &Token, request: CompleteUnitRequest) -> CommitState {
        commit::complete(&self.app, token, request).await.unwrap()
    }

    /// Uploads and completes a unit.
    pub async fn finish(&self, token: &Token, unit: &UnitRow) -> CommitState {
        let request = self.upload(token, unit, &[]).await;
        self.complete(token, request).await
    }

    pub async fn fail(&self, token: &Token, kind: worker::FailureKind, reason: v1::ErrorReason, split: bool) -> Result<(), UnitError> {
        let over = AttemptOver {
            failure: failure(kind, reason),
            split,
            log_tail: "last words".into(),
            ..AttemptOver::default()
        };
        fail::fail(&self.app, token, over).await
    }

    pub async fn row(&self, task: &TestTask) -> TaskRow {
        let mut rows = tasks::read_many(&self.app.store, std::slice::from_ref(&task.id)).await.unwrap();
        rows.pop().unwrap()
    }

    pub async fn state(&self, task: &TestTask) -> TaskState {
        self.row(task).await.state
    }

    pub async fn unit(&self, id: &str) -> UnitRow {
        leases::get(&self.app.store, id).await.unwrap().unwrap()
    }

    pub async fn outputs(&self, unit_id: &str) -> Vec<OutputRow> {
        let txn = self.app.store.begin().await.unwrap();
        let rows = outputs::of_unit(&self.app.store, &txn, unit_id).await.unwrap();
        txn.rollback().await.unwrap();
        rows
    }

    /// Content of the object that a node of a task published, if it stands there.
    pub async fn object(&self, task: &TestTask, key: &str) -> Option<String> {
        let bucket = self.app.storages.open(PROJECT, "local").await.unwrap();
        let found = bucket.head(&object_key(&task.id, key)).await.unwrap();
        found.as_ref()?;
        let body = bucket.get(&object_key(&task.id, key), None).await.unwrap();
        Some(String::from_utf8(body).unwrap())
    }

    pub async fn put_object(&self, task: &TestTask, key: &str, body: &str) {
        let bucket = self.app.storages.open(PROJECT, "local").await.unwrap();
        bucket.put(&object_key(&task.id, key), "text/plain", body.into()).await.unwrap();
    }

    pub async fn execute(&self, text: &str, values: Vec<Value>) {
        self.app.store.writer().execute_raw(self.app.store.sql(text, values)).await.unwrap();
    }

    pub async fn count(&self, text: &str, values: Vec<Value>) -> i64 {
        let row = self
            .app
            .store
            .writer()
            .query_one_raw(self.app.store.sql(text, values))
            .await
            .unwrap();
        row.unwrap().try_get("", "count").unwrap()
    }

    /// Uploads that are neither completed nor aborted.
    pub async fn open_uploads(&self) -> i64 {
        self.count("SELECT count(*) AS count FROM uploads WHERE state NOT IN (3, 5)", vec![])
            .await
    }

    /// Checks that the counter of open units is right.
    pub async fn check_counter(&self, task: &TestTask) {
        let text = "SELECT count(*) AS count FROM units WHERE task_id = $1 AND state IN (0, 1, 2, 3)";
        let open = self.count(text, vec![task.id.as_str().into()]).await;
        assert_eq!(i64::from(self.row(task).await.open_units), open);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
        self.serving.abort();
        let _ = self.folder.path();
    }
}

pub fn token(unit: &UnitRow) -> Token {
    Token {
        unit_id: unit.id.clone(),
        attempt: unit.attempt,
    }
}

pub fn object_key(task_id: &str, node_key: &str) -> String {
    format!("out/{task_id}/{node_key}.mp4")
}

pub fn failure(kind: worker::FailureKind, reason: v1::ErrorReason) -> worker::Failure {
    worker::Failure {
        kind: kind as i32,
        status: Some(fail::errors::status(tonic::Code::Internal, reason, "it broke", "mend it")),
    }
}
