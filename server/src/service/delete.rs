//! DeleteTask.
