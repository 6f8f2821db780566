//! FailUnit.
