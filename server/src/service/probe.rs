//! ProbeMedia.
