//! mps up: the one-machine stack. The same binaries as in production; nothing but configuration differs.

mod child;
mod parts;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use nix::fcntl::{Flock, FlockArg};

use crate::{
    args::UpArgs,
    config::{self, UserConfig},
    exit::{self, Exit},
    output::print_line,
};

use child::Child;
pub use child::run_child;
use parts::{Parts, Ports};

/// How long each part may take until it is ready.
const READY: Duration = Duration::from_secs(60);
/// A part that ends more often than this within a minute is broken.
const MAX_RESTARTS: usize = 5;

pub async fn run(args: UpArgs) -> anyhow::Result<Exit> {
    let data = prepare_folder(&args.data_dir)?;
    let _lock = lock(&data)?;
    let parts = Parts::find(&data, Ports::choose(args.port)?, &args)?;
    let mut stack = Stack::default();
    let stop = stop_signal();
    tokio::pin!(stop);
    let result = tokio::select! {
        _ = &mut stop => Ok(()),
        result = stack.serve(&parts, &args) => result,
    };
    eprintln!("stopping");
    stack.stop().await;
    parts.clean_up();
    result.map(|()| exit::SUCCESS)
}

fn prepare_folder(folder: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder.join("logs"))
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(folder.canonicalize()?)
}

/// One stack per data folder.
fn lock(data: &Path) -> anyhow::Result<Flock<File>> {
    let file = File::create(data.join("lock"))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|_| anyhow::anyhow!("another `mps up` runs on {}: stop it, or name another --data-dir", data.display()))
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}

/// The running children, in the order of their start.
#[derive(Default)]
struct Stack {
    children: Vec<Child>,
}

impl Stack {
    async fn serve(&mut self, parts: &Parts, args: &UpArgs) -> anyhow::Result<()> {
        self.start("redis", parts.redis(), parts).await?;
        self.start("server", parts.server(), parts).await?;
        self.start("worker", parts.worker(), parts).await?;
        announce(parts, args)?;
        self.watch(parts).await
    }

    async fn start(&mut self, name: &'static str, command: Vec<String>, parts: &Parts) -> anyhow::Result<()> {
        let mut child = Child::start(name, command, parts)?;
        let ready = parts.wait_ready(name);
        let result = tokio::select! {
            status = child.ended() => Err(anyhow::anyhow!("{name} ended at once ({status})\n{}", child.log_tail())),
            ready = tokio::time::timeout(READY, ready) => ready.map_err(|_| anyhow::anyhow!("{name} is not ready after {READY:?}\n{}", child.log_tail())),
        };
        self.children.push(child);
        result
    }

    /// Starts again what ends, until a part ends too often.
    async fn watch(&mut self, parts: &Parts) -> anyhow::Result<()> {
        loop {
            let (index, status) = self.next_end().await;
            let Some(child) = self.children.get_mut(index) else { continue };
            eprintln!("{} ended ({status}); starting it again", child.name);
            anyhow::ensure!(
                child.count_restart() <= MAX_RESTARTS,
                "{} ends again and again; its log: {}\n{}",
                child.name,
                parts.log(child.name).display(),
                child.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
            child.restart(parts)?;
        }
    }

    async fn next_end(&mut self) -> (usize, String) {
        let ends = self.children.iter_mut().enumerate().map(|(index, child)| {
            Box::pin(async move {
                let status = child.ended().await;
                (index, status)
            })
        });
        futures::future::select_all(ends).await.0
    }

    /// Worker first, so that it hands its units back; Redis last.
    async fn stop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            child.stop().await;
        }
    }
}

fn announce(parts: &Parts, args: &UpArgs) -> anyhow::Result<()> {
    let key = fs::read_to_string(parts.data.join("admin.key")).context("the server made no admin.key")?;
    let address = format!("http://127.0.0.1:{}", parts.ports.api);
    if !args.no_config {
        let path = config::path()?;
        let user = UserConfig {
            address: Some(address.clone()),
            key: Some(key.trim().to_owned()),
        };
        config::save(&path, &user)?;
        print_line(&format!(
            "configuration  {} (address and key, so that `mps` needs no flags)",
            path.display()
        ));
    }
    print_line(&format!("api            {address} (gRPC, gRPC-Web, reflection)"));
    print_line(&format!("health         http://127.0.0.1:{}/readyz and /metrics", parts.ports.http));
    print_line(&format!(
        "store          http://127.0.0.1:{} (S3); {}",
        parts.ports.store,
        parts.store_keys()
    ));
    print_line(&format!("data           {} (logs in logs/)", parts.data.display()));
    print_line(&format!("programs       {}", parts.programs.display()));
    print_line("try:");
    for command in ["mps doctor", "mps process clip.mp4 --snapshot 10% --download out", "mps task list"] {
        print_line(&format!("  {command}"));
    }
    print_line("ready; Ctrl-C stops everything, tasks are kept");
    Ok(())
}
