//! Sets: manifests and the members that they name (adaptive streams, HLS). Members are uploaded and committed while the pass goes on
//! (`members`), playlists are written from rows (`write`), and a set ends with its node: complete, closed, or removed (`end`).

mod end;
mod members;
pub mod names;
mod progress;
mod write;

pub use self::{
    end::{remove, run, run_due, sweep},
    members::{commit, urls},
    progress::progress,
    write::{Finished, finish, when_due},
};
