//! Sound in Core Audio Format (Apple, Core Audio Format Specification 1.0) and Sony Wave64: what it is, where it begins, and the beginning of
//! a WAV or AIFF file that says the same in as many bytes, so that their demuxers read it.

use super::numbers::{be32, be64, le16, le32, le64};

/// Chunks that are looked at.
const MOST: usize = 1000;
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
/// Lengths of 32 bits up to here; above stand those of files that nobody finished.
const LONGEST: u64 = 0xffff_ff00;

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainSound {
    /// As ffprobe says it, as far as it is known here; else the four letters of the file.
    pub codec: String,
    pub sample_rate_hz: u32,
    pub channels: u16,
    bytes_per_second: f64,
    format: Format,
    /// First byte of the samples, and how many there are; `None`: to the end of the file.
    data_at: usize,
    length: Option<u64>,
}

/// How another container says it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// Body of a WAV's `fmt ` chunk.
    Wave(Vec<u8>),
    /// Of AIFF, with the highest byte of a sample first.
    Aiff { compression: [u8; 4], bits: u16, frame_bytes: u32 },
    /// Packets that no other container has in one piece.
    Packets,
}

impl PlainSound {
    /// Reads the beginning of a Core Audio file.
    pub fn of_caf(head: &[u8]) -> Option<Self> {
        head.starts_with(b"caff").then_some(())?;
        let (mut at, mut description) = (8usize, None);
        for _ in 0..MOST {
            let (name, size) = (head.get(at..at + 4)?, be64(head, at + 4)?.cast_signed());
            let body = at + 12;
            match name {
                b"desc" => description = Some(head.get(body..body + 32)?),
                b"data" => {
                    // A count of edits stands in front of the samples.
                    let length = u64::try_from(size).ok().map(|size| size.saturating_sub(4));
                    return described_by_caf(description?, body + 4, length);
                }
                _ => {}
            }
            at = body.checked_add(usize::try_from(size).ok()?)?;
        }
        None
    }

    /// Reads the beginning of a Wave64 file: names are GUIDs that begin with those of WAV, lengths count the whole chunk.
    pub fn of_w64(head: &[u8]) -> Option<Self> {
        head.starts_with(W64_MARK).then_some(())?;
        let (mut at, mut format) = (40usize, None);
        for _ in 0..MOST {
            let (name, size) = (head.get(at..at + 4)?, le64(head, at + 16)?);
            let body = at + 24;
            let end = at.checked_add(usize::try_from(size).ok().filter(|size| *size >= 24)?)?;
            match name {
                b"fmt " => format = Some(head.get(body..end)?),
                b"data" => {
                    let length = (size > 24).then_some(size - 24);
                    return described_by_wave(format?, body, length);
                }
                _ => {}
            }
            at = end.checked_next_multiple_of(8)?;
        }
        None
    }

    /// Seconds, where the file says how many samples it has.
    pub fn seconds(&self) -> Option<f64> {
        let length = self.length.filter(|length| *length > 0)?;
        (self.bytes_per_second > 0.0).then(|| length as f64 / self.bytes_per_second)
    }

    /// What stands in front of the samples of a WAV or AIFF file that has them at the same place; `None` where neither can have them.
    pub fn beginning(&self, file_bytes: u64) -> Option<Vec<u8>> {
        let rest = file_bytes.saturating_sub(self.data_at as u64);
        let length = self.length.unwrap_or(rest).min(rest);
        match &self.format {
            Format::Wave(format) => wave(format, self.data_at, length),
            Format::Aiff {
                compression,
                bits,
                frame_bytes,
            } => {
                let frames = length / u64::from((*frame_bytes).max(1));
                let common = Common {
                    channels: self.channels,
                    frames: u32::try_from(frames).unwrap_or(u32::MAX),
                    bits: *bits,
                    rate: self.sample_rate_hz,
                    compression: *compression,
                };
                aiff(&common, self.data_at, length)
            }
            Format::Packets => None,
        }
    }
}

/// The GUID that a Wave64 file begins with.
pub const W64_MARK: &[u8] = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00";

fn described_by_wave(format: &[u8], data_at: usize, length: Option<u64>) -> Option<PlainSound> {
    Some(PlainSound {
        codec: "pcm".to_owned(),
        channels: le16(format, 2)?,
        sample_rate_hz: le32(format, 4)?,
        bytes_per_second: le32(format, 8)?.into(),
        format: Format::Wave(format.to_vec()),
        data_at,
        length,
    })
}

fn described_by_caf(description: &[u8], data_at: usize, length: Option<u64>) -> Option<PlainSound> {
    let rate = f64::from_bits(be64(description, 0)?);
    let (kind, flags) = (description.get(8..12)?, be32(description, 12)?);
    let (packet, frames) = (be32(description, 16)?, be32(description, 20)?);
    let (channels, bits) = (be32(description, 24)?, be32(description, 28)?);
    if !(1.0..=1e7).contains(&rate) || channels == 0 {
        return None;
    }
    let (channels, bits) = (u16::try_from(channels).ok()?, u16::try_from(bits).ok()?);
    let sample_rate_hz = rate.round() as u32;
    let is_plain = frames == 1 && packet == u32::from(channels) * u32::from(bits) / 8 && bits % 8 == 0;
    let (is_float, is_little) = (flags & 1 == 1, flags & 2 == 2);
    let wave = |kind: u16, bits: u16| Format::Wave(wave_format(kind, channels, sample_rate_hz, bits));
    let aiff = |compression: &[u8; 4]| Format::Aiff {
        compression: *compression,
        bits,
        frame_bytes: packet,
    };
    let format = match kind {
        b"lpcm" if !is_plain => Format::Packets,
        // Samples of eight bits have a sign here and in AIFF, and none in WAV.
        b"lpcm" if is_little && is_float => wave(FLOAT, bits),
        b"lpcm" if is_little && bits > 8 => wave(PCM, bits),
        b"lpcm" if is_float && bits == 32 => aiff(b"fl32"),
        b"lpcm" if is_float && bits == 64 => aiff(b"fl64"),
        b"lpcm" => aiff(b"NONE"),
        b"ulaw" => wave(MU_LAW, 8),
        b"alaw" => wave(A_LAW, 8),
        _ => Format::Packets,
    };
    Some(PlainSound {
        codec: caf_codec(kind),
        sample_rate_hz,
        channels,
        bytes_per_second: if frames > 0 {
            rate * f64::from(packet) / f64::from(frames)
        } else {
            0.0
        },
        format,
        data_at,
        length,
    })
}

fn caf_codec(kind: &[u8]) -> String {
    let name = match kind {
        b"lpcm" => "pcm",
        b"aac " | b"aace" | b"aach" | b"aacl" | b"aacp" => "aac",
        b"alac" => "alac",
        b"ulaw" => "pcm_mulaw",
        b"alaw" => "pcm_alaw",
        b"ima4" => "adpcm_ima_qt",
        b".mp1" => "mp1",
        b".mp2" => "mp2",
        b".mp3" => "mp3",
        b"ac-3" => "ac3",
        b"opus" => "opus",
        b"flac" => "flac",
        other => return String::from_utf8_lossy(other).trim().to_lowercase(),
    };
    name.to_owned()
}

fn wave_format(kind: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = u32::from(channels) * u32::from(bits) / 8;
    let mut format = Vec::with_capacity(16);
    format.extend(kind.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend(rate.saturating_mul(block).to_le_bytes());
    format.extend(u16::try_from(block).unwrap_or(u16::MAX).to_le_bytes());
    format.extend(bits.to_le_bytes());
    format
}

/// RIFF up to the samples; RF64 where its lengths have not bits enough.
fn wave(format: &[u8], data_at: usize, length: u64) -> Option<Vec<u8>> {
    let is_long = length > LONGEST;
    let short = |length: u64| u32::try_from(length).ok().filter(|_| !is_long).unwrap_or(u32::MAX).to_le_bytes();
    let whole = length + data_at as u64 - 8;
    let mut out = if is_long { b"RF64".to_vec() } else { b"RIFF".to_vec() };
    out.extend(short(whole));
    out.extend(b"WAVE");
    if is_long {
        out.extend(b"ds64");
        out.extend(28u32.to_le_bytes());
        out.extend([whole.to_le_bytes(), length.to_le_bytes(), [0; 8]].concat());
        out.extend([0; 4]);
    }
    out.extend(b"fmt ");
    out.extend(u32::try_from(format.len()).ok()?.to_le_bytes());
    out.extend(format);
    out.resize(out.len().next_multiple_of(2), 0);
    fill(&mut out, data_at.checked_sub(8)?, u32::to_le_bytes)?;
    out.extend(b"data");
    out.extend(short(length));
    Some(out)
}

/// What an AIFF file says of its samples.
struct Common {
    channels: u16,
    frames: u32,
    bits: u16,
    rate: u32,
    compression: [u8; 4],
}

/// FORM up to the samples.
fn aiff(common: &Common, data_at: usize, length: u64) -> Option<Vec<u8>> {
    let short = |length: u64| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut out = b"FORM".to_vec();
    out.extend(short(length + data_at as u64 - 8));
    out.extend(b"AIFCCOMM");
    out.extend(24u32.to_be_bytes());
    out.extend(common.channels.to_be_bytes());
    out.extend(common.frames.to_be_bytes());
    out.extend(common.bits.to_be_bytes());
    out.extend(extended(common.rate));
    out.extend(common.compression);
    out.extend([0; 2]);
    fill(&mut out, data_at.checked_sub(16)?, u32::to_be_bytes)?;
    out.extend(b"SSND");
    out.extend(short(length + 8));
    out.extend([0; 8]);
    Some(out)
}

/// A whole number as a float of 80 bits.
fn extended(number: u32) -> [u8; 10] {
    let zeros = number.max(1).leading_zeros();
    let exponent = (16_383 + 31 - zeros) as u16;
    let mut out = [0; 10];
    out[..2].copy_from_slice(&exponent.to_be_bytes());
    out[2..6].copy_from_slice(&(number << zeros).to_be_bytes());
    out
}

/// Fills up to a place with a chunk that nobody reads; `None` where none fits.
fn fill(out: &mut Vec<u8>, until: usize, bytes: fn(u32) -> [u8; 4]) -> Option<()> {
    match until.checked_sub(out.len())? {
        0 => Some(()),
        gap if gap >= 8 && gap % 2 == 0 => {
            out.extend(b"JUNK");
            out.extend(bytes(u32::try_from(gap - 8).ok()?));
            out.resize(until, 0);
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::lengths;

    fn caf(kind: &[u8; 4], flags: u32, (packet, frames): (u32, u32), bits: u32, between: usize) -> Vec<u8> {
        let mut file = b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20".to_vec();
        file.extend(48_000f64.to_bits().to_be_bytes());
        file.extend(kind);
        for number in [flags, packet, frames, 2, bits] {
            file.extend(number.to_be_bytes());
        }
        if between > 0 {
            file.extend(b"free");
            file.extend((between as u64).to_be_bytes());
            file.resize(file.len() + between, 7);
        }
        file.extend(b"data");
        file.extend((4u64 + 192_000).to_be_bytes());
        file.extend([0; 4]);
        file
    }

    #[test]
    fn samples_keep_their_place_under_another_head() {
        for between in [0, 10, 4000] {
            let head = caf(b"lpcm", 2, (4, 1), 16, between);
            let sound = PlainSound::of_caf(&head).unwrap();
            assert_eq!((sound.codec.as_str(), sound.seconds()), ("pcm", Some(1.0)));
            let wave = sound.beginning(head.len() as u64 + 192_000).unwrap();
            assert_eq!((wave.len(), lengths::wav(&wave).unwrap().as_secs_f64()), (head.len(), 1.0));
            let head = caf(b"lpcm", 0, (6, 1), 24, between);
            let aiff = PlainSound::of_caf(&head).unwrap().beginning(head.len() as u64 + 192_000).unwrap();
            assert_eq!(aiff.len(), head.len());
            assert!((lengths::aiff(&aiff).unwrap().as_secs_f64() - 32_000.0 / 48_000.0).abs() < 1e-9);
        }
    }

    #[test]
    fn packets_are_named_and_stay_where_they_are() {
        let head = caf(b"alac", 1, (0, 4096), 0, 0);
        let sound = PlainSound::of_caf(&head).unwrap();
        assert_eq!((sound.codec.as_str(), sound.channels, sound.seconds()), ("alac", 2, None));
        assert_eq!(sound.beginning(1 << 20), None);
    }

    #[test]
    fn long_samples_get_long_lengths() {
        let head = caf(b"lpcm", 2, (4, 1), 16, 40);
        let mut sound = PlainSound::of_caf(&head).unwrap();
        sound.length = Some(6 << 30);
        let wave = sound.beginning(7 << 30).unwrap();
        assert!(wave.starts_with(b"RF64") && wave.len() == head.len());
        assert_eq!(lengths::wav(&wave).unwrap().as_secs(), (6 << 30) / 192_000);
    }

    #[test]
    fn heads_that_are_cut_or_changed_do_no_harm() {
        let whole = caf(b"lpcm", 2, (4, 1), 16, 10);
        for end in 0..whole.len() {
            PlainSound::of_caf(&whole[..end]);
            PlainSound::of_w64(&whole[..end]);
            for value in [0, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[end] = value;
                if let Some(sound) = PlainSound::of_caf(&changed) {
                    sound.beginning(1000);
                    sound.seconds();
                }
            }
        }
    }
}
