//! What a stream's own headers say and its caps leave out: from the record of its decoder, or from the beginning of its first packet.

use gst::StructureRef;

use crate::parse::{av1, colours::Colours, h264, h265, vp9};

/// Bytes in front of the units of an av1C record.
const AV1_RECORD: usize = 4;

/// The headers of a stream.
pub struct Headers<'a> {
    pub caps: &'a StructureRef,
    /// The beginning of its first packet.
    pub packet: &'a [u8],
}

impl Headers<'_> {
    /// Whether the stream is coded in fields, or may be; `false` when it does not say.
    pub fn may_hold_fields(&self) -> bool {
        match self.caps.name().as_str() {
            "video/x-h264" => {
                let sequence = self.record(h264::in_record).or_else(|| h264::in_stream(self.packet));
                sequence.is_some_and(|sequence| !sequence.frames_only)
            }
            "video/x-h265" => self.record(|record| Some(h265::is_of_fields(record))).unwrap_or(false),
            _ => false,
        }
    }

    /// What they say of colours; `None`: nothing.
    pub fn colours(&self) -> Option<Colours> {
        match self.caps.name().as_str() {
            "video/x-h264" => {
                let sequence = self.record(h264::in_record).or_else(|| h264::in_stream(self.packet));
                sequence?.colours
            }
            "video/x-h265" => {
                let in_record = self.record(h265::colours_in_record);
                in_record.or_else(|| h265::colours_in_stream(self.packet))
            }
            "video/x-vp9" => vp9::colours(self.packet),
            "video/x-av1" => {
                let in_record = self.record(|record| av1::colours(record.get(AV1_RECORD..)?));
                in_record.or_else(|| av1::colours(self.packet))
            }
            _ => None,
        }
    }

    fn record<T>(&self, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        let record = self.caps.get::<gst::Buffer>("codec_data").ok()?;
        read(&record.map_readable().ok()?)
    }
}
