//! SQL of storages.
