//! SQL of session ids.
