//! The commands, one file each.

mod access;
mod doctor;
mod nodes;
mod probe;
mod process;
mod storage;
mod system;
mod task;
mod template;
mod up;

use clap::CommandFactory;

use crate::{
    args::{Arguments, Command},
    context::Context,
    exit::{self, Exit},
};

/// Runs the command that the arguments name.
pub async fn run(arguments: Arguments) -> anyhow::Result<Exit> {
    let global = &arguments.global;
    match arguments.command {
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "mps", &mut std::io::stdout());
            Ok(exit::SUCCESS)
        }
        Command::RunChild { command } => match up::run_child(&command)? {},
        Command::Up(args) => up::run(args).await,
        Command::Doctor => doctor::run(global).await,
        Command::Process(args) => process::run(&Context::open(global).await?, args).await,
        Command::Task(command) => task::run(&Context::open(global).await?, command).await,
        Command::Probe { input } => probe::run(&Context::open(global).await?, &input).await,
        Command::Storage(command) => storage::run(&Context::open(global).await?, command).await,
        Command::Template(command) => template::run(&Context::open(global).await?, command).await,
        Command::Worker(command) => system::run(&Context::open(global).await?, command).await,
        Command::Project(command) => access::projects(&Context::open(global).await?, command).await,
        Command::Key(command) => access::keys(&Context::open(global).await?, command).await,
    }
}
