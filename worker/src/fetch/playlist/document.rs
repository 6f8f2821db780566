//! What a playlist says, as far as it matters here.

use std::sync::Arc;

/// A playlist.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    Master(Master),
    Media(Media),
}

/// A playlist of playlists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Master {
    pub variants: Vec<Variant>,
    pub sounds: Vec<Sound>,
}

/// One form of the whole film.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variant {
    pub uri: String,
    /// Bits per second: the average, where it is told, else the peak.
    pub bandwidth: u64,
    /// Pixels of a picture; 0 where it is not told.
    pub pixels: u64,
    pub frame_rate: f64,
    /// As RFC 6381 writes them; empty where they are not told.
    pub codecs: String,
    /// Group of renditions that its sound is in.
    pub sound_group: Option<String>,
}

/// A rendition of sound.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sound {
    pub group: String,
    /// Unset: it is in the variant's own segments.
    pub uri: Option<String>,
    /// BCP 47; empty where it is not told.
    pub language: String,
    pub is_default: bool,
}

/// A playlist of segments.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Media {
    pub segments: Vec<Entry>,
}

/// A segment as it is listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub piece: Piece,
    pub init: Option<Arc<Piece>>,
    /// Length in seconds.
    pub seconds: f64,
    /// Whether its clock has nothing to do with the one before.
    pub discontinuity: bool,
}

/// A file, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Piece {
    pub uri: String,
    pub span: Option<Part>,
    pub key: Option<Key>,
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    pub start: u64,
    pub length: u64,
}

/// How a piece is encrypted: AES-128 in CBC mode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub uri: String,
    pub iv: [u8; 16],
}

impl Media {
    /// Length of all segments in seconds.
    pub fn seconds(&self) -> f64 {
        self.segments.iter().map(|segment| segment.seconds).sum()
    }

    /// Runs of segments with one clock.
    pub fn runs(&self) -> usize {
        1 + self.segments.iter().skip(1).filter(|segment| segment.discontinuity).count()
    }
}
