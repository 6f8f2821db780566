//! mps-client: authentication, uploads and downloads, waiting, and watching that resumes by itself.

mod error;
mod list;
mod retry;
mod transfer;
mod wait;
mod watch;

use std::time::Duration;

use mps_proto::v1::{
    access_service_client::AccessServiceClient, storage_service_client::StorageServiceClient, system_service_client::SystemServiceClient,
    task_service_client::TaskServiceClient, template_service_client::TemplateServiceClient,
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

pub use error::{ClientError, describe, describe_rpc};
pub use watch::{WatchEvent, WatchOptions};

/// Largest answer that is taken; a page of a list is cut at 3 MiB, a task may be larger.
const MAX_ANSWER_BYTES: usize = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Adds the key to each call; without a key it adds nothing.
#[derive(Clone)]
pub struct WithKey(Option<MetadataValue<Ascii>>);

impl Interceptor for WithKey {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A channel that carries the key.
pub type Authorized = InterceptedService<Channel, WithKey>;

/// One server, one key; cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    key: WithKey,
    /// For presigned URLs; never carries the key.
    http: reqwest::Client,
}

macro_rules! service {
    ($name:ident, $client:ident) => {
        pub fn $name(&self) -> $client<Authorized> {
            $client::new(self.authorized()).max_decoding_message_size(MAX_ANSWER_BYTES)
        }
    };
}

impl Client {
    /// Connects lazily: the first call says whether the server answers. `https://` addresses are checked against the system's
    /// certificates.
    pub async fn connect(address: &str, key: &str) -> Result<Self, ClientError> {
        Ok(Self {
            channel: endpoint(address)?.connect_lazy(),
            key: WithKey(bearer(key)?),
            http: transfer::http_client()?,
        })
    }

    fn authorized(&self) -> Authorized {
        InterceptedService::new(self.channel.clone(), self.key.clone())
    }

    service!(tasks, TaskServiceClient);
    service!(templates, TemplateServiceClient);
    service!(storages, StorageServiceClient);
    service!(system, SystemServiceClient);
    service!(access, AccessServiceClient);
}

fn endpoint(address: &str) -> Result<Endpoint, ClientError> {
    let wrong = || ClientError::Address(address.to_owned());
    let is_https = address.starts_with("https://");
    if !is_https && !address.starts_with("http://") {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|_| wrong())?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(KEEP_ALIVE_INTERVAL))
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    if !is_https {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new().with_native_roots();
    endpoint.tls_config(tls).map_err(|error| ClientError::Tls(error.to_string()))
}

fn bearer(key: &str) -> Result<Option<MetadataValue<Ascii>>, ClientError> {
    if key.is_empty() {
        return Ok(None);
    }
    let mut value: MetadataValue<Ascii> = format!("Bearer {key}").parse().map_err(|_| ClientError::Key)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_and_keys_are_checked_before_any_call() {
        for address in ["", "localhost:1", "ftp://h", "http://", "http://a b"] {
            assert!(
                matches!(Client::connect(address, "k").await, Err(ClientError::Address(_))),
                "{address:?}"
            );
        }
        assert!(matches!(Client::connect("http://localhost:1", "a\nb").await, Err(ClientError::Key)));
        assert!(Client::connect("http://localhost:1", "").await.is_ok());
    }
}
