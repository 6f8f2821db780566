//! A real database for a stack: SQLite in its folder, or a Postgres 15 cluster of its own, run by an unprivileged user.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::process::Process;

/// Where Debian keeps the server's programs.
const POSTGRES_BIN: &str = "/usr/lib/postgresql/15/bin";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// A database that lives as long as this value.
pub enum Database {
    Sqlite(PathBuf),
    Postgres(Box<Postgres>),
}

/// One Postgres cluster on a Unix socket.
pub struct Postgres {
    folder: tempfile::TempDir,
    process: Option<Process>,
    port: u16,
}

impl Database {
    pub fn start(kind: DatabaseKind, folder: &Path) -> Self {
        match kind {
            DatabaseKind::Sqlite => Self::Sqlite(folder.join("mps.db")),
            DatabaseKind::Postgres => Self::Postgres(Box::new(Postgres::start())),
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(postgres) => postgres.url(),
        }
    }

    pub fn postgres(&mut self) -> &mut Postgres {
        match self {
            Self::Postgres(postgres) => postgres,
            Self::Sqlite(_) => panic!("this stack has no Postgres"),
        }
    }
}

impl Postgres {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("mps-pg-").tempdir().expect("temporary folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("data folder");
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()));
        }
        run(as_user(&format!("{POSTGRES_BIN}/initdb")).args(["-D"]).arg(&data).args([
            "-A",
            "trust",
            "-U",
            "mps",
            "--no-sync",
            "-E",
            "UTF8",
        ]));
        let mut postgres = Self {
            folder,
            process: None,
            port: crate::process::free_port(),
        };
        postgres.resume();
        postgres
    }

    pub fn url(&self) -> String {
        format!("postgres://mps@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends the server at once, as a crash would.
    pub fn halt(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(nix::sys::signal::Signal::SIGINT);
            process.stop(Duration::from_secs(10));
        }
    }

    /// Starts the server on the same data.
    pub fn resume(&mut self) {
        let data = self.folder.path().join("data");
        let mut command = as_user(&format!("{POSTGRES_BIN}/postgres"));
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(self.folder.path());
        command.args(["-c", "fsync=on", "-c", "max_connections=100"]);
        self.process = Some(Process::start(
            &mut command,
            &std::env::temp_dir().join(format!("mps-pg-{}.log", self.port)),
        ));
        for _ in 0..500 {
            let ready = Command::new(format!("{POSTGRES_BIN}/pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            if ready.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("Postgres is not ready within 10 s");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.halt();
        let _ = std::fs::remove_file(std::env::temp_dir().join(format!("mps-pg-{}.log", self.port)));
        if is_root() {
            let _ = Command::new("chown").args(["-R", "root"]).arg(self.folder.path()).status();
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Postgres refuses to run as root: the package's own user runs it then.
fn as_user(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", program]);
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
