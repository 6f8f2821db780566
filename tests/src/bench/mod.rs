//! Parts of `mps-bench`. Never part of the tests: a machine's speed is no property of the code.

pub mod calls;
pub mod cpu;
pub mod latency;
pub mod memory;
pub mod nodes;
pub mod probe;
pub mod report;
pub mod transcode;
