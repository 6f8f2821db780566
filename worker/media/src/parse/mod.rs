//! Parsers of bytes, without GStreamer: pure, bounded, and without a panic on whatever the bytes say.

pub mod crc;
pub mod numbers;
pub mod pictures;
pub mod psi;
pub mod transport;
