//! Adapters between the contract and the use cases: take in, check and convert, call one use case, convert the answer. This file mounts
//! them on the two listeners.

pub mod access;
pub mod auth;
pub mod caller;
pub mod layers;
pub mod reflection;
pub mod roles;
pub mod storages;
pub mod system;
pub mod tasks;
pub mod templates;
pub mod tls;
pub mod worker;

#[cfg(test)]
mod tests;

use std::time::Duration;

use mps_proto::{
    v1::{
        access_service_server::AccessServiceServer, storage_service_server::StorageServiceServer,
        system_service_server::SystemServiceServer, task_service_server::TaskServiceServer, template_service_server::TemplateServiceServer,
    },
    worker::v1::worker_service_server::WorkerServiceServer,
};
use tonic::{
    codec::CompressionEncoding::Gzip,
    service::Routes,
    transport::{Error, Server, server::TcpIncoming},
};

use crate::app::App;

/// A connection on which nothing moved for so long is asked, and dropped when it does not answer.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// A unit with 10,000 files is handed in by one request.
const MAX_WORKER_REQUEST: usize = 16 << 20;

/// Serves the public API until shutdown.
pub fn serve_public(app: &App, incoming: TcpIncoming) -> anyhow::Result<impl Future<Output = Result<(), Error>> + use<>> {
    let routes = layers::public(app, public_routes(app)?);
    let mut server = server(tls::public(&app.config.tls)?)?
        .accept_http1(true)
        .layer(layers::cors(&app.config.cors_origins))
        .layer(tonic_web::GrpcWebLayer::new());
    Ok(server
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, app.shutdown.clone().cancelled_owned()))
}

/// Serves WorkerService until shutdown.
pub fn serve_workers(app: &App, incoming: TcpIncoming) -> anyhow::Result<impl Future<Output = Result<(), Error>> + use<>> {
    let max_bytes = app.config.limits.max_request_bytes.max(MAX_WORKER_REQUEST);
    let service = WorkerServiceServer::new(worker::WorkerApi(app.clone())).max_decoding_message_size(max_bytes);
    let tokens = auth::WorkerTokens::load(&app.config)?;
    let routes = layers::workers(app, tokens, Routes::new(service));
    let mut server = server(tls::workers(&app.config.tls)?)?;
    Ok(server
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, app.shutdown.clone().cancelled_owned()))
}

fn server(tls: Option<tonic::transport::ServerTlsConfig>) -> Result<Server, Error> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE));
    match tls {
        Some(tls) => server.tls_config(tls),
        None => Ok(server),
    }
}

/// Every public service, health and reflection.
fn public_routes(app: &App) -> anyhow::Result<Routes> {
    let max_bytes = app.config.limits.max_request_bytes;
    // Each generated server has these two settings, but no trait has them.
    macro_rules! limited {
        ($server:expr) => {
            $server.max_decoding_message_size(max_bytes).accept_compressed(Gzip)
        };
    }
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in reflection::service_names() {
        let health = health.clone();
        tokio::spawn(async move { health.set_service_status(service, tonic_health::ServingStatus::Serving).await });
    }
    Ok(Routes::new(limited!(TaskServiceServer::new(tasks::TaskApi(app.clone()))))
        .add_service(limited!(TemplateServiceServer::new(templates::TemplateApi(app.clone()))))
        .add_service(limited!(StorageServiceServer::new(storages::StorageApi(app.clone()))))
        .add_service(limited!(SystemServiceServer::new(system::SystemApi(app.clone()))))
        .add_service(limited!(AccessServiceServer::new(access::AccessApi(app.clone()))))
        .add_service(health_service)
        .add_service(reflection::v1()?)
        .add_service(reflection::v1alpha()?))
}
