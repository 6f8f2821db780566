//! mps-server: the life of the process.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand};
use mps_server::{
    app::App,
    background,
    config::{Config, Loaded},
    serve::Listeners,
    service::access,
    store::Store,
};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for a configuration that cannot be used (EX_USAGE).
const BAD_CONFIGURATION: u8 = 64;
/// How long a database that does not answer at start is waited for.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// The MPS server. Every setting is explained by --print-config.
#[derive(Parser)]
#[command(name = "mps-server", version)]
struct Arguments {
    /// Configuration file (TOML).
    #[arg(long, env = "MPS_CONFIG")]
    config: Option<PathBuf>,
    /// Prints the effective configuration, without passwords, and ends.
    #[arg(long)]
    print_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Brings the database's schema up to date and ends.
    Migrate,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let loaded = match Config::load(arguments.config.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("mps-server: bad configuration: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if arguments.print_config {
        print!("{}", loaded.text);
        return ExitCode::SUCCESS;
    }
    let ended = tokio::runtime::Runtime::new()
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(loaded, arguments.command)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mps-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(loaded: Loaded, command: Option<Command>) -> anyhow::Result<()> {
    let mut config = loaded.config;
    let _telemetry = mps_telemetry::init(&telemetry_of(&config))?;
    for name in loaded.unknown_variables {
        tracing::warn!(name, "a variable of the environment starts with MPS_ but names no setting");
    }
    let store = open_store(&config).await?;
    if matches!(command, Some(Command::Migrate)) {
        return store.migrate().await.context("migration failed");
    }
    prepare_schema(&config, &store).await?;
    let grace = config.shutdown_grace;
    let listeners = Listeners::bind(&mut config).await?;
    let app = App::open(config, store).await?;
    access::bootstrap(&app).await.context("first project and key")?;

    let mut asked_to_end = ends()?;
    let loops = background::start(&app);
    let serving = listeners.serve(&app)?;
    asked_to_end.recv().await;

    tracing::info!("asked to end; calls under way may finish");
    app.shutdown.cancel();
    let finished = tokio::time::timeout(grace, async { tokio::join!(serving.join_all(), loops.join_all()) });
    tokio::select! {
        finished = finished => if finished.is_err() { tracing::warn!("some calls did not finish in time and were cut") },
        _ = asked_to_end.recv() => tracing::warn!("asked to end again; calls under way are cut"),
    }
    Ok(())
}

fn telemetry_of(config: &Config) -> mps_telemetry::Options {
    mps_telemetry::Options {
        service: "mps-server".into(),
        filter: config.log.clone(),
        json: config.log_json,
        otlp_endpoint: config.otlp_endpoint.clone(),
    }
}

/// Connects to the database, and waits a while for one that is not there yet.
async fn open_store(config: &Config) -> anyhow::Result<Store> {
    std::fs::create_dir_all(&config.data_dir).with_context(|| format!("data_dir {}", config.data_dir.display()))?;
    let start = std::time::Instant::now();
    loop {
        match Store::connect(config.database_url.expose(), config.database_max_connections).await {
            Ok(store) => return Ok(store),
            Err(error) if start.elapsed() > DATABASE_PATIENCE => {
                return Err(error).with_context(|| format!("database {:?} does not answer", config.database_url));
            }
            Err(error) => {
                tracing::warn!(%error, "database does not answer yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn prepare_schema(config: &Config, store: &Store) -> anyhow::Result<()> {
    if config.migrate_on_start {
        store.migrate().await.context("migration failed")
    } else {
        store.check_schema().await.context("the database's schema is not this release's")
    }
}

/// Gets a message for each SIGTERM or SIGINT.
fn ends() -> anyhow::Result<tokio::sync::mpsc::Receiver<()>> {
    let (sender, receiver) = tokio::sync::mpsc::channel(2);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            let _already_ending = sender.try_send(());
        }
    });
    Ok(receiver)
}
