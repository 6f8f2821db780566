//! The supervisor: takes units while slots are free, runs each in a child, keeps the leases, tells the server.
//! It never starts GStreamer itself.

mod board;
mod channel;
mod child;
mod drain;
mod environment;
mod hand_in;
mod input;
mod kind;
mod lease_thread;
mod outputs;
mod probe_run;
mod scratch;
mod sets;
mod side_inputs;
mod slots;
mod standstill;
mod unit_run;

use std::{io, sync::Arc};

use anyhow::Context;
use mps_proto::worker::v1::ChildReport;
use tokio::sync::mpsc;

use self::{
    board::Board,
    child::{ChildProcess, Spawner},
    scratch::{AttemptFolder, Scratch},
};
use crate::{
    config::Config,
    fetch::{Fetcher, Http},
    rpc::Rpc,
    upload::Uploader,
};

/// What every unit's task uses.
struct Worker {
    config: Config,
    board: Arc<Board>,
    rpc: Rpc,
    scratch: Scratch,
    fetcher: Fetcher,
    uploader: Arc<Uploader>,
    spawner: Spawner,
}

/// Life of the supervisor: until it is asked to end.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let signals = drain::signals()?;
    let worker = Arc::new(Worker::open(config)?);
    let capabilities = environment::capabilities(&worker.config).await?;
    tracing::info!(
        worker.id = worker.board.worker_id,
        pool = worker.config.pool,
        slots = worker.config.slots,
        probe_slots = worker.config.probe.slots,
        server = worker.config.server,
        capabilities = capabilities.len(),
        "worker starts"
    );
    lease_thread::start(worker.config.clone(), worker.board.clone())?;
    tokio::spawn(channel::keep_open(worker.rpc.clone(), worker.board.clone()));
    let slots = tokio::spawn(slots::run(worker.clone(), capabilities));
    drain::end_when_asked(signals, &worker.board, slots).await;
    Ok(())
}

impl Worker {
    fn open(config: Config) -> anyhow::Result<Self> {
        let worker_id = ulid::Ulid::new().to_string().to_lowercase();
        let scratch = Scratch::open(&config.scratch, &worker_id).with_context(|| format!("scratch folder {}", config.scratch.display()))?;
        environment::prepare_registry(&config);
        let rpc = Rpc::new(&config).context("the server's address")?;
        let http = Http::new(&config.fetch, &config.ca_file).context("ca_file")?;
        Ok(Self {
            board: Arc::new(Board::new(worker_id)),
            fetcher: Fetcher {
                http: http.clone(),
                config: config.fetch.clone(),
            },
            uploader: Arc::new(Uploader::new(rpc.clone(), http, config.upload.clone())),
            spawner: Spawner::start()?,
            rpc,
            scratch,
            config,
        })
    }

    /// Starts `run-unit` for an attempt. It starts GStreamer at once and waits for its order.
    async fn start_child(&self, folder: &AttemptFolder, niceness: u8) -> io::Result<(Arc<ChildProcess>, mpsc::Receiver<ChildReport>)> {
        let mut command = environment::own_command(&self.config);
        command.args(["run-unit", "--parent", &std::process::id().to_string()]);
        command.args(["--niceness", &niceness.to_string()]);
        command.current_dir(folder.outputs()).env("TMPDIR", folder.path());
        ChildProcess::start(&self.spawner, command).await
    }
}
