//! mps-server: the stateless coordinator between clients, the database, Redis, storages and workers.

pub mod app;
pub mod background;
pub mod config;
pub mod error;
pub mod filter;
pub mod grpc;
pub mod http;
pub mod outbox;
pub mod playlist;
pub mod serve;
pub mod service;
pub mod storage;
pub mod store;
pub mod watch;
