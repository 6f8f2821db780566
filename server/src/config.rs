//! Configuration: commented defaults < file < `MPS_…` environment.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The whole configuration.
#[derive(Debug, Clone)]
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
    pub database_url: String,
    pub database_max_connections: u32,
    /// `redis://…`, `rediss://…` or `redis+unix://path`.
    pub redis_url: String,
    /// How long a lease holds without renewal.
    pub lease_ttl: Duration,
    /// How long a commit is held by one server.
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
    pub local_store: LocalStoreConfig,
    pub limits: LimitsConfig,
    pub tls: TlsConfig,
    /// OTLP gRPC endpoint; traces and metrics are exported when it is set.
    pub otlp_endpoint: Option<String>,
    /// `tracing` filter, such as "info".
    pub log: String,
    /// JSON lines instead of text.
    pub log_json: bool,
}

/// The built-in store: S3 on a folder.
#[derive(Debug, Clone)]
pub struct LocalStoreConfig {
    pub enabled: bool,
    pub listen: SocketAddr,
    pub root: PathBuf,
    /// URL that workers use; default: `http://{listen}`.
    pub worker_endpoint: Option<String>,
    /// URL that clients use; default: `http://{listen}`.
    pub public_endpoint: Option<String>,
}

#[derive(Debug, Clone)]
pub struct LimitsConfig {
    pub max_nodes: i32,
    pub max_page_size: i32,
    pub max_request_bytes: usize,
    pub max_watches: usize,
    pub max_input_pixels: i64,
    pub max_input_streams: i32,
    pub max_input_duration: Duration,
    /// Units that one project may run at a time; 0: no limit.
    pub max_running_units_per_project: i64,
    /// Calls under way at a time before load is shed.
    pub max_concurrent_calls: usize,
}

/// Certificates in PEM; without them a listener speaks plain HTTP/2.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Workers must show a certificate signed by it.
    pub worker_client_ca_file: Option<PathBuf>,
}
