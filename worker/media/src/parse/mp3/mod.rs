//! MPEG audio in a file of its own: what its encoder says in the first frame (Xing and LAME headers), or in a tag (iTunes), and frames.

mod count;
mod frame;
pub mod info;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

pub use count::count;
pub use frame::{Frame, bitrates};

use super::gapless;
use crate::isobmff::be32;

/// Samples by which every MP3 decoder is late.
pub const DECODER_DELAY: u32 = 529;
/// How much behind the ID3 tag is looked at for the first frame.
const WINDOW_BYTES: u64 = 16 * 1024;
/// How much of a tag is looked at for what iTunes wrote.
const TAG_BYTES: u64 = 1 << 20;

/// What the first frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncoderHeader {
    /// Frames of sound; `None` when not told.
    pub frames: Option<u32>,
    /// Samples that the encoder put in front, and behind.
    pub delay: u32,
    pub padding: u32,
    pub samples_per_frame: u32,
    pub sample_rate_hz: u32,
}

impl EncoderHeader {
    /// Samples to drop from the start of what a decoder gives; 0 when the encoder told no delay.
    pub fn samples_to_drop(&self) -> u32 {
        if self.delay == 0 { 0 } else { self.delay + DECODER_DELAY }
    }

    /// Samples of the sound without delay and padding.
    pub fn audible(&self) -> Option<u64> {
        let samples = u64::from(self.frames?) * u64::from(self.samples_per_frame);
        Some(samples.saturating_sub(u64::from(self.delay) + u64::from(self.padding)))
    }

    pub fn duration(&self) -> Option<Duration> {
        let audible = self.audible()?;
        (self.sample_rate_hz > 0).then(|| Duration::from_secs_f64(audible as f64 / f64::from(self.sample_rate_hz)))
    }
}

/// Reads the header of a file; `None` when its first frame is none of an encoder. What iTunes wrote counts where the frame tells no delay.
pub fn read(path: &Path) -> io::Result<Option<EncoderHeader>> {
    let mut file = File::open(path)?;
    let start = id3_end(&mut file)?;
    let mut tag = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&mut file).take(start.min(TAG_BYTES)).read_to_end(&mut tag)?;
    file.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    file.take(WINDOW_BYTES).read_to_end(&mut window)?;
    let header = parse(&window);
    if header.is_some_and(|header| header.delay > 0) {
        return Ok(header);
    }
    Ok(gapless::of_itunes(&tag).and_then(|told| with_tag(&window, told)).or(header))
}

fn with_tag(window: &[u8], told: gapless::Gapless) -> Option<EncoderHeader> {
    let frame = window.windows(4).find_map(Frame::of)?;
    let all = u64::from(told.delay) + told.samples + u64::from(told.padding);
    Some(EncoderHeader {
        frames: u32::try_from(all / u64::from(frame.samples)).ok(),
        delay: told.delay,
        padding: told.padding,
        samples_per_frame: frame.samples,
        sample_rate_hz: frame.sample_rate_hz,
    })
}

/// Where the ID3v2 tags at a file's beginning end.
pub fn id3_end(file: &mut File) -> io::Result<u64> {
    let mut end = 0;
    loop {
        file.seek(SeekFrom::Start(end))?;
        let mut head = Vec::new();
        file.take(10).read_to_end(&mut head)?;
        let length = <[u8; 10]>::try_from(head.as_slice()).map_or(0, |head| id3_length(&head));
        if length == 0 {
            return Ok(end);
        }
        end += length;
    }
}

/// Bytes of an ID3v2 tag, from its first ten; 0 when there is none.
pub fn id3_length(head: &[u8; 10]) -> u64 {
    if !head.starts_with(b"ID3") {
        return 0;
    }
    let body = head[6..10].iter().fold(0u64, |length, byte| (length << 7) | u64::from(byte & 0x7f));
    let footer = if head[5] & 0x10 == 0 { 0 } else { 10 };
    10 + body + footer
}

fn parse(window: &[u8]) -> Option<EncoderHeader> {
    let is_layer_3 = |head: &[u8]| Frame::of(head).is_some_and(|frame| frame.layer == 3);
    let start = window.windows(4).position(is_layer_3)?;
    let bytes = window.get(start..)?;
    let frame = Frame::of(bytes)?;
    let info = bytes.get(frame.side_end()..)?;
    if !(info.starts_with(b"Xing") || info.starts_with(b"Info")) {
        return None;
    }
    let flags = be32(info, 4)?;
    let frames = if flags & 1 != 0 { be32(info, 8) } else { None };
    let skipped = [(1, 4), (2, 4), (4, 100), (8, 4)].iter().filter(|(bit, _)| flags & bit != 0);
    let at = 8 + skipped.map(|(_, bytes)| bytes).sum::<usize>();
    let (delay, padding) = lame_delays(info.get(at..)?).unwrap_or((0, 0));
    Some(EncoderHeader {
        frames,
        delay,
        padding,
        samples_per_frame: frame.samples,
        sample_rate_hz: frame.sample_rate_hz,
    })
}

/// Delay and padding of the LAME tag: 12 bits each, 21 bytes in.
fn lame_delays(tag: &[u8]) -> Option<(u32, u32)> {
    let known = [&b"LAME"[..], b"Lavf", b"Lavc", b"GOGO"].iter().any(|name| tag.starts_with(name));
    let &[high, middle, low] = tag.get(21..24)? else { return None };
    let delay = u32::from(high) << 4 | u32::from(middle) >> 4;
    let padding = (u32::from(middle) & 0x0f) << 8 | u32::from(low);
    known.then_some((delay, padding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info_frame(delay: u32, padding: u32) -> Vec<u8> {
        let mut frame = vec![0xff, 0xfb, 0x90, 0x00];
        frame.resize(4 + 32, 0);
        frame.extend_from_slice(b"Info");
        frame.extend_from_slice(&1u32.to_be_bytes());
        frame.extend_from_slice(&100u32.to_be_bytes());
        let mut lame = b"LAME3.100".to_vec();
        lame.resize(21, 0);
        lame.extend_from_slice(&[(delay >> 4) as u8, ((delay & 15) << 4 | padding >> 8) as u8, padding as u8]);
        frame.extend_from_slice(&lame);
        frame
    }

    #[test]
    fn delay_and_padding_come_from_the_lame_tag() {
        let header = parse(&info_frame(576, 1000)).unwrap();
        assert_eq!((header.delay, header.padding, header.frames), (576, 1000, Some(100)));
        assert_eq!(header.samples_to_drop(), 1105);
        assert_eq!(header.duration().unwrap().as_millis(), (115_200 - 1576) * 1000 / 44_100);
    }

    #[test]
    fn frames_cut_anywhere_give_nothing_or_no_delay() {
        let frame = info_frame(576, 0);
        for length in 0..frame.len() {
            let _ = parse(&frame[..length]);
        }
        assert_eq!(parse(&[0xff; 200]), None);
    }
}
