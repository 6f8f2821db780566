//! Codecs of segments: what their configuration records say, and their names as RFC 6381 writes them.

use super::boxes::Bits;

/// A codec with what its decoder needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// `record`: avcC. `sets`: its parameter sets with start codes.
    H264 {
        record: Vec<u8>,
        sets: Vec<u8>,
        length_size: usize,
    },
    /// `record`: hvcC.
    H265 {
        record: Vec<u8>,
        sets: Vec<u8>,
        length_size: usize,
    },
    /// `record`: av1C.
    Av1 {
        record: Vec<u8>,
    },
    /// `record`: AudioSpecificConfig.
    Aac {
        record: Vec<u8>,
    },
    Mp3,
    Ac3,
    Eac3,
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

impl Codec {
    /// From a parser's caps and the first packet; with its name.
    pub fn read(structure: &gst::StructureRef, first: &[u8]) -> Result<(Self, String), String> {
        let record = || -> Result<Vec<u8>, String> {
            let buffer = structure
                .get::<gst::Buffer>("codec_data")
                .map_err(|_| format!("{} without codec_data", structure.name()))?;
            let map = buffer.map_readable().map_err(|_| "unreadable codec_data")?;
            Ok(map.as_slice().to_vec())
        };
        match structure.name().as_str() {
            "video/x-h264" => h264(record()?),
            "video/x-h265" => h265(record()?),
            "video/x-av1" => av1(record().ok().filter(|record| record.len() >= 4), first),
            "audio/mpeg" if structure.get::<i32>("mpegversion").unwrap_or(4) == 1 => Ok((Self::Mp3, "mp4a.40.34".into())),
            "audio/mpeg" => aac(record()?),
            "audio/x-ac3" => Ok((Self::Ac3, "ac-3".into())),
            "audio/x-eac3" => Ok((Self::Eac3, "ec-3".into())),
            other => Err(format!("segments cannot hold {other}")),
        }
    }
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, String> {
    bytes
        .get(at)
        .copied()
        .ok_or_else(|| "a configuration record that is cut".to_owned())
}

fn h264(record: Vec<u8>) -> Result<(Codec, String), String> {
    let name = format!("avc1.{:02x}{:02x}{:02x}", byte(&record, 1)?, byte(&record, 2)?, byte(&record, 3)?);
    let length_size = usize::from(byte(&record, 4)? & 3) + 1;
    let mut reader = Sets::new(record.get(5..).unwrap_or_default());
    let count = reader.byte()? & 0x1f;
    reader.take(usize::from(count))?;
    let count = reader.byte()?;
    reader.take(usize::from(count))?;
    let sets = reader.sets;
    Ok((Codec::H264 { record, sets, length_size }, name))
}

fn h265(record: Vec<u8>) -> Result<(Codec, String), String> {
    let profile = byte(&record, 1)?;
    let compatible = record
        .get(2..6)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6)).copied().unwrap_or("");
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let mut name = format!(
        "hvc1.{space}{}.{:x}.{tier}{}",
        profile & 0x1f,
        compatible.reverse_bits(),
        byte(&record, 12)?
    );
    let constraints = record.get(6..12).unwrap_or_default();
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for constraint in constraints.iter().take(used) {
        name.push_str(&format!(".{constraint:02X}"));
    }
    let length_size = usize::from(byte(&record, 21)? & 3) + 1;
    let mut reader = Sets::new(record.get(22..).unwrap_or_default());
    for _ in 0..reader.byte()? {
        reader.byte()?;
        let count = reader.short()?;
        reader.take(count)?;
    }
    let sets = reader.sets;
    Ok((Codec::H265 { record, sets, length_size }, name))
}

/// Reads parameter sets, each behind its length, into one run with start codes.
struct Sets<'a> {
    rest: &'a [u8],
    sets: Vec<u8>,
}

impl<'a> Sets<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, sets: Vec::new() }
    }

    fn byte(&mut self) -> Result<u8, String> {
        let value = byte(self.rest, 0)?;
        self.rest = self.rest.get(1..).unwrap_or_default();
        Ok(value)
    }

    fn short(&mut self) -> Result<usize, String> {
        Ok(usize::from(self.byte()?) << 8 | usize::from(self.byte()?))
    }

    fn take(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count {
            let length = self.short()?;
            let set = self.rest.get(..length).ok_or("a parameter set that is cut")?;
            self.sets.extend_from_slice(&START_CODE);
            self.sets.extend_from_slice(set);
            self.rest = self.rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn aac(record: Vec<u8>) -> Result<(Codec, String), String> {
    let object = byte(&record, 0)? >> 3;
    let object = if object == 31 {
        32 + Bits::new(record.get(..2).unwrap_or_default()).read(11) % 64
    } else {
        u32::from(object)
    };
    Ok((Codec::Aac { record }, format!("mp4a.40.{object}")))
}

fn av1(record: Option<Vec<u8>>, first: &[u8]) -> Result<(Codec, String), String> {
    let record = record.or_else(|| av1_record(first)).ok_or("AV1 without a sequence header")?;
    let (head, flags) = (byte(&record, 1)?, byte(&record, 2)?);
    let depth = match (flags & 0x40 != 0, flags & 0x20 != 0) {
        (true, true) => 12,
        (true, false) => 10,
        _ => 8,
    };
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let name = format!("av01.{}.{:02}{tier}.{depth:02}", head >> 5, head & 0x1f);
    Ok((Codec::Av1 { record }, name))
}

/// Types of open bitstream units.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The units of a temporal unit: type, the whole unit, its payload. Ends at the first that has no size or does not fit.
fn units(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let head = *rest.first()?;
        if head & 2 == 0 {
            return None;
        }
        let mut at = if head & 4 == 0 { 1 } else { 2 };
        let mut size = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = *rest.get(at)?;
            at += 1;
            size |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at.checked_add(size)?;
        let (unit, payload) = (rest.get(..end)?, rest.get(at..end)?);
        rest = rest.get(end..)?;
        Some((head >> 3 & 0xf, unit, payload))
    })
}

/// av1C of a temporal unit that begins with a sequence header.
pub fn av1_record(packet: &[u8]) -> Option<Vec<u8>> {
    let (_, unit, payload) = units(packet).find(|(kind, _, _)| *kind == SEQUENCE_HEADER)?;
    let mut bits = Bits::new(payload);
    let profile = bits.read(3);
    bits.flag();
    let (mut level, mut tier) = (0, 0);
    if bits.flag() {
        level = bits.read(5);
    } else {
        if bits.flag() {
            return None; // Timing of decoders: no encoder here writes it.
        }
        let delays = bits.flag();
        for point in 0..=bits.read(5) {
            bits.read(12);
            let (at, above) = (bits.read(5), 0);
            let high = if at > 7 { bits.read(1) } else { above };
            if point == 0 {
                (level, tier) = (at, high);
            }
            if delays && bits.flag() {
                bits.read(4);
            }
        }
    }
    let flags = av1_colours(&mut bits, profile);
    let mut record = vec![0x81, (profile << 5 | level) as u8, (tier << 7) as u8 | flags, 0];
    record.extend_from_slice(unit);
    Some(record)
}

/// Skips to the colours and reads what of them stands in av1C.
fn av1_colours(bits: &mut Bits, profile: u32) -> u8 {
    let (across, down) = (bits.read(4) + 1, bits.read(4) + 1);
    bits.read(across);
    bits.read(down);
    if bits.flag() {
        bits.read(7);
    }
    bits.read(3);
    if true_until_order_hint(bits) {
        bits.read(3);
    }
    bits.read(3);
    let high = bits.flag();
    let twelve = profile == 2 && high && bits.flag();
    let mono = profile != 1 && bits.flag();
    u8::from(high) << 6 | u8::from(twelve) << 5 | u8::from(mono) << 4 | if profile == 1 { 0 } else { 0b1100 }
}

/// The tools that come before the colours; whether order hints follow.
fn true_until_order_hint(bits: &mut Bits) -> bool {
    bits.read(4);
    let order_hint = bits.flag();
    if order_hint {
        bits.read(2);
    }
    let chosen_screen = bits.flag();
    let screen = if chosen_screen { 2 } else { bits.read(1) };
    if screen > 0 && !bits.flag() {
        bits.read(1);
    }
    order_hint
}

/// A packet as MP4 holds it: without temporal delimiters.
pub fn without_delimiters(packet: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(packet.len());
    let mut seen = 0;
    for (kind, unit, _) in units(packet) {
        seen += unit.len();
        if kind != TEMPORAL_DELIMITER {
            kept.extend_from_slice(unit);
        }
    }
    (seen == packet.len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_records() {
        let record = [1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 1, 0x68];
        let (codec, name) = h264(record.to_vec()).unwrap();
        assert_eq!(name, "avc1.64001f");
        let Codec::H264 { sets, length_size, .. } = codec else { panic!() };
        assert_eq!(sets, [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68]);
        assert_eq!(length_size, 4);
        assert_eq!(aac(vec![0x11, 0x90]).unwrap().1, "mp4a.40.2");
        let mut record = vec![1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        record.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0]);
        assert_eq!(h265(record).unwrap().1, "hvc1.1.6.L93.90");
    }

    #[test]
    fn records_that_are_cut_are_refused() {
        assert!(h264(vec![1, 0x64]).is_err());
        assert!(h265(vec![1; 12]).is_err());
        assert!(av1(None, &[0x0a]).is_err());
    }
}
