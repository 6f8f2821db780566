//! SQL of workers.
