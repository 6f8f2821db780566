//! Configuration: commented defaults (`default-config.toml`, which explains every key) < file < `MPS_WORKER_…` environment.
//! Unknown keys are refused.

use std::{path::Path, path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de::Error};
use toml::{Table, Value};

use crate::machine;

const DEFAULTS: &str = include_str!("../default-config.toml");
const PREFIX: &str = "MPS_WORKER_";
/// Head, tail and an index fit into this.
const LEAST_PROBE_BYTES: u64 = 8 << 20;
/// Variables with our prefix that are not settings: the file's own, and one of the server.
const OTHERS: [&str; 2] = ["CONFIG", "LISTEN"];

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: String,
    pub token_file: PathBuf,
    pub ca_file: PathBuf,
    pub redis_url: Secret,
    pub pool: String,
    pub slots: usize,
    pub niceness: u8,
    pub display_name: String,
    pub scratch: PathBuf,
    pub registry_file: PathBuf,
    #[serde(deserialize_with = "duration")]
    pub no_progress_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub offline_patience: Duration,
    pub otlp_endpoint: String,
    pub log: String,
    pub log_json: bool,
    pub probe: ProbeConfig,
    pub fetch: FetchConfig,
    pub upload: UploadConfig,
}

/// How many probes run, and what one may take.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeConfig {
    pub slots: usize,
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
    pub max_bytes: u64,
}

/// How inputs are fetched.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchConfig {
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Duration,
    #[serde(deserialize_with = "duration")]
    pub stall_timeout: Duration,
    pub tries: u32,
    #[serde(deserialize_with = "duration")]
    pub first_pause: Duration,
    #[serde(deserialize_with = "duration")]
    pub deadline: Duration,
    pub min_bytes_per_second: u64,
    #[serde(deserialize_with = "duration")]
    pub rate_window: Duration,
    pub max_redirects: u32,
}

/// How outputs are uploaded.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadConfig {
    pub parallel_parts: usize,
    pub tries: u32,
    #[serde(deserialize_with = "duration")]
    pub patience: Duration,
}

/// Text that may hold a password: never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&redact(&self.0))
    }
}

/// Why the configuration cannot be used; one line that names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// A configuration and its text without passwords.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    pub text: String,
}

/// Merges the layers and checks the whole.
pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    let mut table: Table = toml::from_str(DEFAULTS).map_err(|error| ConfigError(format!("defaults: {error}")))?;
    if let Some(path) = file {
        merge_file(&mut table, path)?;
    }
    for (name, text) in environment {
        merge_variable(&mut table, &name, &text)?;
    }
    let text = print(&table);
    let config: Config = table.try_into().map_err(|error| ConfigError(one_line(&error)))?;
    let config = config.complete();
    config.check()?;
    Ok(Loaded { config, text })
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn merge_file(table: &mut Table, path: &Path) -> Result<(), ConfigError> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError(format!("{name}: {error}")))?;
    let layer: Table = toml::from_str(&text).map_err(|error| ConfigError(format!("{name}: {}", one_line(&error))))?;
    for (key, value) in layer {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(section)), Value::Table(layer)) => {
                for (inner, value) in layer {
                    replace(section.get_mut(&inner), value, &format!("{name}: {key}.{inner}"))?;
                }
            }
            (current, value) => replace(current, value, &format!("{name}: {key}"))?,
        }
    }
    Ok(())
}

fn no_key(place: &str) -> ConfigError {
    ConfigError(format!("{place} is no key; see mps-worker run --print-config for all keys"))
}

fn replace(current: Option<&mut Value>, value: Value, place: &str) -> Result<(), ConfigError> {
    let current = current.ok_or_else(|| no_key(place))?;
    if !current.same_type(&value) {
        let (wanted, found) = (current.type_str(), value.type_str());
        return Err(ConfigError(format!("{place} must be a {wanted}, not a {found}")));
    }
    *current = value;
    Ok(())
}

fn merge_variable(table: &mut Table, name: &str, text: &str) -> Result<(), ConfigError> {
    let Some(key) = name.strip_prefix(PREFIX).filter(|key| !OTHERS.contains(key)) else {
        return Ok(());
    };
    let path = key.to_lowercase();
    let slot = match path.split_once("__") {
        None => table.get_mut(&path).filter(|value| !value.is_table()),
        Some((section, inner)) => table.get_mut(section).and_then(|section| section.as_table_mut()?.get_mut(inner)),
    };
    let slot = slot.ok_or_else(|| no_key(name))?;
    let value = match slot {
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        _ => Some(Value::String(text.to_owned())),
    };
    *slot = value.ok_or_else(|| ConfigError(format!("{name} must be a {}, not \"{text}\"", slot.type_str())))?;
    Ok(())
}

/// The defaults file with the effective values in place of the defaults.
fn print(table: &Table) -> String {
    let mut section = table;
    let mut text = String::new();
    for line in DEFAULTS.lines() {
        if let Some(Value::Table(inner)) = line.strip_prefix('[').and_then(|rest| table.get(rest.trim_end_matches(']'))) {
            section = inner;
        }
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.starts_with('#'));
        let line = match key.and_then(|key| Some((key, section.get(key)?))) {
            Some((key, Value::String(text))) => format!("{key} = {}", Value::String(redact(text))),
            Some((key, value)) => format!("{key} = {value}"),
            None => line.to_owned(),
        };
        text += &line;
        text.push('\n');
    }
    text
}

/// A URL without its password.
fn redact(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            let _cannot_carry_one = url.set_password(Some("REDACTED"));
            url.to_string()
        }
        _ => text.to_owned(),
    }
}

impl Config {
    /// Fills in what depends on the machine.
    fn complete(mut self) -> Self {
        if self.slots == 0 {
            self.slots = machine::default_slots();
        }
        if self.scratch.as_os_str().is_empty() {
            self.scratch = std::env::temp_dir().join("mps-worker");
        }
        if self.display_name.is_empty() {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            self.display_name = name.trim().to_owned();
        }
        if self.registry_file.as_os_str().is_empty() {
            self.registry_file = cache_folder().join("mps/gstreamer-registry.bin");
        }
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        let server = url::Url::parse(&self.server).map_err(|error| ConfigError(format!("server: {error}")))?;
        let refuse = |text: &str| Err(ConfigError(text.to_owned()));
        match server.scheme() {
            "http" => {}
            "https" if self.ca_file.as_os_str().is_empty() => {
                return refuse("ca_file is needed for a server with https://: the certificate (PEM) that signed the server's");
            }
            "https" => {}
            other => return refuse(&format!("server: scheme {other} is neither http nor https")),
        }
        if self.slots > 1024 {
            return refuse("slots must be at most 1024");
        }
        if self.niceness > 19 {
            return refuse("niceness must be at most 19");
        }
        if !(1..=64).contains(&self.probe.slots) {
            return refuse("probe.slots must be 1 to 64");
        }
        if self.probe.max_bytes < LEAST_PROBE_BYTES {
            return refuse("probe.max_bytes must be at least 8388608");
        }
        if self.pool.is_empty() || !self.pool.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            return refuse("pool must be a name of letters, digits, '-', '_' and '.'");
        }
        if self.fetch.tries == 0 || self.upload.tries == 0 || self.upload.parallel_parts == 0 {
            return refuse("fetch.tries, upload.tries and upload.parallel_parts must be at least 1");
        }
        Ok(())
    }
}

fn cache_folder() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| D::Error::custom(format!("\"{text}\" is no duration; write \"500ms\", \"15s\", \"2m\" or \"24h\"")))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(name, text)| (name.to_string(), text.to_string()));
        load(Some(&path), environment)
    }

    #[test]
    fn environment_stands_above_file_above_defaults() {
        let file = "slots = 3\npool = \"gpu\"\n[fetch]\ntries = 2\n";
        let config = load_with(file, &[("MPS_WORKER_SLOTS", "7"), ("MPS_WORKER_FETCH__DEADLINE", "90s")])
            .unwrap()
            .config;
        assert_eq!((config.slots, config.pool.as_str(), config.fetch.tries), (7, "gpu", 2));
        assert_eq!(config.fetch.deadline, Duration::from_secs(90));
        assert_eq!(config.no_progress_timeout, Duration::from_secs(120));
    }

    #[test]
    fn unknown_keys_and_bad_values_are_refused_by_name() {
        for (file, variable, named) in [
            ("slot = 1", None, "slot"),
            ("[fetch]\ntrie = 1", None, "fetch.trie"),
            ("slots = \"two\"", None, "slots"),
            ("", Some(("MPS_WORKER_SLOT", "1")), "MPS_WORKER_SLOT"),
            ("", Some(("MPS_WORKER_SLOTS", "two")), "MPS_WORKER_SLOTS"),
            ("offline_patience = \"5\"", None, "duration"),
            ("server = \"https://mps:1\"", None, "ca_file"),
            ("server = \"mps:1\"", None, "server"),
            ("niceness = 20", None, "niceness"),
            ("[probe]\nslots = 0", None, "probe.slots"),
            ("", Some(("MPS_WORKER_PROBE__MAX_BYTES", "1")), "probe.max_bytes"),
        ] {
            let error = load_with(file, variable.as_slice()).expect_err(file).to_string();
            assert!(error.contains(named) && !error.contains('\n'), "{file}: {error}");
        }
    }

    #[test]
    fn settings_of_the_server_are_none_of_ours() {
        assert!(load_with("", &[("MPS_WORKER_LISTEN", "127.0.0.1:1"), ("MPS_LISTEN", "x")]).is_ok());
    }

    #[test]
    fn printed_configuration_can_be_loaded_and_hides_passwords() {
        let first = load_with("redis_url = \"redis://:secret@host\"\nslots = 5", &[]).unwrap();
        assert!(!first.text.contains("secret"), "{}", first.text);
        assert_eq!(load_with(&first.text, &[]).unwrap().config.slots, 5);
    }
}
