//! Answers kept by request id.
