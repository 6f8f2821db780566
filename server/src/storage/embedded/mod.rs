//! The embedded store: S3 on a folder, on a listener of its own, for installations of one machine.
//!
//! `s3s` speaks the protocol and checks signatures; `folder` keeps objects as plain files. Requests pass CORS, then the path guard.

mod body;
mod checksum;
mod folder;
mod guard;
mod list;
mod pages;
mod s3;
mod uploads;

use std::{future::Future, io, path::Path, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::net::TcpListener;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use self::folder::Folder;
use super::{files, place::LOCAL_BUCKET};
use crate::config::Config;

/// Where the store's keys stand in the data folder.
pub const KEYS_FILE: &str = "local-store.key";
/// How long open requests may take to end at shutdown.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// A client must send its headers within this.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);
/// An upload to which no part came for so long is dropped; URLs of its parts have ended long before.
const FORGET_UPLOADS: Duration = Duration::from_secs(3 * 24 * 3600);
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// Connections at a time; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 4096;

/// The one key pair of the embedded store.
#[derive(Clone)]
pub struct LocalKeys {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl LocalKeys {
    /// Reads the keys of a data folder; makes them (mode 0600) when they are not there. Two lines: id, secret.
    pub fn load(data_dir: &Path) -> io::Result<Self> {
        let text = files::create_private(&data_dir.join(KEYS_FILE), || {
            format!(
                "mps{}\n{}\n",
                hex::encode(rand::random::<[u8; 8]>()),
                hex::encode(rand::random::<[u8; 32]>())
            )
        })?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match (lines.next(), lines.next()) {
            (Some(id), Some(secret)) => Ok(Self {
                access_key_id: id.to_owned(),
                secret_access_key: secret.to_owned(),
            }),
            _ => Err(io::Error::other(format!(
                "{KEYS_FILE} must have two lines: access key id and secret"
            ))),
        }
    }
}

/// Serves until `shutdown`, then lets open requests end.
pub async fn serve(listener: TcpListener, config: Arc<Config>, keys: LocalKeys, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let root = config.local_store.root.clone();
    let folder = tokio::task::spawn_blocking(move || Folder::open(&root, LOCAL_BUCKET))
        .await
        .map_err(io::Error::other)??;
    let folder = Arc::new(folder);
    let _sweeper = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(sweep(Arc::clone(&folder))));
    let mut builder = S3ServiceBuilder::new(s3::FolderStore::new(folder));
    builder.set_auth(SimpleAuth::from_single(keys.access_key_id, keys.secret_access_key));
    let guarded = guard::Guard::new(builder.build());
    let service = tower::ServiceBuilder::new().layer(cors(&config.cors_origins)).service(guarded);

    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service.clone()));
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to the embedded store ended");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(SHUTDOWN, graceful.shutdown()).await.is_err() {
        tracing::warn!("embedded store stopped with open requests");
    }
    Ok(())
}

/// Drops uploads that clients began and left.
async fn sweep(folder: Arc<Folder>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let folder = Arc::clone(&folder);
        match tokio::task::spawn_blocking(move || folder.sweep_uploads(FORGET_UPLOADS)).await {
            Ok(Ok(dropped)) if dropped > 0 => tracing::info!(dropped, "uploads that nobody completed were dropped"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(?error, "old uploads could not be dropped"),
            Err(error) => tracing::error!(%error, "sweep of old uploads broke"),
        }
    }
}

/// Browsers may use presigned URLs from the configured origins.
fn cors(origins: &[String]) -> CorsLayer {
    let origin = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())),
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::ETAG,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            header::CONTENT_DISPOSITION,
            HeaderName::from_static("x-amz-request-id"),
        ])
        .max_age(PREFLIGHT_MAX_AGE)
}

#[cfg(test)]
mod tests;
