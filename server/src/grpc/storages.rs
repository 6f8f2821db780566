//! StorageService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, storage_service_server::StorageService};
use tonic::{Request, Response, Status};

use super::caller::Caller;
use crate::{
    app::App,
    error::ApiError,
    service::{objects, probe, storage_test, storages},
};

/// The adapter of StorageService.
#[derive(Clone)]
pub struct StorageApi(pub App);

const COLLECTION: &str = "storages";

/// Project and id of the storage that a field of a request names.
fn storage<T>(request: &Request<T>, field: &str, name: impl Fn(&T) -> &str) -> Result<(String, String), ApiError> {
    let found = Caller::of(request)?.resource(name(request.get_ref()), COLLECTION);
    found.map_err(|mut error| {
        for violation in &mut error.violations {
            violation.field = field.to_owned();
        }
        error
    })
}

#[tonic::async_trait]
impl StorageService for StorageApi {
    async fn create_storage(&self, request: Request<api::CreateStorageRequest>) -> Result<Response<api::CreateStorageResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        Ok(Response::new(storages::create(&self.0, &project, request.into_inner()).await?))
    }

    async fn get_storage(&self, request: Request<api::GetStorageRequest>) -> Result<Response<api::GetStorageResponse>, Status> {
        let (project, id) = storage(&request, "name", |request| &request.name)?;
        let storage = storages::get(&self.0, &project, &id).await?;
        Ok(Response::new(api::GetStorageResponse { storage: Some(storage) }))
    }

    async fn list_storages(&self, request: Request<api::ListStoragesRequest>) -> Result<Response<api::ListStoragesResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        Ok(Response::new(storages::list(&self.0, &project, request.into_inner()).await?))
    }

    async fn update_storage(&self, request: Request<api::UpdateStorageRequest>) -> Result<Response<api::UpdateStorageResponse>, Status> {
        let (project, id) = storage(&request, "storage.name", |request| {
            request.storage.as_ref().map_or("", |storage| storage.name.as_str())
        })?;
        let storage = storages::update(&self.0, &project, &id, request.into_inner()).await?;
        Ok(Response::new(api::UpdateStorageResponse { storage: Some(storage) }))
    }

    async fn delete_storage(&self, request: Request<api::DeleteStorageRequest>) -> Result<Response<api::DeleteStorageResponse>, Status> {
        let (project, id) = storage(&request, "name", |request| &request.name)?;
        storages::delete(&self.0, &project, &request.get_ref().etag, &id).await?;
        Ok(Response::new(api::DeleteStorageResponse {}))
    }

    async fn test_storage(&self, request: Request<api::TestStorageRequest>) -> Result<Response<api::TestStorageResponse>, Status> {
        let (project, id) = storage(&request, "name", |request| &request.name)?;
        Ok(Response::new(storage_test::test(&self.0, &project, &id).await?))
    }

    async fn list_buckets(&self, request: Request<api::ListBucketsRequest>) -> Result<Response<api::ListBucketsResponse>, Status> {
        Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        let buckets = storages::list_buckets(&self.0, request.into_inner()).await?;
        Ok(Response::new(api::ListBucketsResponse { buckets }))
    }

    async fn list_objects(&self, request: Request<api::ListObjectsRequest>) -> Result<Response<api::ListObjectsResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        Ok(Response::new(objects::list(&self.0, &project, &id, request.into_inner()).await?))
    }

    async fn create_folder(&self, request: Request<api::CreateFolderRequest>) -> Result<Response<api::CreateFolderResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        objects::create_folder(&self.0, &project, &id, &request.get_ref().key).await?;
        Ok(Response::new(api::CreateFolderResponse {}))
    }

    async fn delete_objects(&self, request: Request<api::DeleteObjectsRequest>) -> Result<Response<api::DeleteObjectsResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        let answer = objects::delete(&self.0, &project, &id, request.into_inner().keys).await?;
        Ok(Response::new(answer))
    }

    async fn create_upload(&self, request: Request<api::CreateUploadRequest>) -> Result<Response<api::CreateUploadResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        Ok(Response::new(
            objects::create_upload(&self.0, &project, &id, request.into_inner()).await?,
        ))
    }

    async fn complete_upload(&self, request: Request<api::CompleteUploadRequest>) -> Result<Response<api::CompleteUploadResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        let object = objects::complete_upload(&self.0, &project, &id, request.into_inner()).await?;
        Ok(Response::new(api::CompleteUploadResponse { object: Some(object) }))
    }

    async fn create_download(&self, request: Request<api::CreateDownloadRequest>) -> Result<Response<api::CreateDownloadResponse>, Status> {
        let (project, id) = storage(&request, "storage", |request| &request.storage)?;
        Ok(Response::new(
            objects::create_download(&self.0, &project, &id, request.into_inner()).await?,
        ))
    }

    async fn probe_media(&self, request: Request<api::ProbeMediaRequest>) -> Result<Response<api::ProbeMediaResponse>, Status> {
        let project = Caller::of(&request)?.project_of_parent(&request.get_ref().parent)?;
        let input = request.into_inner().input.unwrap_or_default();
        let media = probe::probe(&self.0, &project, input).await?;
        Ok(Response::new(api::ProbeMediaResponse { media: Some(media) }))
    }
}
