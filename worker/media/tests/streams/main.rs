//! Streams of segments.

#[path = "../pass_tools/mod.rs"]
mod pass_tools;

mod adaptive;
mod hls;
mod tools;
