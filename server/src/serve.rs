//! The listeners: public gRPC, workers' gRPC, HTTP. All are bound before any serves, so that a taken port ends the process at once.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::{net::TcpListener, task::JoinSet};
use tonic::transport::server::TcpIncoming;

use crate::{
    app::App,
    config::Config,
    grpc, http,
    storage::embedded::{self, LocalKeys},
};

/// Bound, not yet served.
pub struct Listeners {
    public: TcpListener,
    worker: TcpListener,
    http: TcpListener,
    /// The embedded store, unless it is switched off.
    store: Option<(TcpListener, LocalKeys)>,
}

impl Listeners {
    /// Binds all, and writes the embedded store's address into the configuration: URLs are made from it, also when its port was 0.
    pub async fn bind(config: &mut Config) -> anyhow::Result<Self> {
        let store = bind_store(config).await?;
        Ok(Self {
            public: bind("listen", config.listen).await?,
            worker: bind("worker_listen", config.worker_listen).await?,
            http: bind("http_listen", config.http_listen).await?,
            store,
        })
    }

    /// Addresses of the public, the workers' and the HTTP listener.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.worker.local_addr()?, self.http.local_addr()?))
    }

    /// Serves until `app.shutdown`; the tasks end when the last call has ended.
    pub fn serve(self, app: &App) -> anyhow::Result<JoinSet<()>> {
        let (public, worker, http) = self.addresses()?;
        let mut serving = JoinSet::new();
        serving.spawn(logged("public API", grpc::serve_public(app, incoming(self.public))?));
        serving.spawn(logged("worker API", grpc::serve_workers(app, incoming(self.worker))?));
        serving.spawn(logged("HTTP", http::serve(app.clone(), self.http)));
        if let Some((listener, keys)) = self.store {
            let ended = app.shutdown.clone().cancelled_owned();
            let store = embedded::serve(listener, app.config.clone(), keys, ended);
            serving.spawn(logged("embedded store", store));
        }
        tracing::info!(%public, %worker, %http, version = env!("CARGO_PKG_VERSION"), "serving");
        Ok(serving)
    }
}

async fn bind_store(config: &mut Config) -> anyhow::Result<Option<(TcpListener, LocalKeys)>> {
    if !config.local_store.enabled {
        return Ok(None);
    }
    let listener = bind("local_store.listen", config.local_store.listen).await?;
    config.local_store.listen = listener.local_addr()?;
    Ok(Some((listener, LocalKeys::load(&config.data_dir)?)))
}

async fn bind(key: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: cannot listen on {address}"))
}

fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

async fn logged<E: std::fmt::Display>(name: &'static str, serving: impl Future<Output = Result<(), E>>) {
    if let Err(error) = serving.await {
        tracing::error!(name, %error, "a listener broke");
    }
}
