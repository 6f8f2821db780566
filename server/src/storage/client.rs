//! Clients of the SDK for one place: how it is addressed, who we are, deadlines and retries.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, sts::AssumeRoleProvider};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Credentials, IdentityCache, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
        SharedHttpClient, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use mps_proto::v1::{StorageCredentials, storage_credentials::Kind};

use super::{Audience, StorageError, address::Resolver, place::Place};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 3;
/// Sessions of an assumed role are renewed this long before they end, so a URL signed with one holds at least so long.
pub const ROLE_URL_TTL: Duration = Duration::from_secs(30 * 60);
const ROLE_SESSION: Duration = Duration::from_secs(3600);
const SESSION_NAME: &str = "mps-server";

/// Deadlines of ordinary calls.
fn timeouts(attempt: Duration, call: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(call)
        .build()
}

/// Deadlines of a call in which the provider joins parts.
pub fn patient() -> Builder {
    Builder::new().timeout_config(timeouts(Duration::from_secs(300), Duration::from_secs(600)))
}

/// Who the server is before the provider.
pub async fn credentials(credentials: &StorageCredentials, place: &Place) -> Result<SharedCredentialsProvider, StorageError> {
    match &credentials.kind {
        Some(Kind::AccessKey(key)) => {
            let token = (!key.session_token.is_empty()).then(|| key.session_token.clone());
            let keys = Credentials::new(&key.access_key_id, &key.secret_access_key, token, None, "storage");
            Ok(SharedCredentialsProvider::new(keys))
        }
        Some(Kind::AssumeRoleArn(arn)) => {
            let role = AssumeRoleProvider::builder(arn)
                .configure(&ambient(place).await)
                .session_name(SESSION_NAME)
                .session_length(ROLE_SESSION);
            Ok(SharedCredentialsProvider::new(role.build().await))
        }
        Some(Kind::Ambient(true)) => {
            let found = ambient(place).await.credentials_provider();
            found.ok_or_else(|| StorageError::other("the server has no credentials of its own in its environment"))
        }
        Some(Kind::Ambient(false)) | None => Err(StorageError::other("the storage has no credentials; set them with UpdateStorage")),
    }
}

/// The server's own identity: environment, profile, container or instance.
async fn ambient(place: &Place) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT))
        .load()
        .await
}

/// Connections of a place; private addresses only where they are allowed.
pub fn http_client(place: &Place) -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_with_resolver(Resolver {
            allow_private: place.allow_private,
        })
}

/// A client that speaks to, or signs for, one of the place's endpoints.
pub fn client(place: &Place, audience: Audience, credentials: SharedCredentialsProvider, http: SharedHttpClient) -> Client {
    let mut config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .credentials_provider(credentials)
        .identity_cache(
            IdentityCache::lazy()
                .buffer_time(ROLE_URL_TTL)
                .load_timeout(CONNECT_TIMEOUT)
                .build(),
        )
        .http_client(http)
        .force_path_style(place.path_style)
        // Many servers refuse the trailers that newer SDKs send by default.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, CALL_TIMEOUT));
    if let Some(endpoint) = place.endpoint(audience) {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}
