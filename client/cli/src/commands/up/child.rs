//! One child of the stack: its own process group, its log, and its end.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
    },
    unistd::{Pid, getppid},
};

use super::parts::Parts;

/// How long a child may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes of a log that are shown when its child fails.
const TAIL_BYTES: u64 = 2000;
/// A log that has grown over this starts anew.
const MAX_LOG_BYTES: u64 = 20 << 20;

pub struct Child {
    pub name: &'static str,
    command: Vec<String>,
    process: tokio::process::Child,
    log: PathBuf,
    restarts: Vec<Instant>,
}

impl Child {
    pub fn start(name: &'static str, command: Vec<String>, parts: &Parts) -> anyhow::Result<Self> {
        let log = parts.log(name);
        let process = spawn(&command, parts, &log)?;
        Ok(Self {
            name,
            command,
            process,
            log,
            restarts: Vec::new(),
        })
    }

    pub fn restart(&mut self, parts: &Parts) -> anyhow::Result<()> {
        self.process = spawn(&self.command, parts, &self.log)?;
        Ok(())
    }

    /// Returns when the child has ended, with how.
    pub async fn ended(&mut self) -> String {
        match self.process.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Restarts within the last minute, this one counted.
    pub fn count_restart(&mut self) -> usize {
        self.restarts.retain(|at| at.elapsed() < Duration::from_secs(60));
        self.restarts.push(Instant::now());
        self.restarts.len()
    }

    /// SIGTERM, then SIGKILL of the group after a while.
    pub async fn stop(&mut self) {
        let Some(pid) = self.process.id().map(|id| Pid::from_raw(id as i32)) else {
            return;
        };
        let _ = kill(pid, Signal::SIGTERM);
        let _ = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.process.wait().await;
    }

    /// The last lines of the child's log.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }
}

/// Starts a command through `run-child`, so that it ends with this process however that ends.
fn spawn(command: &[String], parts: &Parts, log: &Path) -> anyhow::Result<tokio::process::Child> {
    if std::fs::metadata(log).is_ok_and(|data| data.len() > MAX_LOG_BYTES) {
        std::fs::remove_file(log)?;
    }
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("{} cannot be written", log.display()))?;
    let (output, errors) = match parts.verbose {
        true => (Stdio::inherit(), Stdio::inherit()),
        false => (Stdio::from(file.try_clone()?), Stdio::from(file)),
    };
    tokio::process::Command::new(std::env::current_exe()?)
        .arg("run-child")
        .arg("--")
        .args(command)
        .envs(parts.environment())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .with_context(|| format!("{command:?} does not start"))
}

/// The hidden `run-child`: asks the kernel for SIGTERM at the parent's death, then becomes the command.
pub fn run_child(command: &[String]) -> anyhow::Result<std::convert::Infallible> {
    let parent = getppid();
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    anyhow::ensure!(getppid() == parent && parent != Pid::from_raw(1), "the parent is gone");
    let (program, arguments) = command.split_first().context("run-child needs a command")?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("{program} does not start"))
}
