//! Relay, hub and sessions over SQLite and a real redis-server.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures::StreamExt;
use mps_proto::{
    name,
    v1::{self, Role, TaskState, WatchTasksResponse, watch_tasks_response::Event},
};
use tokio::task::JoinSet;
use tonic::{Code, Status};

use super::{WatchSpec, WatchStream, watch};
use crate::{
    app::App,
    config::Config,
    filter::Filter,
    grpc::caller::Caller,
    outbox,
    service::access,
    store::{
        Store,
        tasks::{self, TaskRow},
        testing,
    },
};

/// A replica's relay and hub on a database and a Redis of their own.
struct Fixture {
    app: App,
    folder: tempfile::TempDir,
    redis: Option<Child>,
    loops: JoinSet<()>,
    caller: Caller,
}

impl Fixture {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = spawn_redis(folder.path().join("redis.sock")).await;
        let redis_url = format!("redis+unix://{}/redis.sock", folder.path().display());
        let mut all = vec![
            ("MPS_DATA_DIR", folder.path().to_str().unwrap()),
            ("MPS_REDIS_URL", redis_url.as_str()),
        ];
        all.extend_from_slice(environment);
        let database_url = testing::own_postgres_schema().await;
        all.extend(database_url.iter().map(|url| ("MPS_DATABASE_URL", url.as_str())));
        let config = Config::of(&all).unwrap();
        let store = Store::connect(config.database_url.expose(), 2).await.unwrap();
        store.migrate().await.unwrap();
        let app = App::open(config, store).await.unwrap();
        access::bootstrap(&app).await.unwrap();
        let key = std::fs::read_to_string(folder.path().join("admin.key")).unwrap();
        let caller = access::authenticate(&app, key.trim()).await.unwrap();
        assert_eq!(caller.role, Role::Admin);
        let mut loops = JoinSet::new();
        loops.spawn(outbox::run(app.clone()));
        loops.spawn(super::run(app.clone()));
        Self {
            app,
            folder,
            redis: Some(redis),
            loops,
            caller,
        }
    }

    fn kill_redis(&mut self) {
        let mut redis = self.redis.take().unwrap();
        redis.kill().unwrap();
        redis.wait().unwrap();
        std::fs::remove_file(self.folder.path().join("redis.sock")).unwrap();
    }

    async fn start_redis(&mut self) {
        self.redis = Some(spawn_redis(self.folder.path().join("redis.sock")).await);
    }

    async fn watch(&self, resume_token: &str) -> Watcher {
        let spec = WatchSpec {
            project: "default".into(),
            filter: Filter::default(),
            filter_text: String::new(),
            resume_token: resume_token.into(),
            skip_initial_state: false,
            heartbeat: Duration::from_secs(1),
        };
        let stream = watch(&self.app, self.caller.clone(), spec).await.unwrap();
        Watcher::new(stream)
    }

    async fn insert(&self) -> String {
        let id = name::new_id();
        let mut row = TaskRow {
            id: id.clone(),
            project: "default".into(),
            state: TaskState::Waiting,
            open_units: 1,
            revision: 0,
            create_ms: self.app.store.now_ms().await.unwrap(),
            start_ms: None,
            end_ms: None,
            input: "local:in.mp4".into(),
            task: v1::Task {
                name: name::full("default", "tasks", &id),
                ..Default::default()
            },
            spec: v1::ProcessMediaRequest::default(),
            traceparent: String::new(),
        };
        let txn = self.app.store.begin().await.unwrap();
        tasks::insert(&self.app.store, &txn, &mut row).await.unwrap();
        txn.commit().await.unwrap();
        self.app.nudge.committed();
        id
    }

    async fn change(&self, id: &str, state: TaskState) {
        let txn = self.app.store.begin().await.unwrap();
        let mut row = tasks::lock(&self.app.store, &txn, id).await.unwrap().unwrap();
        row.state = state;
        tasks::save(&self.app.store, &txn, &mut row).await.unwrap();
        txn.commit().await.unwrap();
        self.app.nudge.committed();
    }

    async fn delete(&self, id: &str) {
        use sea_orm::ConnectionTrait;
        let txn = self.app.store.begin().await.unwrap();
        let row = tasks::lock(&self.app.store, &txn, id).await.unwrap().unwrap();
        let statement = self.app.store.sql("DELETE FROM tasks WHERE id = $1", [id.into()]);
        txn.execute_raw(statement).await.unwrap();
        tasks::announce(&self.app.store, &txn, &row).await.unwrap();
        txn.commit().await.unwrap();
        self.app.nudge.committed();
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.loops.abort_all();
        if let Some(redis) = &mut self.redis {
            let _ = redis.kill();
            let _ = redis.wait();
        }
    }
}

async fn spawn_redis(socket: PathBuf) -> Child {
    // Killed and waited for by the fixture.
    #[allow(clippy::zombie_processes)]
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed");
    for _ in 0..500 {
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            return child;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("redis-server is not ready within 5 s");
}

/// What a client knows.
struct Watcher {
    stream: WatchStream,
    states: std::collections::HashMap<String, TaskState>,
    messages: usize,
    resets: usize,
    complete: bool,
    token: String,
}

impl Watcher {
    fn new(stream: WatchStream) -> Self {
        Self {
            stream,
            states: Default::default(),
            messages: 0,
            resets: 0,
            complete: false,
            token: String::new(),
        }
    }

    fn take(&mut self, message: WatchTasksResponse) {
        let id = |name: &str| name.rsplit('/').next().unwrap().to_owned();
        match message.event.unwrap() {
            Event::Task(task) => {
                self.messages += 1;
                self.states.insert(id(&task.name), task.state());
            }
            Event::Removed(removed) => drop(self.states.remove(&id(&removed.name))),
            Event::Reset(_) => {
                self.states.clear();
                self.resets += 1;
                self.complete = false;
            }
            Event::InitialStateComplete(_) => self.complete = true,
            Event::Heartbeat(_) | Event::Progress(_) => {}
        }
        if !message.resume_token.is_empty() {
            self.token = message.resume_token;
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<(), Status> {
        let reading = async {
            while !done(self) {
                let message = self.stream.next().await.expect("stream goes on")?;
                self.take(message);
            }
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .unwrap_or_else(|_| panic!("not within 10 s: {what}"))
    }

    async fn until_state(&mut self, id: &str, state: TaskState) {
        self.until(&format!("{id} is {state:?}"), |watcher| watcher.states.get(id) == Some(&state))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn snapshot_is_followed_by_each_change_once_and_by_removals() {
    let fixture = Fixture::start(&[]).await;
    let (first, second) = (fixture.insert().await, fixture.insert().await);
    let mut watcher = fixture.watch("").await;
    watcher.until("snapshot", |watcher| watcher.complete).await.unwrap();
    assert_eq!((watcher.states.len(), watcher.messages), (2, 2));

    fixture.change(&first, TaskState::Processing).await;
    watcher.until_state(&first, TaskState::Processing).await;
    fixture.delete(&second).await;
    watcher.until("removal", |watcher| watcher.states.len() == 1).await.unwrap();
    let third = fixture.insert().await;
    watcher.until_state(&third, TaskState::Waiting).await;
    assert_eq!((watcher.messages, watcher.resets), (4, 0));
}

#[tokio::test]
async fn returning_watcher_gets_what_it_missed_and_no_more() {
    let fixture = Fixture::start(&[]).await;
    let ids = [fixture.insert().await, fixture.insert().await, fixture.insert().await];
    let mut watcher = fixture.watch("").await;
    watcher.until("snapshot", |watcher| watcher.complete).await.unwrap();
    let token = watcher.token.clone();
    drop(watcher);
    fixture.change(&ids[0], TaskState::Processing).await;
    fixture.change(&ids[0], TaskState::Succeeded).await;
    fixture.delete(&ids[1]).await;

    let mut back = fixture.watch(&token).await;
    back.states = ids.iter().map(|id| (id.clone(), TaskState::Waiting)).collect();
    back.until_state(&ids[0], TaskState::Succeeded).await;
    back.until("removal", |watcher| !watcher.states.contains_key(&ids[1]))
        .await
        .unwrap();
    assert_eq!(back.states.get(&ids[2]), Some(&TaskState::Waiting));
    assert!(back.resets == 0 && back.messages <= 2, "{} messages", back.messages);
}

#[tokio::test]
async fn token_from_before_a_loss_of_redis_gets_reset_and_snapshot() {
    let mut fixture = Fixture::start(&[]).await;
    let id = fixture.insert().await;
    let mut open = fixture.watch("").await;
    open.until("snapshot", |watcher| watcher.complete).await.unwrap();
    let token = open.token.clone();
    fixture.kill_redis();
    fixture.start_redis().await;
    fixture.change(&id, TaskState::Cancelled).await;
    let mut back = fixture.watch(&token).await;
    back.until("reset", |watcher| watcher.resets > 0 && watcher.complete).await.unwrap();
    back.until_state(&id, TaskState::Cancelled).await;
    open.until("open watch is reset too", |watcher| watcher.resets > 0 && watcher.complete)
        .await
        .unwrap();
    open.until_state(&id, TaskState::Cancelled).await;
}

#[tokio::test]
async fn watchers_learn_of_changes_while_redis_is_away() {
    let mut fixture = Fixture::start(&[]).await;
    let id = fixture.insert().await;
    let mut watcher = fixture.watch("").await;
    watcher.until("snapshot", |watcher| watcher.complete).await.unwrap();
    fixture.kill_redis();
    fixture.change(&id, TaskState::Processing).await;
    watcher.until_state(&id, TaskState::Processing).await;
    let late = fixture.insert().await;
    watcher.until_state(&late, TaskState::Waiting).await;
    fixture.start_redis().await;
    fixture.change(&id, TaskState::Failed).await;
    watcher.until_state(&id, TaskState::Failed).await;
    watcher.until_state(&late, TaskState::Waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watcher_that_never_reads_holds_nobody_up_and_ends_with_the_last_states() {
    let fixture = Fixture::start(&[("MPS_LIMITS__MAX_WATCH_BACKLOG", "50")]).await;
    let mut slow = fixture.watch("").await;
    slow.until("snapshot", |watcher| watcher.complete).await.unwrap();
    let mut quick = Vec::new();
    for _ in 0..100 {
        let mut watcher = fixture.watch("").await;
        watcher.until("snapshot", |watcher| watcher.complete).await.unwrap();
        quick.push(watcher);
    }
    let mut ids = Vec::new();
    for _ in 0..120 {
        ids.push(fixture.insert().await);
    }
    let last = fixture.insert().await;
    let start = std::time::Instant::now();
    for watcher in &mut quick {
        watcher.until_state(&last, TaskState::Waiting).await;
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    slow.until("slow one is reset", |watcher| watcher.resets > 0 && watcher.complete)
        .await
        .unwrap();
    assert_eq!(slow.states.len(), 121);
}

#[tokio::test]
async fn watch_ends_when_its_key_is_revoked_and_at_shutdown() {
    let fixture = Fixture::start(&[("MPS_LIMITS__MAX_WATCHES", "2")]).await;
    let mut watcher = fixture.watch("").await;
    let mut other = fixture.watch("").await;
    let spec = WatchSpec {
        project: "default".into(),
        filter: Filter::default(),
        filter_text: String::new(),
        resume_token: String::new(),
        skip_initial_state: true,
        heartbeat: Duration::from_secs(1),
    };
    let error = watch(&fixture.app, fixture.caller.clone(), spec)
        .await
        .err()
        .expect("third is one too many");
    assert_eq!(error.code, Code::ResourceExhausted);

    let nobody = Caller {
        key_id: "nobody".into(),
        ..fixture.caller.clone()
    };
    drop(other);
    let mut fixture = fixture;
    fixture.caller = nobody;
    other = fixture.watch("").await;
    let status = other.until("never", |_| false).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    watcher.until("snapshot", |watcher| watcher.complete).await.unwrap();
    fixture.app.shutdown.cancel();
    let status = watcher.until("never", |_| false).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop((watcher, other));
    assert_eq!(fixture.app.hub.open_watches(), 0);
}
