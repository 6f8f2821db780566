//! Processes that a test started: each in its own group, ended by id when the handle drops.

use std::{
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

/// A running process with its log file.
pub struct Process {
    child: Child,
    pub log: PathBuf,
}

impl Process {
    /// Starts a command in a process group of its own; output goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("log file can be made");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("log handle can be copied"))
            .stderr(file)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self {
            child,
            log: log.to_owned(),
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// kill −9 of this process alone, and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// SIGTERM, then SIGKILL of the group after `patience`.
    pub fn stop(&mut self, patience: Duration) {
        self.signal(Signal::SIGTERM);
        let start = Instant::now();
        while self.is_alive() && start.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    /// Pids whose parent is this process.
    pub fn children(&self) -> Vec<i32> {
        children_of(self.pid().as_raw())
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pids whose parent is `pid`, read from /proc.
pub fn children_of(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|candidate| parent_of(*candidate) == Some(pid))
        .collect()
}

/// Whether a process runs; one that has ended and was not waited for does not.
pub fn is_running(pid: i32) -> bool {
    parent_of(pid).is_some()
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.next()?.parse().ok()
}

/// A port on loopback that was free a moment ago; below those that the system gives to connections, so that none takes it before it is
/// listened at.
pub fn free_port() -> u16 {
    let candidates = std::iter::repeat_with(|| {
        let random = RandomState::new().build_hasher().finish();
        10_000 + (random % 20_000) as u16
    });
    candidates
        .take(1000)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("loopback has a free port")
}

/// The folder of the built binaries: target/{profile}, where benchmarks lie; tests lie in its deps/.
pub fn bin_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("own path is known");
    let own = exe.parent().expect("an executable has a folder");
    let dir = if own.ends_with("deps") {
        own.parent().expect("deps has a parent")
    } else {
        own
    }
    .to_owned();
    assert!(
        dir.join("mps-server").exists(),
        "{} has no mps-server: run `make build` first",
        dir.display()
    );
    dir
}
