//! The command line: every command, flag and its help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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

#[derive(Args)]
pub struct ProcessArgs {
    /// Files, URLs, or storage:key.
    #[arg(required = true)]
    pub inputs: Vec<String>,
    /// Template of a transcode node; may be repeated. Without any node: preset-h264-720p, or preset-m4a-128k for sound alone.
    #[arg(long = "transcode", value_name = "TEMPLATE")]
    pub transcodes: Vec<String>,
    /// Offset of a snapshot, such as 3.5s or 10%; may be repeated.
    #[arg(long = "snapshot", value_name = "OFFSET", allow_hyphen_values = true)]
    pub snapshots: Vec<String>,
    /// Template of the snapshots.
    #[arg(long, default_value = "preset-snapshot-jpeg")]
    pub snapshot_template: String,
    /// Storage that uploads and outputs go to; default: local, or the input's.
    #[arg(long)]
    pub storage: Option<String>,
    /// Directory of the outputs.
    #[arg(long)]
    pub output: Option<String>,
    /// −10 to 10; higher starts earlier.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    pub priority: i32,
    /// key=value; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// Fetches the outputs into a folder.
    #[arg(long, value_name = "DIR")]
    pub download: Option<PathBuf>,
    /// Prints the names of the tasks and returns.
    #[arg(long, conflicts_with = "download")]
    pub detach: bool,
    /// Checks everything and prints the plan; accepts nothing.
    #[arg(long, conflicts_with_all = ["detach", "download"])]
    pub validate_only: bool,
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

#[derive(Clone, Copy, ValueEnum)]
pub enum Provider {
    S3,
    Cos,
    S3Compatible,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Access {
    Read,
    Write,
    ReadWrite,
}

#[derive(Args)]
pub struct StorageAddArgs {
    /// Id.
    pub id: String,
    /// Kind of provider.
    #[arg(long, value_enum)]
    pub kind: Provider,
    #[arg(long)]
    pub bucket: String,
    #[arg(long, default_value = "")]
    pub region: String,
    /// URL that servers use.
    #[arg(long, default_value = "")]
    pub endpoint: String,
    /// URL that workers use; default: --endpoint.
    #[arg(long, default_value = "")]
    pub worker_endpoint: String,
    /// URL that clients use; default: --endpoint.
    #[arg(long, default_value = "")]
    pub public_endpoint: String,
    /// The bucket stands in the path instead of the host name.
    #[arg(long)]
    pub path_style: bool,
    /// Every key is under this prefix.
    #[arg(long, default_value = "")]
    pub prefix: String,
    /// What tasks may do.
    #[arg(long, value_enum, default_value = "read-write")]
    pub access: Access,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", requires = "secret_access_key")]
    pub access_key_id: Option<String>,
    /// Better from the environment than from the command line.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub secret_access_key: Option<String>,
    #[arg(long, env = "AWS_SESSION_TOKEN", hide_env_values = true)]
    pub session_token: Option<String>,
    /// Role that the server assumes, instead of keys.
    #[arg(long, conflicts_with = "access_key_id")]
    pub assume_role: Option<String>,
    /// Makes the bucket when it is not there.
    #[arg(long)]
    pub create_bucket: bool,
}

#[derive(Subcommand)]
pub enum StorageCommand {
    /// Authorises a bucket.
    Add(Box<StorageAddArgs>),
    /// Lists storages.
    List,
    /// Forgets a storage; its objects stay.
    Remove { storage: String },
    /// Tries what a storage permits.
    Test { storage: String },
    /// Prints the least policy that a storage needs.
    Policy { storage: String },
    /// Lists objects: storage:directory/
    Ls {
        #[arg(default_value = "local:")]
        place: String,
        /// Goes into folders.
        #[arg(long, short)]
        recursive: bool,
    },
    /// Uploads files: FILE… storage:directory/ or FILE storage:key
    Upload {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        to: String,
    },
    /// Downloads an object to a file, by default one of its name here: storage:key FILE
    Download { object: String, file: Option<PathBuf> },
    /// Makes a folder: storage:directory/
    Mkdir { place: String },
    /// Deletes objects: storage:key …
    Rm {
        #[arg(required = true)]
        objects: Vec<String>,
    },
}

#[derive(Subcommand)]
pub enum TemplateCommand {
    /// Lists templates.
    List,
    /// Shows a template.
    Get { template: String },
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
mod tests {
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
