//! Commands of `mps storage`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
