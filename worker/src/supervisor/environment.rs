//! What children are started with, and what the machine can do, which a child finds out.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};

use crate::config::Config;

/// GStreamer's plugins are listed at the first start, and each encoder is tried.
const DISCOVERY_DEADLINE: Duration = Duration::from_secs(60);

/// This very binary, also when its file was replaced meanwhile; without our own settings and without proxies.
pub fn own_command(config: &Config) -> Command {
    let mut command = Command::new("/proc/self/exe");
    std::os::unix::process::CommandExt::arg0(&mut command, "mps-worker");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        if text.starts_with("MPS_WORKER_") || text.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
        .env("GST_REGISTRY", &config.registry_file)
        .env("MPS_WORKER_LOG", &config.log)
        .env("MPS_WORKER_LOG_JSON", config.log_json.to_string())
        .env("MPS_WORKER_OTLP_ENDPOINT", &config.otlp_endpoint);
    command
}

/// Makes the folder of the plugin list. Without it each child lists the plugins anew: slow, not wrong.
pub fn prepare_registry(config: &Config) {
    let Some(folder) = config.registry_file.parent() else { return };
    if let Err(error) = std::fs::create_dir_all(folder) {
        tracing::warn!(%error, path = %folder.display(), "the list of plugins cannot be kept; children start slowly");
    }
}

/// Asks a child what this machine can do.
pub async fn capabilities(config: &Config) -> anyhow::Result<Vec<String>> {
    let mut command = own_command(config);
    command
        .arg("capabilities")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let asking = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(DISCOVERY_DEADLINE, asking)
        .await
        .context("GStreamer did not say within 60 s what this machine can do")?
        .context("this binary cannot be started again")?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        bail!("GStreamer cannot be used ({}): {}", output.status, log.trim());
    }
    let mut capabilities: Vec<String> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    capabilities.sort();
    capabilities.dedup();
    Ok(capabilities)
}
