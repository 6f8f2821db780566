//! mps-worker: `run` (the supervisor), and hidden `run-unit` (the child of one unit) and `capabilities`.

mod config;
mod fetch;
mod join;
mod machine;
mod pipe;
mod rpc;
mod supervisor;
mod unit;
mod upload;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use config::{Config, Loaded};
use nix::{
    sys::{
        prctl,
        resource::{Resource, setrlimit},
        signal::Signal,
    },
    unistd::getppid,
};

/// Exit code for a configuration that cannot be used (EX_USAGE).
const BAD_CONFIGURATION: u8 = 64;
/// Exit code of a child whose supervisor is gone (EX_IOERR).
const ORPHANED: i32 = 74;

/// The MPS worker: takes units of work from an MPS server.
#[derive(Parser)]
#[command(name = "mps-worker", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Takes and runs units until it is asked to end. Every setting is explained by --print-config.
    Run {
        /// Configuration file (TOML).
        #[arg(long, env = "MPS_WORKER_CONFIG")]
        config: Option<PathBuf>,
        /// Prints the effective configuration, without passwords, and ends.
        #[arg(long)]
        print_config: bool,
    },
    /// Runs one unit; started by `run`.
    #[command(hide = true)]
    RunUnit {
        /// Process id of the supervisor.
        #[arg(long)]
        parent: i32,
        /// How far it stands back for other processes.
        #[arg(long, default_value_t = 0)]
        niceness: u8,
    },
    /// Prints what this machine can do.
    #[command(hide = true)]
    Capabilities,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { config, print_config } => supervise(config, print_config),
        Command::RunUnit { parent, niceness } => std::process::exit(run_unit(parent, niceness)),
        Command::Capabilities => std::process::exit(unit::capabilities()),
    }
}

fn supervise(file: Option<PathBuf>, print_config: bool) -> ExitCode {
    let loaded = match config::load(file.as_deref(), std::env::vars()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("mps-worker: bad configuration: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if print_config {
        print!("{}", loaded.text);
        return ExitCode::SUCCESS;
    }
    match run(loaded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mps-worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(loaded: Loaded) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no runtime")?;
    let ended = runtime.block_on(async {
        let _telemetry = mps_telemetry::init(&telemetry_of(&loaded.config))?;
        supervisor::run(loaded.config).await
    });
    // Threads that read the pipes of children that could not be ended are not waited for.
    runtime.shutdown_background();
    ended
}

fn telemetry_of(config: &Config) -> mps_telemetry::Options {
    mps_telemetry::Options {
        service: "mps-worker".into(),
        filter: config.log.clone(),
        json: config.log_json,
        otlp_endpoint: Some(config.otlp_endpoint.clone()).filter(|endpoint| !endpoint.is_empty()),
    }
}

/// The child dies with its supervisor and leaves no core files; the rest is in `unit`.
fn run_unit(parent: i32, niceness: u8) -> i32 {
    let tied = prctl::set_pdeathsig(Signal::SIGKILL);
    // The supervisor may have died before the line above.
    if tied.is_err() || getppid().as_raw() != parent {
        return ORPHANED;
    }
    let _a_lower_limit_holds = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    // Before any thread is started: each takes it from the one that starts it.
    let _it_only_runs_sooner = rustix::process::nice(niceness.into());
    let exports = std::env::var_os("MPS_WORKER_OTLP_ENDPOINT").is_some_and(|endpoint| !endpoint.is_empty());
    if !exports {
        return unit::run();
    }
    // The exporter needs a runtime around it.
    match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => {
            let _entered = runtime.enter();
            unit::run()
        }
        Err(_) => unit::run(),
    }
}
