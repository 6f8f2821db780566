//! Adapters between the contract and the use cases: take in, check and convert, call one use case, convert the answer.

pub mod caller;
