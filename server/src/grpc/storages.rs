//! StorageService: takes in, checks and converts, calls one use case, converts the answer.

use mps_proto::v1::{self as api, storage_service_server::StorageService};
use tonic::{Request, Response, Status};

use crate::app::App;

/// The adapter of StorageService.
#[derive(Clone)]
pub struct StorageApi(pub App);

#[tonic::async_trait]
impl StorageService for StorageApi {
    async fn create_storage(&self, _request: Request<api::CreateStorageRequest>) -> Result<Response<api::CreateStorageResponse>, Status> {
        Err(Status::unimplemented("CreateStorage"))
    }

    async fn get_storage(&self, _request: Request<api::GetStorageRequest>) -> Result<Response<api::GetStorageResponse>, Status> {
        Err(Status::unimplemented("GetStorage"))
    }

    async fn list_storages(&self, _request: Request<api::ListStoragesRequest>) -> Result<Response<api::ListStoragesResponse>, Status> {
        Err(Status::unimplemented("ListStorages"))
    }

    async fn update_storage(&self, _request: Request<api::UpdateStorageRequest>) -> Result<Response<api::UpdateStorageResponse>, Status> {
        Err(Status::unimplemented("UpdateStorage"))
    }

    async fn delete_storage(&self, _request: Request<api::DeleteStorageRequest>) -> Result<Response<api::DeleteStorageResponse>, Status> {
        Err(Status::unimplemented("DeleteStorage"))
    }

    async fn test_storage(&self, _request: Request<api::TestStorageRequest>) -> Result<Response<api::TestStorageResponse>, Status> {
        Err(Status::unimplemented("TestStorage"))
    }

    async fn list_buckets(&self, _request: Request<api::ListBucketsRequest>) -> Result<Response<api::ListBucketsResponse>, Status> {
        Err(Status::unimplemented("ListBuckets"))
    }

    async fn list_objects(&self, _request: Request<api::ListObjectsRequest>) -> Result<Response<api::ListObjectsResponse>, Status> {
        Err(Status::unimplemented("ListObjects"))
    }

    async fn create_folder(&self, _request: Request<api::CreateFolderRequest>) -> Result<Response<api::CreateFolderResponse>, Status> {
        Err(Status::unimplemented("CreateFolder"))
    }

    async fn delete_objects(&self, _request: Request<api::DeleteObjectsRequest>) -> Result<Response<api::DeleteObjectsResponse>, Status> {
        Err(Status::unimplemented("DeleteObjects"))
    }

    async fn create_upload(&self, _request: Request<api::CreateUploadRequest>) -> Result<Response<api::CreateUploadResponse>, Status> {
        Err(Status::unimplemented("CreateUpload"))
    }

    async fn complete_upload(
        &self,
        _request: Request<api::CompleteUploadRequest>,
    ) -> Result<Response<api::CompleteUploadResponse>, Status> {
        Err(Status::unimplemented("CompleteUpload"))
    }

    async fn create_download(
        &self,
        _request: Request<api::CreateDownloadRequest>,
    ) -> Result<Response<api::CreateDownloadResponse>, Status> {
        Err(Status::unimplemented("CreateDownload"))
    }

    async fn probe_media(&self, _request: Request<api::ProbeMediaRequest>) -> Result<Response<api::ProbeMediaResponse>, Status> {
        Err(Status::unimplemented("ProbeMedia"))
    }
}
