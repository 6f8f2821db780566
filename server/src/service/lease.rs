//! LeaseUnit.
