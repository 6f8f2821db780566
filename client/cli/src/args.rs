//! The command line: every command, flag and its help.

mod process;
mod storage;
mod template;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::{
    process::{NodeArgs, ProcessArgs},
    storage::{Access, Provider, StorageAddArgs, StorageCommand},
    template::TemplateCommand,
};

/// Media processing: send a file, get processed files.
///
/// Exit codes: 0 done, 1 failed, 2 a task failed or was cancelled, 64 wrong arguments, 66 not found, 69 the server does not
/// answer, 77 no valid key or role too low, 130 detached by Ctrl-C.
#[derive(Parser)]
#[command(name = "mps", version, max_term_width = 110, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args)]
pub struct Global {
    /// Address of the server; default: the configuration file's, which `mps up` writes.
    #[arg(long, global = true, env = "MPS_ADDRESS")]
    pub address: Option<String>,
    /// API key; default: the configuration file's.
    #[arg(long, global = true, env = "MPS_KEY", hide_env_values = true)]
    pub key: Option<String>,
    /// Project; default: the key's own.
    #[arg(long, global = true, env = "MPS_PROJECT")]
    pub project: Option<String>,
    /// Prints JSON in the contract's mapping instead of text.
    #[arg(long, global = true)]
    pub json: bool,
}

// Made once in a process: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand)]
pub enum Command {
    /// Runs the one-machine stack: redis-server, mps-server and mps-worker.
    Up(UpArgs),
    /// Uploads, submits and watches files, URLs or objects.
    Process(ProcessArgs),
    /// Lists, watches and steers tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Says what a media file contains.
    Probe {
        /// A file, a URL, or storage:key.
        input: String,
    },
    /// Buckets and the objects in them.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Named settings.
    #[command(subcommand)]
    Template(TemplateCommand),
    /// The workers of this installation.
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Projects.
    #[command(subcommand)]
    Project(ProjectCommand),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Checks what is installed, reachable and permitted, and says what to do.
    Doctor,
    /// Prints a completion script for a shell.
    Completion { shell: clap_complete::Shell },
    /// Becomes a command that ends with its parent.
    #[command(hide = true)]
    RunChild {
        #[arg(last = true)]
        command: Vec<String>,
    },
}

#[derive(Args)]
pub struct UpArgs {
    /// Where tasks, objects and keys are kept.
    #[arg(long, default_value = "mps-data")]
    pub data_dir: PathBuf,
    /// Port of the API; the next three serve workers, HTTP health and the built-in store. 0 picks free ones.
    #[arg(long, default_value_t = 7700)]
    pub port: u16,
    /// Units that the worker does at a time; default: by the number of cores.
    #[arg(long)]
    pub slots: Option<u32>,
    /// Leaves the user's configuration file as it is.
    #[arg(long)]
    pub no_config: bool,
    /// Shows the log of the children.
    #[arg(long, short)]
    pub verbose: bool,
}

#[derive(Subcommand)]
pub enum TaskCommand {
    /// Lists tasks, newest first.
    List {
        /// Such as: state = TASK_STATE_FAILED AND labels.team = "news"
        #[arg(long, default_value = "")]
        filter: String,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Oldest first.
        #[arg(long)]
        oldest: bool,
    },
    /// Shows a task.
    Get { task: String },
    /// Follows tasks until they have ended; without names, all of the project until Ctrl-C.
    Watch { tasks: Vec<String> },
    /// Waits until a task has ended.
    Wait {
        task: String,
        /// Seconds to wait at most; 0: no limit.
        #[arg(long, default_value_t = 0)]
        timeout: u64,
    },
    /// Cancels a waiting or running task.
    Cancel { task: String },
    /// Starts a new run of an ended task, or moves a waiting one to the front.
    Restart {
        task: String,
        /// Only nodes that did not succeed.
        #[arg(long)]
        failed_only: bool,
    },
    /// Deletes an ended task.
    Delete {
        task: String,
        /// Deletes its published objects too.
        #[arg(long)]
        outputs: bool,
    },
    /// Lists the outputs of a task.
    Outputs { task: String },
    /// Fetches the outputs of a task.
    Download {
        task: String,
        /// Where to.
        #[arg(long, default_value = ".")]
        dir: PathBuf,
    },
    /// Opens an output in a player (mpv, vlc or ffplay), or prints its address.
    Play {
        task: String,
        /// Number of the output in `mps task outputs`, from 1.
        #[arg(long, default_value_t = 1)]
        output: usize,
        /// Prints the address only.
        #[arg(long)]
        print: bool,
    },
}

#[derive(Subcommand)]
pub enum WorkerCommand {
    /// Lists workers.
    List,
    /// Lets a worker take no more units.
    Drain {
        worker: String,
        /// Lets it take units again.
        #[arg(long)]
        undo: bool,
    },
}

#[derive(Subcommand)]
pub enum ProjectCommand {
    /// Lists the projects that the key sees.
    List,
    /// Makes a project.
    Create {
        id: String,
        /// For people.
        #[arg(long, default_value = "")]
        display_name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    Viewer,
    Operator,
    Admin,
}

#[derive(Subcommand)]
pub enum KeyCommand {
    /// Makes a key; its secret is shown once.
    Create {
        #[arg(long, value_enum, default_value = "operator")]
        role: RoleName,
        /// For people.
        #[arg(long, default_value = "")]
        display_name: String,
        /// Days until it ends; default: never.
        #[arg(long)]
        days: Option<u32>,
    },
    /// Lists keys.
    List,
    /// Ends a key.
    Revoke { key: String },
}

#[cfg(test)]
mod tests;
