//! SQL of API keys.
