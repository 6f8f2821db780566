//! Segments of streams: packets of encoders cut at the same times in all tracks, written as CMAF or MPEG-TS, and reported as members of a
//! set as soon as each is finished. No muxer element is used: cuts, times and resuming are exact to the packet, and the same bytes come out
//! of the same packets.

mod audit;
mod av1;
mod boundary;
mod boxes;
mod codecs;
mod config;
mod cutter;
mod fmp4;
mod group;
mod init;
mod opening;
mod outlet;
mod set;
mod silence;
mod store;
mod stream;
mod streams;
mod ts;

/// One compressed picture or packet of sound, in the time scale of its track from the beginning of the output.
#[derive(Debug, Default)]
pub struct Packet {
    pub pts: i64,
    /// As the encoder says; may lie before the output's beginning.
    pub dts: i64,
    pub duration: i64,
    pub key: bool,
    pub mark: boundary::Mark,
    pub captions: crate::parse::captions::Captions,
    pub data: store::Payload,
}

pub use group::Tracks;
pub use set::{Finished, SetPlan, SetWriter, TrackPlan};
pub use stream::Feed;
