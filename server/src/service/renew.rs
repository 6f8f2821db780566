//! RenewLeases.
