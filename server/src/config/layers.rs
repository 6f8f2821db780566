//! Merges defaults, file and environment, and prints the result in the form of the defaults file, comments kept.

use std::path::Path;

use toml::{Table, Value};

use super::{Config, types::redact};

/// The commented defaults; every key stands here, each on a line of its own.
pub const DEFAULTS: &str = include_str!("../../default-config.toml");

const PREFIX: &str = "MPS_";
/// Variables with our prefix that belong to other programs of the family.
const OTHERS: [&str; 7] = ["CONFIG", "WORKER_", "CLI_", "ADDRESS", "KEY", "PROJECT", "LONG"];

/// Why the configuration cannot be used; one line that names the key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// The effective configuration as a file, without passwords.
    pub text: String,
    /// Variables of the environment that look like ours but name no key. They are not refused, because other programs (such as
    /// Kubernetes, for a service named "mps") set variables with our prefix; a wrong key of a known section is refused.
    pub unknown_variables: Vec<String>,
}

pub(super) fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    let mut table: Table = toml::from_str(DEFAULTS).map_err(|error| ConfigError(format!("defaults: {error}")))?;
    if let Some(path) = file {
        merge_file(&mut table, path)?;
    }
    let unknown_variables = merge_environment(&mut table, environment)?;
    let text = print(&table);
    let config: Config = table.try_into().map_err(|error: toml::de::Error| ConfigError(one_line(&error)))?;
    let config = config.complete();
    super::check::check(&config)?;
    Ok(Loaded {
        config,
        text,
        unknown_variables,
    })
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

fn replace(current: Option<&mut Value>, value: Value, place: &str) -> Result<(), ConfigError> {
    let Some(current) = current else {
        return Err(ConfigError(format!(
            "{place} is no key; see mps-server --print-config for all keys"
        )));
    };
    if !current.same_type(&value) {
        let (wanted, found) = (current.type_str(), value.type_str());
        return Err(ConfigError(format!("{place} must be a {wanted}, not a {found}")));
    }
    *current = value;
    Ok(())
}

/// Gives the variables that name no key.
fn merge_environment(table: &mut Table, environment: impl Iterator<Item = (String, String)>) -> Result<Vec<String>, ConfigError> {
    let mut unknown = Vec::new();
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let path = key.to_lowercase();
        let slot = match path.split_once("__") {
            None => table.get_mut(&path).filter(|value| !value.is_table()),
            Some((section, inner)) => match table.get_mut(section) {
                Some(Value::Table(section)) => Some(
                    section
                        .get_mut(inner)
                        .ok_or_else(|| ConfigError(format!("{name} names no key; see mps-server --print-config for all keys")))?,
                ),
                _ => None,
            },
        };
        match slot {
            Some(slot) => *slot = parse_as(slot, &text).ok_or_else(|| ConfigError(format!("{name} must be a {}", slot.type_str())))?,
            None if OTHERS.iter().any(|other| key.starts_with(other)) => {}
            None => unknown.push(name),
        }
    }
    Ok(unknown)
}

/// Text of a variable as a value of the same type as the one it replaces.
fn parse_as(current: &Value, text: &str) -> Option<Value> {
    match current {
        Value::String(_) => Some(Value::String(text.to_owned())),
        Value::Integer(_) => text.parse().ok().map(Value::Integer),
        Value::Boolean(_) => text.parse().ok().map(Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => None,
    }
}

/// The defaults file with the effective values in place of the defaults.
fn print(table: &Table) -> String {
    let mut section = table;
    let mut lines = Vec::new();
    for line in DEFAULTS.lines() {
        if let Some(Value::Table(inner)) = line.strip_prefix('[').and_then(|rest| table.get(rest.trim_end_matches(']'))) {
            section = inner;
        }
        let key = line.split_once(" = ").map(|(key, _)| key).filter(|key| !key.starts_with('#'));
        match key.and_then(|key| Some((key, section.get(key)?))) {
            Some((key, Value::String(text))) => lines.push(format!("{key} = {}", Value::String(redact(text)))),
            Some((key, value)) => lines.push(format!("{key} = {value}")),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_with(file: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mps.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load(Some(&path), environment)
    }

    #[test]
    fn environment_overrides_the_file_and_the_file_the_defaults() {
        let file = "lease_ttl = \"4s\"\nmax_attempts = 5\n[local_store]\nlisten = \"127.0.0.1:1\"";
        let environment = [
            ("MPS_LEASE_TTL", "3s"),
            ("MPS_LOCAL_STORE__LISTEN", "127.0.0.1:2"),
            ("MPS_CORS_ORIGINS", "https://a.example, https://b.example"),
        ];
        let loaded = load_with(file, &environment).unwrap();
        assert_eq!(loaded.config.lease_ttl.as_secs(), 3);
        assert_eq!(loaded.config.max_attempts, 5);
        assert_eq!(loaded.config.local_store.listen.port(), 2);
        assert_eq!(loaded.config.cors_origins, ["https://a.example", "https://b.example"]);
        assert_eq!(loaded.config.commit_ttl.as_secs(), 30);
        assert_eq!(loaded.config.database_url.expose(), "sqlite://./mps-data/mps.db");
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_refused_by_name() {
        let wrong = [
            ("leaze_ttl = \"4s\"", "", "", "leaze_ttl"),
            ("[limits]\nmax_nodez = 1", "", "", "limits.max_nodez"),
            ("max_attempts = \"3\"", "", "", "max_attempts"),
            ("lease_ttl = \"soon\"", "", "", "soon"),
            ("limits = 3", "", "", "limits"),
            ("", "MPS_LIMITS__MAX_NODEZ", "1", "MPS_LIMITS__MAX_NODEZ"),
            ("", "MPS_LOG_JSON", "yes", "MPS_LOG_JSON"),
        ];
        for (file, variable, value, named) in wrong {
            let error = load_with(file, &[(variable, value)]).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn variables_of_other_programs_are_no_error() {
        let environment = [("MPS_WORKER_SLOTS", "2"), ("MPS_SERVICE_HOST", "10.0.0.1"), ("HOME", "/root")];
        assert_eq!(load_with("", &environment).unwrap().unknown_variables, ["MPS_SERVICE_HOST"]);
    }

    #[test]
    fn printed_configuration_is_the_file_that_gives_it_but_for_passwords() {
        let environment = [("MPS_MAX_ATTEMPTS", "7"), ("MPS_DATABASE_URL", "postgres://u:topsecret@h/d")];
        let printed = load_with("", &environment).unwrap().text;
        assert!(!printed.contains("topsecret"));
        assert!(printed.contains("# Attempts of a unit"));
        assert_eq!(load_with(&printed, &[]).unwrap().config.max_attempts, 7);
        assert_eq!(load_with("", &[]).unwrap().text, DEFAULTS);
    }
}
