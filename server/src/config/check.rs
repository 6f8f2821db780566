//! Checks the configuration as a whole: all that is wrong at once.

use std::time::Duration;

use super::{Config, layers::ConfigError};

/// Collects what is wrong.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn require(&mut self, holds: bool, problem: impl Into<String>) {
        if !holds {
            self.0.push(problem.into());
        }
    }

    fn within(&mut self, key: &str, value: Duration, from_s: u64, to_s: u64) {
        let range = Duration::from_secs(from_s)..=Duration::from_secs(to_s);
        self.require(range.contains(&value), format!("{key} must be {from_s}s to {to_s}s"));
    }
}

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let mut problems = Problems::default();
    times(config, &mut problems);
    places(config, &mut problems);
    limits(config, &mut problems);
    tls(config, &mut problems);
    match problems.0.as_slice() {
        [] => Ok(()),
        all => Err(ConfigError(all.join("; "))),
    }
}

fn times(config: &Config, problems: &mut Problems) {
    problems.within("lease_ttl", config.lease_ttl, 1, 600);
    problems.within("commit_ttl", config.commit_ttl, 1, 600);
    problems.within("request_timeout", config.request_timeout, 1, 600);
    problems.within("shutdown_grace", config.shutdown_grace, 0, 600);
    problems.within("watch_heartbeat", config.watch_heartbeat, 5, 60);
}

fn places(config: &Config, problems: &mut Problems) {
    let database = config.database_url.expose();
    let known = ["postgres://", "postgresql://", "sqlite:"]
        .iter()
        .any(|scheme| database.starts_with(scheme));
    problems.require(known, "database_url must start with postgres:// or sqlite://");
    let redis = config.redis_url.expose();
    let known = ["redis://", "rediss://", "redis+unix://", "unix://"]
        .iter()
        .any(|scheme| redis.starts_with(scheme));
    problems.require(known, "redis_url must start with redis://, rediss:// or redis+unix://");
    problems.require(!config.data_dir.as_os_str().is_empty(), "data_dir must be set");
    problems.require(
        mps_proto::name::is_valid_id(&config.default_pool),
        "default_pool must be [a-z][a-z0-9-]{0,62}",
    );
    for origin in &config.cors_origins {
        let known = origin == "*" || origin.starts_with("http://") || origin.starts_with("https://");
        problems.require(known && !origin.ends_with('/'), format!("cors_origins: \"{origin}\" is no origin"));
    }
    let endpoints = [
        ("otlp_endpoint", &config.otlp_endpoint),
        ("local_store.worker_endpoint", &config.local_store.worker_endpoint),
        ("local_store.public_endpoint", &config.local_store.public_endpoint),
    ];
    for (key, endpoint) in endpoints {
        let is_url = |text: &String| url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        problems.require(endpoint.as_ref().is_none_or(is_url), format!("{key} must be an http or https URL"));
    }
    listeners(config, problems);
}

fn listeners(config: &Config, problems: &mut Problems) {
    let mut all = vec![
        ("listen", config.listen),
        ("worker_listen", config.worker_listen),
        ("http_listen", config.http_listen),
    ];
    if config.local_store.enabled {
        all.push(("local_store.listen", config.local_store.listen));
    }
    for (index, (key, address)) in all.iter().enumerate() {
        for (other, _) in all.iter().take(index).filter(|(_, other)| other == address && address.port() != 0) {
            problems.require(false, format!("{key} and {other} must differ"));
        }
    }
}

fn limits(config: &Config, problems: &mut Problems) {
    let limits = &config.limits;
    problems.require((1..=20).contains(&config.max_attempts), "max_attempts must be 1 to 20");
    problems.require(config.database_max_connections >= 2, "database_max_connections must be at least 2");
    problems.require((1..=50).contains(&limits.max_nodes), "limits.max_nodes must be 1 to 50");
    problems.require((1..=1000).contains(&limits.max_page_size), "limits.max_page_size must be 1 to 1000");
    let bytes = 64 * 1024..=64 * 1024 * 1024;
    problems.require(
        bytes.contains(&limits.max_request_bytes),
        "limits.max_request_bytes must be 65536 to 67108864",
    );
    let positive = [
        ("max_watches", limits.max_watches > 0),
        ("max_watch_backlog", limits.max_watch_backlog > 0),
        ("max_concurrent_calls", limits.max_concurrent_calls > 0),
        ("max_input_pixels", limits.max_input_pixels > 0),
        ("max_input_streams", limits.max_input_streams > 0),
        ("max_input_duration", !limits.max_input_duration.is_zero()),
    ];
    for (key, holds) in positive {
        problems.require(holds, format!("limits.{key} must be above 0"));
    }
    problems.require(
        limits.max_running_units_per_project >= 0,
        "limits.max_running_units_per_project must be 0 or more",
    );
}

fn tls(config: &Config, problems: &mut Problems) {
    let tls = &config.tls;
    problems.require(
        tls.cert_file.is_some() == tls.key_file.is_some(),
        "tls.cert_file and tls.key_file belong together",
    );
    problems.require(
        tls.worker_client_ca_file.is_none() || tls.cert_file.is_some(),
        "tls.worker_client_ca_file needs tls.cert_file and tls.key_file",
    );
    for (key, file) in [
        ("cert_file", &tls.cert_file),
        ("key_file", &tls.key_file),
        ("worker_client_ca_file", &tls.worker_client_ca_file),
    ] {
        if let Some(file) = file {
            problems.require(file.is_file(), format!("tls.{key}: {} is no file", file.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_named_at_once() {
        let error = Config::of(&[
            ("MPS_LEASE_TTL", "0s"),
            ("MPS_DATABASE_URL", "mysql://x"),
            ("MPS_LISTEN", "127.0.0.1:7701"),
            ("MPS_TLS__CERT_FILE", "/nowhere/cert.pem"),
            ("MPS_LIMITS__MAX_WATCHES", "0"),
        ])
        .unwrap_err()
        .to_string();
        for key in [
            "lease_ttl",
            "database_url",
            "worker_listen",
            "tls.key_file",
            "tls.cert_file",
            "limits.max_watches",
        ] {
            assert!(error.contains(key), "{key} is not in: {error}");
        }
    }

    #[test]
    fn defaults_are_fine_and_port_0_may_stand_twice() {
        Config::of(&[("MPS_LISTEN", "127.0.0.1:0"), ("MPS_HTTP_LISTEN", "127.0.0.1:0")]).unwrap();
    }
}
