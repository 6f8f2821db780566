//! The user's configuration file: where the server is and with which key. `mps up` writes it.

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Address that is tried when nothing is configured.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:7700";

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserConfig {
    /// `http://host:port` or `https://…`.
    pub address: Option<String>,
    /// An API key.
    pub key: Option<String>,
}

/// `$MPS_CONFIG_FILE`, else `mps/config.toml` in the user's configuration folder.
pub fn path() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("MPS_CONFIG_FILE") {
        return Ok(path.into());
    }
    let folder = match std::env::var_os("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME").context("neither HOME nor XDG_CONFIG_HOME is set")?).join(".config"),
    };
    Ok(folder.join("mps/config.toml"))
}

/// Reads the file; an absent one is empty.
pub fn load(path: &Path) -> anyhow::Result<UserConfig> {
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).with_context(|| format!("{} is not valid; `mps up` writes it anew", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(UserConfig::default()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

/// Writes the file whole or not at all, readable by its owner alone.
pub fn save(path: &Path, config: &UserConfig) -> anyhow::Result<()> {
    let folder = path.parent().context("the configuration file needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(toml::to_string(config)?.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn saved_configuration_is_read_back_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/config.toml");
        let config = UserConfig {
            address: Some("http://127.0.0.1:1".into()),
            key: Some("mps_a_b".into()),
        };
        assert_eq!(load(&path).unwrap(), UserConfig::default());
        save(&path, &config).unwrap();
        assert_eq!(load(&path).unwrap(), config);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
