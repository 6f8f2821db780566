//! Whole-system tests: one binary, so that it links once.

mod cancel;
mod fairness;
mod faults;
mod happy;
mod security;
mod watching;
