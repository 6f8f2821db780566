//! What muxers of GStreamer 1.22 do not write, put into the finished file: how the picture stands, which tracks are on, what they are
//! called, where the presentation begins.

mod edits;
mod matroska;
mod movie;
mod turn;

use std::{
    fs::OpenOptions,
    io::{self, Read},
    path::Path,
};

use crate::faststart;

pub use movie::{Kind, Movie, Track};
pub use turn::Turn;

/// Head of every Matroska file.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Puts it into the file, and the index of an MP4 in front of the media. A presentation that begins behind its media does so once it is
/// `settled`: all that was written can be read until then. `tick`: to be called while bytes move.
pub fn write(path: &Path, movie: &Movie, index_first: bool, tick: &dyn Fn()) -> io::Result<()> {
    if index_first {
        return faststart::move_changed_index_first(path, |index| movie::changed(&index, movie), tick);
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut start = [0u8; 4];
    file.read_exact(&mut start)?;
    if start == EBML {
        matroska::plain_texts(&mut file)?;
        matroska::mark(&mut file, &movie.tracks)?;
    }
    Ok(())
}

/// Lets the presentation of an MP4 begin where it should.
pub fn settle(path: &Path, movie: &Movie) -> io::Result<()> {
    if movie.is_cut() {
        movie::settle(path)?;
    }
    Ok(())
}
