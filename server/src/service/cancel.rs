//! CancelTask.
