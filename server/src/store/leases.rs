//! SQL of leasing.
