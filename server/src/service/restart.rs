//! RestartTask.
