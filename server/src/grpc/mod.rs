//! Adapters between the contract and the use cases: take in, check and convert, call one use case, convert the answer.

pub mod access;
pub mod auth;
pub mod caller;
pub mod layers;
pub mod storages;
pub mod system;
pub mod tasks;
pub mod templates;
pub mod worker;
