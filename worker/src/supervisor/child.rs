//! The child process: how it is started, heard, and ended. Nothing here knows what a unit is.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc},
    time::{Duration, Instant},
};

use mps_proto::worker::v1::{ChildOrder, ChildReport};
use nix::{
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use tokio::sync::{mpsc, oneshot};

use crate::pipe;

/// Lines of the log that are kept, and the length of each.
const TAIL_LINES: usize = 100;
const TAIL_LINE_BYTES: usize = 1000;
/// Reports that wait for the supervisor.
const REPORTS: usize = 64;
/// How long a killed group may take to vanish.
const VANISH: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Starts processes from one thread that lives as long as the worker: PDEATHSIG follows the thread that forked.
#[derive(Clone)]
pub struct Spawner {
    requests: std_mpsc::SyncSender<Request>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub fn start() -> io::Result<Self> {
        let (requests, receiver) = std_mpsc::sync_channel::<Request>(64);
        std::thread::Builder::new().name("spawner".into()).spawn(move || {
            while let Ok(mut request) = receiver.recv() {
                if let Err(Ok(mut unwanted)) = request.answer.send(request.command.spawn()) {
                    let _already_ended = unwanted.kill();
                    let _already_ended = unwanted.wait();
                }
            }
        })?;
        Ok(Self { requests })
    }

    async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, spawned) = oneshot::channel();
        self.requests
            .try_send(Request { command, answer })
            .map_err(|_| io::Error::other("the thread that starts children does not answer"))?;
        spawned
            .await
            .map_err(|_| io::Error::other("the thread that starts children has ended"))?
    }
}

/// How patiently a child is ended: end of its input, then SIGTERM, then SIGKILL of its group.
#[derive(Debug, Clone, Copy)]
pub struct Ladder {
    pub after_end_of_input: Duration,
    pub after_term: Duration,
}

impl Ladder {
    /// It has given its result and only has to leave.
    pub const FINISHED: Self = Self {
        after_end_of_input: Duration::from_secs(3),
        after_term: Duration::from_secs(2),
    };
    /// Nobody wants its result.
    pub const CANCELLED: Self = Self {
        after_end_of_input: Duration::ZERO,
        after_term: Duration::from_secs(1),
    };
    pub const AT_ONCE: Self = Self {
        after_end_of_input: Duration::ZERO,
        after_term: Duration::ZERO,
    };
}

/// A running child. Dropping it kills its group.
pub struct ChildProcess {
    pid: Pid,
    child: Mutex<Option<Child>>,
    stdin: Mutex<Option<ChildStdin>>,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl ChildProcess {
    /// Starts the command in a process group of its own. The channel of reports closes at the end of its output.
    pub async fn start(spawner: &Spawner, mut command: Command) -> io::Result<(Arc<Self>, mpsc::Receiver<ChildReport>)> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = spawner.spawn(command).await?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let this = Arc::new(Self {
            pid: Pid::from_raw(child.id() as i32),
            child: Mutex::new(Some(child)),
            stdin: Mutex::new(stdin),
            log: Arc::default(),
        });
        let (sender, reports) = mpsc::channel(REPORTS);
        if let Some(stdout) = stdout {
            thread("child-reports", move || read_reports(stdout, &sender))?;
        }
        if let Some(stderr) = stderr {
            let (log, span) = (this.log.clone(), tracing::Span::current());
            thread("child-log", move || span.in_scope(|| keep_log(stderr, &log)))?;
        }
        Ok((this, reports))
    }

    /// Hands the order over; the pipe stays open, since its end ends the child.
    pub async fn send(self: &Arc<Self>, order: ChildOrder) -> io::Result<()> {
        let this = self.clone();
        let writing = tokio::task::spawn_blocking(move || match lock(&this.stdin).as_mut() {
            Some(stdin) => pipe::write(stdin, &order),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        });
        // A child that does not read is found by its silence; writing ends when it is killed.
        writing.await.map_err(io::Error::other)?
    }

    /// Ends the child by the ladder and gives how it ended; `None` if it could not be ended in time.
    pub async fn stop(&self, ladder: Ladder) -> Option<ExitStatus> {
        // A writer that holds the lock writes to a child that does not read: then there is no end of input.
        if let Ok(mut stdin) = self.stdin.try_lock() {
            stdin.take();
        }
        if !self.ends_within(ladder.after_end_of_input).await && !ladder.after_term.is_zero() {
            let _already_gone = killpg(self.pid, Signal::SIGTERM);
            self.ends_within(ladder.after_term).await;
        }
        // Also when the child has ended: others of its group may not have. It is not yet reaped, so the id is still its own.
        if lock(&self.child).is_some() {
            let _already_gone = killpg(self.pid, Signal::SIGKILL);
        }
        self.ends_within(VANISH).await;
        self.reap()
    }

    /// Whether the process has ended; it is not reaped by looking.
    pub fn has_ended(&self) -> bool {
        if lock(&self.child).is_none() {
            return true;
        }
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(self.pid), look), Ok(WaitStatus::StillAlive))
    }

    async fn ends_within(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        true
    }

    fn reap(&self) -> Option<ExitStatus> {
        if !self.has_ended() {
            return None;
        }
        lock(&self.child).take().and_then(|mut child| child.wait().ok())
    }

    /// The last lines that the child wrote to its standard error.
    pub fn log_tail(&self) -> String {
        lock(&self.log).iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let Some(mut child) = lock(&self.child).take() else { return };
        let _already_gone = killpg(self.pid, Signal::SIGKILL);
        let _not_waited_for = std::thread::Builder::new().spawn(move || child.wait());
    }
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.into()).stack_size(256 << 10).spawn(body)?;
    Ok(())
}

fn read_reports(stdout: ChildStdout, sender: &mpsc::Sender<ChildReport>) {
    let mut stdout = BufReader::new(stdout);
    loop {
        match pipe::read::<ChildReport>(&mut stdout) {
            Ok(Some(report)) => {
                if sender.blocking_send(report).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => return tracing::warn!(%error, "the child's reports cannot be read"),
        }
    }
}

/// Reads lines, each bounded, until the end; what is not text is replaced.
fn keep_log(stderr: ChildStderr, log: &Mutex<VecDeque<String>>) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut bytes = Vec::new();
        match stderr.by_ref().take(TAIL_LINE_BYTES as u64).read_until(b'\n', &mut bytes) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        tracing::debug!(line, "child");
        let mut log = lock(log);
        if log.len() == TAIL_LINES {
            log.pop_front();
        }
        log.push_back(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str) -> (Arc<ChildProcess>, mpsc::Receiver<ChildReport>) {
        let spawner = Spawner::start().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ChildProcess::start(&spawner, command).await.unwrap()
    }

    async fn says(child: &ChildProcess, word: &str) {
        let start = Instant::now();
        while !child.log_tail().contains(word) {
            assert!(start.elapsed() < Duration::from_secs(5), "the child never said {word}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn signal_of(status: Option<ExitStatus>) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        status.expect("it ended").signal()
    }

    #[tokio::test]
    async fn child_that_obeys_the_end_of_input_is_not_signalled() {
        let (child, _reports) = shell("read order; exit 3").await;
        let status = child.stop(Ladder::FINISHED).await;
        assert_eq!(status.and_then(|status| status.code()), Some(3));
        assert!(child.has_ended());
    }

    #[tokio::test]
    async fn child_that_ignores_the_end_of_input_gets_sigterm() {
        let (child, _reports) = shell("echo up >&2; exec sleep 60").await;
        says(&child, "up").await;
        let start = Instant::now();
        assert_eq!(signal_of(child.stop(Ladder::CANCELLED).await), Some(Signal::SIGTERM as i32));
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn child_that_ignores_sigterm_is_killed_with_its_group() {
        let (child, _reports) = shell("trap '' TERM; sleep 60 & echo pid $! >&2; while :; do sleep 1; done").await;
        says(&child, "pid ").await;
        let grandchild: i32 = child.log_tail().trim().trim_start_matches("pid ").parse().unwrap();
        let start = Instant::now();
        assert_eq!(signal_of(child.stop(Ladder::CANCELLED).await), Some(Signal::SIGKILL as i32));
        assert!(start.elapsed() < Duration::from_secs(4));
        // Dead, or a zombie that its new parent has yet to reap.
        let gone = || std::fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "));
        let start = Instant::now();
        while !gone() {
            assert!(start.elapsed() < Duration::from_secs(5), "the grandchild lives");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    #[tokio::test]
    async fn crash_closes_the_reports_and_keeps_the_last_lines() {
        let (child, mut reports) = shell("i=0; while [ $i -lt 150 ]; do echo line $i >&2; i=$((i+1)); done; kill -SEGV $$").await;
        assert!(reports.recv().await.is_none());
        assert_eq!(signal_of(child.stop(Ladder::FINISHED).await), Some(Signal::SIGSEGV as i32));
        says(&child, "line 149").await;
        assert_eq!(child.log_tail().lines().count(), TAIL_LINES);
    }

    #[tokio::test]
    async fn frozen_child_is_killed() {
        let (child, _reports) = shell("echo up >&2; kill -STOP $$").await;
        says(&child, "up").await;
        assert_eq!(signal_of(child.stop(Ladder::CANCELLED).await), Some(Signal::SIGKILL as i32));
    }

    #[tokio::test]
    async fn command_that_does_not_exist_is_an_error() {
        let spawner = Spawner::start().unwrap();
        assert!(ChildProcess::start(&spawner, Command::new("/no/such/program")).await.is_err());
    }
}
