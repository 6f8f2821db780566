//! FLAC (RFC 9639): what its first block says of the whole stream, and what its last frame says where that block does not know.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::mp3::id3_end;

const MAGIC: &[u8] = b"fLaC";
/// Magic, the head of a block, and the block.
const BYTES: u64 = 4 + 4 + 34;
/// How much of the end is looked at for the last frames.
const TAIL_BYTES: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Samples of one channel in each frame but the last, where frames are alike.
    pub block_samples: u32,
    pub sample_rate_hz: u32,
    pub bits: u32,
    /// Of one channel; 0: its encoder did not know.
    pub samples: u64,
}

/// Reads the block; `None` where there is none.
pub fn read(path: &Path) -> io::Result<Option<StreamInfo>> {
    let mut file = File::open(path)?;
    let start = id3_end(&mut file)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok(stream_info(&bytes))
}

/// Samples of one channel by the last frame: for files whose encoder could not go back to the beginning.
pub fn samples_by_frames(path: &Path, info: &StreamInfo) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(end_of_last(&tail, u64::from(info.block_samples)))
}

/// What looks like the head of a frame is one where it goes on at the end of another.
fn end_of_last(tail: &[u8], block_samples: u64) -> Option<u64> {
    let mut ends = std::collections::BTreeSet::from([0]);
    let mut last = None;
    for at in 0..tail.len() {
        if let Some((start, end)) = tail.get(at..).and_then(|bytes| frame_span(bytes, block_samples)) {
            if ends.contains(&start) {
                last = Some(end);
            }
            ends.insert(end);
        }
    }
    last
}

/// Where a frame begins and ends, in samples, by its head (§9.1). `block_samples`: of each frame but the last, where they are alike.
fn frame_span(bytes: &[u8], block_samples: u64) -> Option<(u64, u64)> {
    let &[0xff, second @ (0xf8 | 0xf9), sizes, form, ..] = bytes else {
        return None;
    };
    let (number, mut at) = coded_number(bytes.get(4..)?)?;
    at += 4;
    let mut more = |count: usize| {
        let value = bytes
            .get(at..at + count)?
            .iter()
            .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        at += count;
        Some(value)
    };
    let samples = match sizes >> 4 {
        0 => return None,
        1 => 192,
        code @ 2..=5 => 576 << (code - 2),
        6 => more(1)? + 1,
        7 => more(2)? + 1,
        code => 256 << (code - 8),
    };
    match sizes & 15 {
        12 => more(1).map(drop)?,
        13 | 14 => more(2).map(drop)?,
        15 => return None,
        _ => {}
    }
    let is_possible = form >> 4 <= 10 && form & 1 == 0 && form >> 1 & 7 != 3;
    let start = if second == 0xf9 {
        number
    } else {
        number.checked_mul(block_samples)?
    };
    let is_right = is_possible && crc8(bytes.get(..at)?) == *bytes.get(at)?;
    is_right.then_some((start, start + samples))
}

/// A number written as UTF-8 writes letters, up to 36 bits; and how many bytes it takes.
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = match first.leading_ones() {
        0 => return Some((u64::from(first), 1)),
        ones @ 2..=7 => ones as usize,
        _ => return None,
    };
    let head = u64::from(first) & (0x7f >> length);
    bytes.get(1..length)?.iter().try_fold((head, length), |(value, length), byte| {
        (byte >> 6 == 2).then_some((value << 6 | u64::from(byte & 0x3f), length))
    })
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| crc << 1 ^ if crc & 0x80 != 0 { 7 } else { 0 })
    })
}

/// Of the bytes from the magic on.
pub fn stream_info(bytes: &[u8]) -> Option<StreamInfo> {
    let block = bytes.strip_prefix(MAGIC)?.get(4..)?;
    // 20 bits of rate, 3 of channels, 5 of bits a sample, 36 of samples.
    let packed = u64::from_be_bytes(block.get(10..18)?.try_into().ok()?);
    let &[_, _, high, low, ..] = block else { return None };
    Some(StreamInfo {
        block_samples: u32::from(u16::from_be_bytes([high, low])),
        sample_rate_hz: u32::try_from(packed >> 44).ok()?,
        bits: u32::try_from(packed >> 36 & 0x1f).ok()? + 1,
        samples: packed & 0xf_ffff_ffff,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_bits_and_samples_are_read() {
        let packed = 48_000u64 << 44 | 1 << 41 | 23 << 36 | 144_000;
        let bytes = [MAGIC, &[0x80, 0, 0, 34, 0x12, 0, 0x12, 0], &[0; 6], &packed.to_be_bytes(), &[0; 16]].concat();
        let info = StreamInfo {
            block_samples: 4608,
            sample_rate_hz: 48_000,
            bits: 24,
            samples: 144_000,
        };
        assert_eq!(stream_info(&bytes), Some(info));
        assert_eq!(stream_info(&bytes[..20]), None);
        assert_eq!(stream_info(b"OggS"), None);
    }

    /// The head of a frame of 4,608 samples, or of fewer, which are then told.
    fn frame(number: u8, samples: Option<u16>) -> Vec<u8> {
        let mut head = vec![0xff, 0xf8, if samples.is_some() { 0x79 } else { 0x59 }, 0x18, number];
        head.extend(samples.map(|samples| (samples - 1).to_be_bytes()).into_iter().flatten());
        head.push(crc8(&head));
        head.extend([0x55; 40]);
        head
    }

    #[test]
    fn the_last_frame_tells_the_length() {
        assert_eq!(crc8(b"123456789"), 0xf4);
        let stray = frame(90, None);
        let file = [frame(0, None), frame(1, None), stray, frame(2, Some(1000))].concat();
        assert_eq!(end_of_last(&file, 4608), Some(2 * 4608 + 1000));
        let middle = [vec![7; 33], frame(41, None), frame(42, Some(1)), vec![0; 9]].concat();
        assert_eq!(end_of_last(&middle, 4608), Some(42 * 4608 + 1));
        assert_eq!(end_of_last(&[0xff; 999], 4608), None);
        assert_eq!(coded_number(&[0xe2, 0x82, 0xac]), Some((0x20ac, 3)));
    }
}
