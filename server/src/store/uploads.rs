//! SQL of multipart uploads.
