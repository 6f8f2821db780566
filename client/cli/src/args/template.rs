//! Commands of `mps template`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub enum TemplateCommand {
    /// Lists templates: presets and the project's own.
    List {
        /// Only those of a kind, such as transcode or watermark.
        #[arg(long)]
        kind: Option<String>,
        /// Such as: preset = false AND display_name = "News"; kind, preset, display_name and alias are known.
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// Shows a template by its id, name or number.
    Get {
        template: String,
        /// As it was at a revision; default: as it is.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        revision: i32,
    },
    /// Makes a template of a JSON file: displayName, comment and settings, as `mps template get` shows them.
    Create {
        /// The file; - is standard input.
        #[arg(long, short)]
        file: PathBuf,
        /// Id; default: the server chooses one.
        #[arg(long)]
        id: Option<String>,
        /// Only checks.
        #[arg(long = "validate-only")]
        check: bool,
    },
    /// Changes what a JSON file says; an etag in it must be the current one.
    Update {
        template: String,
        /// The file; - is standard input.
        #[arg(long, short)]
        file: PathBuf,
        /// Paths that are replaced, also by nothing, such as settings.transcode.video.crf,comment; default: what the file sets.
        #[arg(long, value_name = "PATHS", value_delimiter = ',')]
        mask: Vec<String>,
        /// Only checks.
        #[arg(long = "validate-only")]
        check: bool,
    },
    /// Makes a template with the settings of another, such as a preset.
    Clone {
        template: String,
        /// Id; default: the server chooses one.
        #[arg(long)]
        id: Option<String>,
        /// For people; default: the other's.
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Deletes a template; tasks that were accepted with it keep its settings.
    Delete {
        template: String,
        /// Deletes it only if this is its etag.
        #[arg(long)]
        etag: Option<String>,
    },
}
