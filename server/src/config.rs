//! Configuration: commented defaults (`default-config.toml`, which explains every key) < file < `MPS_…` environment. What merges the
//! layers is in `layers`, what checks the whole in `check`.

mod check;
mod layers;
mod types;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

pub use layers::{ConfigError, DEFAULTS, Loaded};
pub use types::Secret;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Public gRPC and gRPC-Web.
    pub listen: SocketAddr,
    /// WorkerService.
    pub worker_listen: SocketAddr,
    /// `/healthz`, `/readyz`, `/metrics`.
    pub http_listen: SocketAddr,
    /// Keys, tokens and (by default) SQLite and the built-in store.
    pub data_dir: PathBuf,
    /// `postgres://…` or `sqlite://path`.
    pub database_url: Secret,
    pub database_max_connections: u32,
    pub migrate_on_start: bool,
    /// `redis://…`, `rediss://…` or `redis+unix://path`.
    pub redis_url: Secret,
    /// How long a lease holds without renewal.
    #[serde(deserialize_with = "types::duration")]
    pub lease_ttl: Duration,
    /// How long a commit is held by one server.
    #[serde(deserialize_with = "types::duration")]
    pub commit_ttl: Duration,
    /// Attempts of a unit before it fails.
    pub max_attempts: i32,
    /// Pool of units that need nothing special.
    pub default_pool: String,
    /// Whether URLs from users may point to private, loopback and link-local addresses.
    pub allow_private_urls: bool,
    /// Whether reflection answers without a key.
    pub open_reflection: bool,
    /// Origins that browsers may call from; `*` allows all.
    pub cors_origins: Vec<String>,
    pub worker_token_file: PathBuf,
    #[serde(deserialize_with = "types::duration")]
    pub request_timeout: Duration,
    #[serde(deserialize_with = "types::duration")]
    pub shutdown_grace: Duration,
    #[serde(deserialize_with = "types::duration")]
    pub watch_heartbeat: Duration,
    pub local_store: LocalStoreConfig,
    pub limits: LimitsConfig,
    pub tls: TlsConfig,
    /// OTLP gRPC endpoint; traces and metrics are exported when it is set.
    #[serde(deserialize_with = "types::optional")]
    pub otlp_endpoint: Option<String>,
    /// `tracing` filter, such as "info".
    pub log: String,
    /// JSON lines instead of text.
    pub log_json: bool,
}

/// The built-in store: S3 on a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalStoreConfig {
    pub enabled: bool,
    pub listen: SocketAddr,
    pub root: PathBuf,
    /// URL that workers use; default: `http://{listen}`.
    #[serde(deserialize_with = "types::optional")]
    pub worker_endpoint: Option<String>,
    /// URL that clients use; default: `http://{listen}`.
    #[serde(deserialize_with = "types::optional")]
    pub public_endpoint: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub max_nodes: i32,
    pub max_page_size: i32,
    pub max_request_bytes: usize,
    pub max_watches: usize,
    pub max_watch_backlog: usize,
    pub max_input_pixels: i64,
    pub max_input_streams: i32,
    #[serde(deserialize_with = "types::duration")]
    pub max_input_duration: Duration,
    /// Units that one project may run at a time; 0: no limit.
    pub max_running_units_per_project: i64,
    /// Calls under way at a time before load is shed.
    pub max_concurrent_calls: usize,
}

/// Certificates in PEM; without them a listener speaks plain HTTP/2.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    #[serde(deserialize_with = "types::optional")]
    pub cert_file: Option<PathBuf>,
    #[serde(deserialize_with = "types::optional")]
    pub key_file: Option<PathBuf>,
    /// Workers must show a certificate signed by it.
    #[serde(deserialize_with = "types::optional")]
    pub worker_client_ca_file: Option<PathBuf>,
}

impl Config {
    /// Reads all layers and checks the whole: `file`, then the process's environment.
    pub fn load(file: Option<&std::path::Path>) -> Result<Loaded, ConfigError> {
        layers::load(file, std::env::vars())
    }

    /// The defaults with a few keys set by their environment names, such as `("MPS_DATA_DIR", "…")`; for tests.
    pub fn of(environment: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Ok(layers::load(None, environment)?.config)
    }

    /// Fills in what depends on other keys.
    fn complete(mut self) -> Self {
        if self.database_url.expose().is_empty() {
            self.database_url = Secret::new(format!("sqlite://{}", self.data_dir.join("mps.db").display()));
        }
        if self.worker_token_file.as_os_str().is_empty() {
            self.worker_token_file = self.data_dir.join("worker.token");
        }
        if self.local_store.root.as_os_str().is_empty() {
            self.local_store.root = self.data_dir.join("objects");
        }
        self
    }
}
