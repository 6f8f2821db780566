//! Paths and patterns.
