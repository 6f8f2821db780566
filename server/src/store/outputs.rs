//! SQL of outputs.
