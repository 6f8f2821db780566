//! Multipart uploads of outputs.
