//! WorkerService: takes in, checks and converts, calls one use case, converts the answer.

use std::{collections::HashMap, time::Duration};

use futures::StreamExt;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{self as api, worker_service_server::WorkerService},
};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    app::App,
    error::ApiError,
    grpc::caller::WorkerCaller,
    service::{
        commands, commit,
        fail::{self, AttemptOver},
        fence::UnitError,
        input_members, lease, renew, series, sets, uploads, workers,
    },
    store::{leases::Token, tasks::timestamp, workers::WorkerRow},
};

fn token_of_another_pool(pool: &str) -> ApiError {
    let message = format!("the worker token is not for pool \"{pool}\"");
    ApiError::new(Code::PermissionDenied, ErrorReason::RoleTooLow, message)
        .hint("use a token that the server's worker_token_file lists for the pool")
}

/// The adapter of WorkerService.
#[derive(Clone)]
pub struct WorkerApi(pub App);

/// Stale attempts answer FAILED_PRECONDITION, reason FENCED; a database that does not answer UNAVAILABLE.
impl From<UnitError> for Status {
    fn from(error: UnitError) -> Self {
        match error {
            UnitError::Fenced => {
                let details = ErrorDetails::with_error_info("FENCED", mps_proto::ERROR_DOMAIN, HashMap::new());
                Status::with_error_details(Code::FailedPrecondition, error.to_string(), details)
            }
            UnitError::Api(error) => error.into(),
            UnitError::Database(error) => {
                tracing::warn!(%error, "a worker's call failed in the database");
                ApiError::new(
                    Code::Unavailable,
                    mps_proto::v1::ErrorReason::Overloaded,
                    "the database does not answer; try again",
                )
                .into()
            }
        }
    }
}

fn token(unit: Option<api::UnitAttempt>) -> Result<Token, ApiError> {
    let unit = unit.ok_or_else(|| ApiError::invalid_field("unit", "must be set"))?;
    Ok(Token {
        unit_id: unit.unit_id,
        attempt: unit.attempt,
    })
}

fn span(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

#[tonic::async_trait]
impl WorkerService for WorkerApi {
    async fn join(&self, request: Request<api::JoinRequest>) -> Result<Response<api::JoinResponse>, Status> {
        let caller = request.extensions().get::<WorkerCaller>().cloned();
        let request = request.into_inner();
        if !caller.is_some_and(|caller| caller.may_join(&request.pool)) {
            return Err(token_of_another_pool(&request.pool).into());
        }
        let worker = WorkerRow {
            id: request.worker_id,
            display_name: request.display_name,
            pool: request.pool,
            slots: request.slots,
            capabilities: request.capabilities,
            plan_versions: request.plan_versions,
            version: request.version,
            draining: false,
            drain_reason: String::new(),
            join_ms: 0,
            seen_ms: 0,
        };
        workers::join(&self.0, worker).await?;
        Ok(Response::new(api::JoinResponse {
            lease_ttl: span(self.0.config.lease_ttl),
        }))
    }

    async fn lease_unit(&self, request: Request<api::LeaseUnitRequest>) -> Result<Response<api::LeaseUnitResponse>, Status> {
        let request = request.into_inner();
        let ask = lease::Ask {
            scope: request.scope(),
            free_slots: request.free_slots,
            free_scratch_bytes: request.free_scratch_bytes,
        };
        let leased = lease::lease(&self.0, &request.worker_id, ask).await?;
        let remaining = span(self.0.config.lease_ttl);
        let unit = leased.map(|leased| api::UnitLease {
            sets: leased.sets,
            unit_id: leased.unit.id,
            attempt: leased.unit.attempt,
            task_name: leased.task_name,
            plan: Some(leased.unit.plan),
            remaining,
            traceparent: leased.traceparent,
            input_name: leased.input_name,
            run: leased.unit.run,
        });
        Ok(Response::new(api::LeaseUnitResponse { unit }))
    }

    async fn renew_leases(&self, request: Request<api::RenewLeasesRequest>) -> Result<Response<api::RenewLeasesResponse>, Status> {
        let request = request.into_inner();
        let tokens = request
            .units
            .into_iter()
            .map(|unit| token(Some(unit)))
            .collect::<Result<Vec<_>, _>>()?;
        let renewal = renew::renew(&self.0, &request.worker_id, &tokens).await?;
        Ok(Response::new(api::RenewLeasesResponse {
            verdicts: renewal.verdicts,
            drain: renewal.drain,
            unknown_worker: renewal.unknown_worker,
        }))
    }

    type OpenChannelStream = futures::stream::BoxStream<'static, Result<api::OpenChannelResponse, Status>>;

    async fn open_channel(
        &self,
        request: Request<Streaming<api::OpenChannelRequest>>,
    ) -> Result<Response<Self::OpenChannelStream>, Status> {
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.unwrap_or_default();
        if first.worker_id.is_empty() {
            return Err(ApiError::invalid_field("worker_id", "must be set in the first message").into());
        }
        let (app, worker_id) = (self.0.clone(), first.worker_id);
        let shutdown = app.shutdown.clone().cancelled_owned();
        let down = commands::stream(&app, &worker_id).map(Ok);
        // the way up ends the way down: the worker opens both again
        let up = async move {
            let mut progress = first.progress;
            loop {
                commands::publish_progress(&app, progress).await;
                match incoming.message().await {
                    Ok(Some(next)) => progress = next.progress,
                    Ok(None) | Err(_) => return,
                }
            }
        };
        Ok(Response::new(down.take_until(up).take_until(shutdown).boxed()))
    }

    async fn get_input_url(&self, request: Request<api::GetInputUrlRequest>) -> Result<Response<api::GetInputUrlResponse>, Status> {
        let request = request.into_inner();
        let input = uploads::input_url(&self.0, &token(request.unit)?, &request.side_input_id).await?;
        Ok(Response::new(api::GetInputUrlResponse {
            url: input.url,
            untrusted: input.untrusted,
            allow_private: self.0.config.allow_private_urls,
        }))
    }

    async fn get_input_member_urls(
        &self,
        request: Request<api::GetInputMemberUrlsRequest>,
    ) -> Result<Response<api::GetInputMemberUrlsResponse>, Status> {
        let request = request.into_inner();
        let (urls, end_ms) = input_members::urls(&self.0, &token(request.unit)?, &request.keys).await?;
        Ok(Response::new(api::GetInputMemberUrlsResponse {
            urls,
            expire_time: Some(timestamp(end_ms)),
        }))
    }

    async fn create_output_upload(
        &self,
        request: Request<api::CreateOutputUploadRequest>,
    ) -> Result<Response<api::CreateOutputUploadResponse>, Status> {
        let request = request.into_inner();
        let token = token(request.unit)?;
        let upload = uploads::create(&self.0, &token, &request.output_id, request.size_bytes, &request.sha256).await?;
        let url = uploads::only_part_url(&self.0, &upload).await?;
        Ok(Response::new(api::CreateOutputUploadResponse {
            url,
            upload_id: upload.id,
            part_size_bytes: upload.part_size,
            part_count: upload.part_count,
        }))
    }

    async fn get_part_urls(&self, request: Request<api::GetPartUrlsRequest>) -> Result<Response<api::GetPartUrlsResponse>, Status> {
        let request = request.into_inner();
        let token = token(request.unit)?;
        let (urls, end_ms) = uploads::part_urls(&self.0, &token, &request.upload_id, &request.part_numbers).await?;
        Ok(Response::new(api::GetPartUrlsResponse {
            urls,
            expire_time: Some(timestamp(end_ms)),
        }))
    }

    async fn declare_outputs(&self, request: Request<api::DeclareOutputsRequest>) -> Result<Response<api::DeclareOutputsResponse>, Status> {
        let request = request.into_inner();
        let outputs = series::declare(&self.0, &token(request.unit)?, &request.node_key, request.count).await?;
        Ok(Response::new(api::DeclareOutputsResponse { outputs }))
    }

    async fn get_member_urls(&self, request: Request<api::GetMemberUrlsRequest>) -> Result<Response<api::GetMemberUrlsResponse>, Status> {
        let request = request.into_inner();
        let (urls, end_ms) = sets::urls(&self.0, &token(request.unit)?, &request.set_id, &request.members).await?;
        Ok(Response::new(api::GetMemberUrlsResponse {
            urls,
            expire_time: Some(timestamp(end_ms)),
        }))
    }

    async fn commit_members(&self, request: Request<api::CommitMembersRequest>) -> Result<Response<api::CommitMembersResponse>, Status> {
        let request = request.into_inner();
        sets::commit(&self.0, &token(request.unit)?, &request.set_id, &request.tracks, &request.members).await?;
        Ok(Response::new(api::CommitMembersResponse {}))
    }

    async fn complete_unit(&self, request: Request<api::CompleteUnitRequest>) -> Result<Response<api::CompleteUnitResponse>, Status> {
        let request = request.into_inner();
        let token = token(request.unit.clone())?;
        let state = commit::complete(&self.0, &token, request).await?;
        Ok(Response::new(api::CompleteUnitResponse { state: state as i32 }))
    }

    async fn fail_unit(&self, request: Request<api::FailUnitRequest>) -> Result<Response<api::FailUnitResponse>, Status> {
        let request = request.into_inner();
        let over = AttemptOver {
            failure: request.failure.unwrap_or_default(),
            split: request.split,
            released: request.released,
            log_tail: request.log_tail,
            ..AttemptOver::default()
        };
        fail::fail(&self.0, &token(request.unit)?, over).await?;
        Ok(Response::new(api::FailUnitResponse {}))
    }
}
