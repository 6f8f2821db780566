//! The first frame of an MP3 as LAME lays it out: it holds no sound, but says how long the sound is and what encoder and decoder add to it,
//! so that players leave that out.

use super::{Frame, bitrates};

/// From "Info" to the end of the tag.
const TAG_BYTES: usize = 156;
/// Places in the tag.
const FLAGS_AT: usize = 4;
const FRAMES_AT: usize = 8;
const BYTES_AT: usize = 12;
const PLACES_AT: usize = 16;
const ENCODER_AT: usize = 120;
const DELAYS_AT: usize = 141;
const ALL_BYTES_AT: usize = 148;
const CRC_AT: usize = 154;
/// Frames, bytes, places and quality are told.
const FLAGS: u32 = 15;
const ENCODER: &[u8] = b"LAME3.100";
/// Numbers of 12 bits.
const MOST_SAMPLES: u64 = 0xfff;

/// What the frame tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Without the frame itself.
    pub frames: u32,
    /// With it.
    pub bytes: u32,
    /// Samples in front of the sound and behind it, besides those of the decoder.
    pub delay: u64,
    pub padding: u64,
}

/// An empty frame with room for the tag, for a stream whose first frame begins like `first`.
pub fn blank(first: &[u8]) -> Option<Vec<u8>> {
    let frame = Frame::of(first).filter(|frame| frame.layer == 3)?;
    let mut head: [u8; 4] = first.get(..4)?.try_into().ok()?;
    let room = frame.side_end() + TAG_BYTES;
    for index in 1..=bitrates(frame.is_version_1, 3).len() {
        // No check behind the head, no padding.
        head = [head[0], head[1] | 1, u8::try_from(index << 4).ok()? | head[2] & 0x0c, head[3]];
        if let Some(large) = Frame::of(&head).filter(|large| large.bytes >= room) {
            let mut bytes = head.to_vec();
            bytes.resize(large.bytes, 0);
            return Some(bytes);
        }
    }
    None
}

/// Writes the tag into such a frame.
pub fn fill(bytes: &mut [u8], info: &Info) -> Option<()> {
    let at = Frame::of(bytes)?.side_end();
    let tag = bytes.get_mut(at..at + TAG_BYTES)?;
    let mut put = |place: usize, value: &[u8]| tag.get_mut(place..place + value.len()).map(|room| room.copy_from_slice(value));
    put(0, b"Info")?;
    put(FLAGS_AT, &FLAGS.to_be_bytes())?;
    put(FRAMES_AT, &info.frames.to_be_bytes())?;
    put(BYTES_AT, &info.bytes.to_be_bytes())?;
    // Bit rates are constant, or nearly so: a percent of the time is a percent of the bytes.
    for percent in 0..100usize {
        put(PLACES_AT + percent, &[u8::try_from(percent * 256 / 100).unwrap_or(u8::MAX)])?;
    }
    put(ENCODER_AT, ENCODER)?;
    let delays = u32::try_from(info.delay.min(MOST_SAMPLES) << 12 | info.padding.min(MOST_SAMPLES)).ok()?;
    put(DELAYS_AT, delays.to_be_bytes().get(1..)?)?;
    put(ALL_BYTES_AT, &info.bytes.to_be_bytes())?;
    let crc = crc16(bytes.get(..at + CRC_AT)?);
    bytes.get_mut(at + CRC_AT..at + TAG_BYTES)?.copy_from_slice(&crc.to_be_bytes());
    Some(())
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 != 0 { 0xa001 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_any_kind_is_read_as_it_was_written() {
        for first in [
            [0xff, 0xfb, 0x90, 0x64],
            [0xff, 0xfa, 0x92, 0xc4],
            [0xff, 0xf3, 0x18, 0xc4],
            [0xff, 0xe3, 0x18, 0xc4],
        ] {
            let mut bytes = blank(&first).unwrap();
            assert_eq!(Frame::of(&bytes).unwrap().bytes, bytes.len(), "{first:x?}");
            let info = Info {
                frames: 100,
                bytes: 40_000,
                delay: 576,
                padding: 1000,
            };
            fill(&mut bytes, &info).unwrap();
            let header = super::super::parse(&bytes).unwrap();
            assert_eq!((header.frames, header.delay, header.padding), (Some(100), 576, 1000), "{first:x?}");
        }
        assert_eq!(blank(&[0xff, 0xfd, 0xa4, 0x00]), None);
        assert_eq!(crc16(b"123456789"), 0xbb3d);
    }
}
