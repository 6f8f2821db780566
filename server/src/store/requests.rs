//! SQL of answers kept by request id.
