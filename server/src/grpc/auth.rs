//! Authentication and roles.
