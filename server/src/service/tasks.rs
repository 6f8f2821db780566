//! Reading, listing and waiting for tasks.
