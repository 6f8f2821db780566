//! Random films through the whole crate: what a seed means, how its film is made, what must come out, and what did.

pub mod case;
pub mod expect;
pub mod judge;
pub mod make;
pub mod measure;
pub mod run;
