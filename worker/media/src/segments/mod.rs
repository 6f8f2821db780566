//! Segments of streams: packets of encoders cut at the same times in all tracks, written as CMAF or MPEG-TS, and reported as members of a
//! set as soon as each is finished. No muxer element is used: cuts, times and resuming are exact to the packet, and the same bytes come out
//! of the same packets.

mod boundary;
mod boxes;
mod codecs;
mod config;
mod cutter;
mod fmp4;
mod opening;
mod silence;
mod store;
mod streams;
mod track;
mod ts;

/// One compressed picture or packet of sound, in the time scale of its track from the beginning of the output.
#[derive(Debug, Clone)]
pub struct Packet {
    pub pts: i64,
    /// As the encoder says; may lie before the output's beginning.
    pub dts: i64,
    pub duration: i64,
    pub key: bool,
    pub data: Vec<u8>,
}

pub use streams::Feed;
pub use track::{SetWriter, TrackPlan};
