//! Where a storage is: endpoints per audience, bucket, prefix, addressing; and one normalised name for the place.

use std::net::IpAddr;

use mps_plan::Violation;
use mps_proto::v1::{Storage, StorageKind};
use url::{Host, Url};

use super::{Audience, address};
use crate::{config::LocalStoreConfig, service::access::violation};

/// The one bucket of the embedded store; projects are prefixes in it.
pub const LOCAL_BUCKET: &str = "mps";
/// Id of the storage that every project has.
pub const LOCAL_STORAGE: &str = "local";
const MAX_URL: usize = 1024;
const MAX_PREFIX: usize = 512;

/// A place in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub bucket: String,
    pub region: String,
    /// Ends in `/` unless empty.
    pub prefix: String,
    pub path_style: bool,
    /// `None`: the provider's own (Amazon S3).
    pub server: Option<String>,
    pub worker: Option<String>,
    pub public: Option<String>,
    /// Whether its endpoints may have private addresses.
    pub allow_private: bool,
}

impl Place {
    /// The embedded store's part that belongs to a project.
    pub fn local(config: &LocalStoreConfig, project: &str) -> Self {
        let own = format!("http://{}", reachable(config.listen));
        Self {
            bucket: LOCAL_BUCKET.into(),
            region: "us-east-1".into(),
            prefix: format!("{project}/"),
            path_style: true,
            server: Some(own.clone()),
            worker: Some(config.worker_endpoint.clone().unwrap_or_else(|| own.clone())),
            public: Some(config.public_endpoint.clone().unwrap_or(own)),
            allow_private: true,
        }
    }

    /// A storage that a user made; it was checked by `check`.
    pub fn of(storage: &Storage, allow_private: bool) -> Self {
        let server = match (storage.kind(), storage.endpoint.as_str()) {
            (StorageKind::Cos, "") => Some(format!("https://cos.{}.myqcloud.com", storage.region)),
            (_, "") => None,
            (_, endpoint) => Some(endpoint.to_owned()),
        };
        let or_server = |endpoint: &str| match endpoint {
            "" => server.clone(),
            own => Some(own.to_owned()),
        };
        Self {
            bucket: storage.bucket.clone(),
            region: region(storage),
            prefix: storage.prefix.clone(),
            path_style: storage.path_style,
            worker: or_server(&storage.worker_endpoint),
            public: or_server(&storage.public_endpoint),
            server,
            allow_private,
        }
    }

    pub fn endpoint(&self, audience: Audience) -> Option<&str> {
        match audience {
            Audience::Server => self.server.as_deref(),
            Audience::Worker => self.worker.as_deref(),
            Audience::Public => self.public.as_deref(),
        }
    }

    /// What to call an endpoint before users.
    pub fn endpoint_text(&self, audience: Audience) -> String {
        match self.endpoint(audience) {
            Some(endpoint) => endpoint.to_owned(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }

    /// `endpoint/bucket/prefix`, the same for every way to write one place: no scheme, no default port, lower case, and one name for
    /// Amazon S3, whose bucket names are unique over all regions.
    pub fn reference(&self) -> String {
        let host = match self.server.as_deref().map(Url::parse) {
            Some(Ok(url)) => host_of(&url, &self.bucket),
            Some(Err(_)) => self.server.clone().unwrap_or_default(),
            None => "s3.amazonaws.com".to_owned(),
        };
        format!("{host}/{}/{}", self.bucket, self.prefix)
    }
}

/// The port of a listener on all addresses is reached on loopback.
fn reachable(listen: std::net::SocketAddr) -> std::net::SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    (ip, listen.port()).into()
}

fn region(storage: &Storage) -> String {
    match storage.region.as_str() {
        "" => "us-east-1".to_owned(),
        region => region.to_owned(),
    }
}

fn host_of(url: &Url, bucket: &str) -> String {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    if host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn") {
        return "s3.amazonaws.com".to_owned();
    }
    let host = host.strip_prefix(&format!("{bucket}.")).unwrap_or(&host).to_owned();
    let path = url.path().trim_matches('/');
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    match path {
        "" => format!("{host}{port}"),
        path => format!("{host}{port}/{path}"),
    }
}

/// Every fault of a storage that a user describes; paths begin with `storage.`.
pub fn check(storage: &Storage, allow_private: bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut fault = |field: &str, text: String| violations.push(violation(&format!("storage.{field}"), text));
    match storage.kind() {
        StorageKind::Unspecified => fault(
            "kind",
            "must be STORAGE_KIND_S3, STORAGE_KIND_COS or STORAGE_KIND_S3_COMPATIBLE".into(),
        ),
        StorageKind::Local => fault("kind", "the built-in storage `local` is there already".into()),
        StorageKind::S3Compatible if storage.endpoint.is_empty() => fault("endpoint", "is required for STORAGE_KIND_S3_COMPATIBLE".into()),
        StorageKind::Cos | StorageKind::S3 if storage.region.is_empty() => fault("region", "is required for this kind".into()),
        _ => {}
    }
    if let Some(text) = bucket_fault(storage) {
        fault("bucket", text);
    }
    let is_region = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if storage.region.len() > 64 || !storage.region.chars().all(is_region) {
        fault("region", "must be at most 64 letters, digits, hyphens and underscores".into());
    }
    for (field, endpoint) in [
        ("endpoint", &storage.endpoint),
        ("worker_endpoint", &storage.worker_endpoint),
        ("public_endpoint", &storage.public_endpoint),
    ] {
        if let Err(text) = check_endpoint(endpoint, allow_private) {
            fault(field, text);
        }
    }
    if let Some(text) = prefix_fault(&storage.prefix) {
        fault("prefix", text);
    }
    violations
}

fn bucket_fault(storage: &Storage) -> Option<String> {
    let bucket = &storage.bucket;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) || bucket.contains("..") || bucket.starts_with('.') {
        return Some("must be 3 to 63 lower-case letters, digits, hyphens, dots and underscores".into());
    }
    let is_cos_name = bucket
        .rsplit_once('-')
        .is_some_and(|(_, id)| id.len() >= 8 && id.chars().all(|c| c.is_ascii_digit()));
    (storage.kind() == StorageKind::Cos && !is_cos_name)
        .then(|| "write it as COS shows it, with the application id, such as `videos-1250000000`".into())
}

fn prefix_fault(prefix: &str) -> Option<String> {
    if prefix.is_empty() {
        return None;
    }
    let Some(path) = prefix.strip_suffix('/') else {
        return Some("must end in `/`".into());
    };
    if prefix.len() > MAX_PREFIX {
        return Some(format!("must be at most {MAX_PREFIX} bytes"));
    }
    super::keys::check(path).err()
}

/// An endpoint from a user: http or https, a host, nothing after it but a path, and no private address unless they are allowed.
pub fn check_endpoint(endpoint: &str, allow_private: bool) -> Result<(), String> {
    if endpoint.is_empty() {
        return Ok(());
    }
    let url = Url::parse(endpoint).map_err(|error| format!("is not a URL: {error}"))?;
    if endpoint.len() > MAX_URL {
        return Err(format!("must be at most {MAX_URL} bytes"));
    }
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("must not carry a user, a query or a fragment; put keys into credentials".into());
    }
    let private = match url.host() {
        None => return Err("names no host".into()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => !address::is_public(ip.into()),
        Some(Host::Ipv6(ip)) => !address::is_public(ip.into()),
    };
    if private && !allow_private {
        return Err("is a private address; allow_private_urls in the server's configuration permits it".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compatible(endpoint: &str) -> Storage {
        Storage {
            kind: StorageKind::S3Compatible as i32,
            bucket: "videos".into(),
            endpoint: endpoint.into(),
            ..Default::default()
        }
    }

    #[test]
    fn one_place_has_one_reference() {
        let reference = |storage: &Storage| Place::of(storage, true).reference();
        let plain = reference(&compatible("http://store.example.com"));
        for same in [
            "https://STORE.example.com/",
            "http://store.example.com:80",
            "https://videos.store.example.com",
        ] {
            assert_eq!(reference(&compatible(same)), plain, "{same}");
        }
        assert_ne!(reference(&compatible("http://store.example.com:9000")), plain);
        let amazon = |endpoint: &str, region: &str| Storage {
            kind: StorageKind::S3 as i32,
            region: region.into(),
            ..compatible(endpoint)
        };
        assert_eq!(
            reference(&amazon("", "eu-west-1")),
            reference(&amazon("https://s3.eu-west-1.amazonaws.com", "eu-west-1"))
        );
    }

    #[test]
    fn endpoints_default_to_the_servers() {
        let place = Place::of(
            &Storage {
                public_endpoint: "https://cdn.example.com".into(),
                ..compatible("http://store")
            },
            false,
        );
        assert_eq!(place.endpoint(Audience::Worker), Some("http://store"));
        assert_eq!(place.endpoint(Audience::Public), Some("https://cdn.example.com"));
    }

    #[test]
    fn every_fault_of_a_storage_is_named() {
        let faulty = Storage {
            bucket: "A".into(),
            endpoint: "ftp://x".into(),
            worker_endpoint: "http://10.0.0.1".into(),
            prefix: "a/../b/".into(),
            ..compatible("")
        };
        let fields: Vec<String> = check(&faulty, false).into_iter().map(|violation| violation.field).collect();
        assert_eq!(
            fields,
            ["storage.bucket", "storage.endpoint", "storage.worker_endpoint", "storage.prefix"]
        );
        assert!(check(&compatible("http://127.0.0.1:9000"), true).is_empty());
        assert_eq!(check(&compatible("http://127.0.0.1:9000"), false).len(), 1);
    }
}
