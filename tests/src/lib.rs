//! The harness of the whole-system tests: a real stack on its own ports, sockets and folders, stopped by process id when it drops.

pub mod bench;
pub mod browser;
pub mod database;
pub mod media;
pub mod process;
pub mod s3;
pub mod site;
pub mod stack;
pub mod streams;
pub mod wait;
pub mod web;

pub use stack::{Stack, StackOptions};
