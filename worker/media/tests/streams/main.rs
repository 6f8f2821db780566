//! Streams of segments.

#[path = "../pass_tools/mod.rs"]
mod pass_tools;

mod adaptive;
mod changes;
mod edges;
mod hls;
mod tools;
