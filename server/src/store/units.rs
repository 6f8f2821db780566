//! SQL of units.
