//! Use cases. They know the store, the queue and storages, and nothing of gRPC.

pub mod accept;
pub mod access;
pub mod cancel;
pub mod commands;
pub mod commit;
pub mod crash;
pub mod delete;
pub mod estimates;
pub mod fail;
pub mod fence;
pub mod idempotency;
pub mod input_members;
pub mod janitor;
pub mod lease;
pub mod objects;
pub mod paging;
pub mod probe;
pub mod reconcile;
pub mod renew;
pub mod restart;
pub mod secrets;
pub mod series;
pub mod sets;
pub mod states;
pub mod storage_test;
pub mod storages;
pub mod system;
pub mod tasks;
pub mod templates;
pub mod uploads;
pub mod waiting;
pub mod workers;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
mod storage_tests;
