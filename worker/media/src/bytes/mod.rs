//! Readers of bitstreams from plain bytes: no GStreamer, no I/O, and no panic on whatever the bytes say.

pub mod pictures;
