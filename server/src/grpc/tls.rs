//! TLS of the gRPC listeners, where it is configured.

use std::path::Path;

use anyhow::Context;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::config::TlsConfig;

/// The public listener: a certificate of the server.
pub(super) fn public(config: &TlsConfig) -> anyhow::Result<Option<ServerTlsConfig>> {
    let (Some(cert), Some(key)) = (&config.cert_file, &config.key_file) else {
        return Ok(None);
    };
    // Two providers of cryptography are linked (the S3 client brings its own), so one must be chosen; the first choice stands.
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
    let identity = Identity::from_pem(read(cert)?, read(key)?);
    Ok(Some(ServerTlsConfig::new().identity(identity)))
}

/// The workers' listener: also a certificate of the worker, where an authority for these is configured.
pub(super) fn workers(config: &TlsConfig) -> anyhow::Result<Option<ServerTlsConfig>> {
    let Some(tls) = public(config)? else {
        return Ok(None);
    };
    match &config.worker_client_ca_file {
        Some(authority) => Ok(Some(tls.client_ca_root(Certificate::from_pem(read(authority)?)))),
        None => Ok(Some(tls)),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("tls: {}", path.display()))
}
