//! Why a task waits.
