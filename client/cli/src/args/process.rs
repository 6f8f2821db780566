//! Flags of `mps process`.

use std::path::PathBuf;

use clap::Args;

#[derive(Args)]
pub struct ProcessArgs {
    /// Files, URLs, or storage:key.
    #[arg(required = true)]
    pub inputs: Vec<String>,
    #[command(flatten)]
    pub nodes: NodeArgs,
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

/// What is made of the input. Without any: preset-h264-720p, or preset-m4a-96k for sound alone.
#[derive(Args)]
pub struct NodeArgs {
    /// Template of a transcode node; may be repeated. Without any node: preset-h264-720p, or preset-m4a-96k for sound alone.
    #[arg(long = "transcode", value_name = "TEMPLATE")]
    pub transcodes: Vec<String>,
    /// Template of a node of any kind, by id, name or number: adaptive streams, sprites, animated images, …; may be repeated.
    #[arg(long = "preset", value_name = "TEMPLATE")]
    pub presets: Vec<String>,
    /// Offset of a snapshot, such as 3.5s or 10%; may be repeated.
    #[arg(long = "snapshot", value_name = "OFFSET", allow_hyphen_values = true)]
    pub snapshots: Vec<String>,
    /// Template of the snapshots.
    #[arg(long, value_name = "TEMPLATE", default_value = "preset-snapshot-jpeg")]
    pub snapshot_template: String,
    /// Takes the best picture, by a template of snapshots.
    #[arg(long, value_name = "TEMPLATE", num_args = 0..=1, require_equals = true, default_missing_value = "preset-snapshot-jpeg")]
    pub cover: Option<String>,
    /// Template of a watermark on every node that can have one; may be repeated.
    #[arg(long = "watermark", value_name = "TEMPLATE")]
    pub watermarks: Vec<String>,
    /// JSON file with nodes in full: one, an array, or a request with `nodes`; - is standard input; may be repeated.
    #[arg(long = "nodes", value_name = "FILE")]
    pub nodes: Vec<PathBuf>,
}
