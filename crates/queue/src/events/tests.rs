//! The watch log against a real redis-server on a socket of its own.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::*;
use crate::WorkStream;

/// A redis-server that ends when it drops.
struct Redis {
    folder: tempfile::TempDir,
    process: Child,
}

impl Redis {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = Self::spawn(folder.path().join("redis.sock"));
        let redis = Self { folder, process };
        redis.wait_ready().await;
        redis
    }

    fn spawn(socket: PathBuf) -> Child {
        Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    async fn wait_ready(&self) {
        for _ in 0..500 {
            if std::os::unix::net::UnixStream::connect(self.socket()).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server is not ready within 5 s");
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::fs::remove_file(self.socket()).unwrap();
    }

    async fn restart(&mut self) {
        self.kill();
        self.process = Self::spawn(self.socket());
        self.wait_ready().await;
    }

    async fn command(&self, words: &[&str]) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async::<redis::Value>(&mut connection).await.unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn change(task: &str, revision: i64) -> Event {
    Event {
        task_id: task.into(),
        project: "p".into(),
        revision,
    }
}

/// Asks again until Redis answers.
async fn until_ok<T, F: Future<Output = Result<T, QueueError>>>(mut attempt: impl FnMut() -> F) -> T {
    for _ in 0..200 {
        if let Ok(value) = attempt().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("redis does not answer within 4 s");
}

/// Ids begin with the time in ms: within one, a new log would begin with the ids of the old.
async fn clock_passes(position: &Position) {
    while std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() <= u128::from(numbers(&position.id).0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn entries_after_a_position_are_read_once_and_in_order() {
    let redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let start = queue.tail().await.unwrap();
    assert_eq!(start, queue.tail().await.unwrap());
    queue.append_events(&[change("a", 1), change("b", 7)]).await.unwrap();
    let Read::Entries { events, position } = queue.read_after(&start).await.unwrap() else {
        panic!("epoch changed")
    };
    assert_eq!(events, [change("a", 1), change("b", 7)]);
    assert_eq!(position, queue.tail().await.unwrap());
    assert!(position.is_at_least(&start) && !start.is_at_least(&position));

    let mut reader = queue.event_reader();
    let later = tokio::spawn({
        let queue = queue.clone();
        async move { queue.append_events(&[change("a", 2)]).await.unwrap() }
    });
    let read = reader.read_after(&position, Duration::from_secs(5)).await.unwrap();
    later.await.unwrap();
    assert!(matches!(read, Read::Entries { events, .. } if events == [change("a", 2)]));
}

#[tokio::test]
async fn lost_log_is_another_epoch_although_its_ids_go_on_growing() {
    let mut redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let mut reader = queue.event_reader();
    queue.append_events(&[change("a", 1)]).await.unwrap();

    let before_flush = queue.tail().await.unwrap();
    clock_passes(&before_flush).await;
    redis.command(&["FLUSHALL"]).await;
    assert_eq!(queue.read_after(&before_flush).await.unwrap(), Read::EpochChanged);
    queue.append_events(&[change("a", 2)]).await.unwrap();
    assert!(numbers(&queue.tail().await.unwrap().id) > numbers(&before_flush.id));
    let read = reader.read_after(&before_flush, Duration::from_secs(1)).await.unwrap();
    assert_eq!(read, Read::EpochChanged);

    let before_loss = queue.tail().await.unwrap();
    redis.command(&["DEL", keys::EVENTS]).await;
    queue.append_events(&[change("a", 3)]).await.unwrap();
    assert_eq!(queue.read_after(&before_loss).await.unwrap(), Read::EpochChanged);

    let before_restart = queue.tail().await.unwrap();
    redis.restart().await;
    let read = until_ok(|| queue.read_after(&before_restart)).await;
    assert_eq!(read, Read::EpochChanged);
}

#[tokio::test]
async fn trimmed_position_is_refused_and_young_entries_stay() {
    let redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let start = queue.tail().await.unwrap();
    for _ in 0..3 {
        let batch: Vec<Event> = (0..1_000).map(|number| change("a", number)).collect();
        queue.append_events(&batch).await.unwrap();
    }
    assert_eq!(queue.trim_events_to(1_500, Duration::from_secs(3600)).await.unwrap(), 3_001);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(queue.trim_events_to(1_500, Duration::ZERO).await.unwrap(), 2_001);
    assert_eq!(queue.read_after(&start).await.unwrap(), Read::EpochChanged);
}

#[tokio::test]
async fn calls_fail_in_time_while_redis_is_away_and_work_again_after() {
    let mut redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    queue.ping().await.unwrap();
    redis.kill();
    let start = std::time::Instant::now();
    for _ in 0..20 {
        queue.append_events(&[change("a", 1)]).await.unwrap_err();
        assert_eq!(queue.progress_of(&["a".into()]).await, [None]);
    }
    assert!(start.elapsed() < Duration::from_secs(3), "a dead Redis slows callers down");
    assert!(queue.failures() > 0);
    redis.process = Redis::spawn(redis.socket());
    redis.wait_ready().await;
    let events = [change("a", 1)];
    until_ok(|| queue.append_events(&events)).await;
}

#[tokio::test]
async fn wake_up_reaches_one_waiting_worker_and_a_lost_group_is_made_again() {
    let mut redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let mut first = WorkStream::connect(&redis.url(), "cpu", "w1");
    let start = std::time::Instant::now();
    first.wait(Duration::from_millis(100)).await;
    queue.wake("cpu").await;
    first.wait(Duration::from_secs(5)).await;
    assert!(start.elapsed() < Duration::from_secs(3), "the wake-up did not come");

    redis.restart().await;
    let waiting = tokio::spawn(async move {
        first.wait(Duration::from_secs(5)).await;
    });
    while !waiting.is_finished() && start.elapsed() < Duration::from_secs(10) {
        queue.wake("cpu").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    waiting.await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(6), "no wake-up after the restart");
}

#[tokio::test]
async fn wake_up_for_a_probe_reaches_no_slot_of_tasks() {
    let redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let mut tasks = WorkStream::connect(&redis.url(), "cpu", "w1");
    let mut probes = WorkStream::of_probes(&redis.url(), "cpu", "w1");
    let both = async { tokio::join!(tasks.wait(Duration::from_millis(50)), probes.wait(Duration::from_millis(50))) };
    both.await;
    let start = std::time::Instant::now();
    queue.wake_for_probe("cpu").await;
    probes.wait(Duration::from_secs(5)).await;
    assert!(start.elapsed() < Duration::from_secs(3), "the wake-up did not come");
    let nothing = Duration::from_millis(100);
    let start = std::time::Instant::now();
    tasks.wait(nothing).await;
    assert!(start.elapsed() >= nothing, "a slot for tasks was woken");
}

#[tokio::test]
async fn commands_and_progress_reach_subscribers_and_progress_is_kept() {
    let redis = Redis::start().await;
    let queue = Queue::connect(&redis.url()).unwrap();
    let (mut commands, mut progress) = (queue.commands("w1"), queue.progress("p"));
    let received = async { (commands.next().await, progress.next().await) };
    let publish = async {
        loop {
            queue.send_command("w1", vec![1]).await;
            queue.publish_progress("p", "t1", vec![2]).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        got = received => assert_eq!(got, (vec![1], vec![2])),
        () = publish => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(5)) => panic!("nothing was received"),
    }
    assert_eq!(queue.progress_of(&["t1".into(), "t2".into()]).await, [Some(vec![2]), None]);
}
