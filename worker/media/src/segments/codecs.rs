//! Codecs of segments: what their configuration records say, their names as RFC 6381 writes them, and their packets as segments hold them.

use super::{av1, boxes::Bits};
use crate::parse::nal::{self, Kind, Syntax};

/// A codec with what its decoder needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Codec {
    /// `record`: avcC. `sets`: its parameter sets.
    H264 {
        record: Vec<u8>,
        sets: Vec<Vec<u8>>,
        length_size: usize,
    },
    /// `record`: hvcC.
    H265 {
        record: Vec<u8>,
        sets: Vec<Vec<u8>>,
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
    #[default]
    Mp3,
    Ac3,
    Eac3,
}

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
            "video/x-av1" => av1_named(record().ok().filter(|record| record.len() >= 4), first),
            "audio/mpeg" if structure.get::<i32>("mpegversion").unwrap_or(4) == 1 => Ok((Self::Mp3, "mp4a.40.34".into())),
            "audio/mpeg" => aac(record()?),
            "audio/x-ac3" => Ok((Self::Ac3, "ac-3".into())),
            "audio/x-eac3" => Ok((Self::Eac3, "ec-3".into())),
            other => Err(format!("segments cannot hold {other}")),
        }
    }

    /// Of H.264 and H.265: how units are read, and the bytes of their lengths.
    pub fn syntax(&self) -> Option<(Syntax, usize)> {
        match self {
            Self::H264 { length_size, .. } => Some((Syntax::H264, *length_size)),
            Self::H265 { length_size, .. } => Some((Syntax::H265, *length_size)),
            _ => None,
        }
    }

    /// Parameter sets that stand in the record.
    pub fn sets(&self) -> &[Vec<u8>] {
        match self {
            Self::H264 { sets, .. } | Self::H265 { sets, .. } => sets,
            _ => &[],
        }
    }

    /// A packet as segments hold it: without delimiters, and without the sets that stand in the record. `None`: it is damaged.
    pub fn packed(&self, packet: &[u8]) -> Option<Vec<u8>> {
        if let Self::Av1 { .. } = self {
            return av1::without_delimiters(packet);
        }
        let Some((syntax, length_size)) = self.syntax() else {
            return Some(packet.to_vec());
        };
        let is_needless = |unit: &[u8]| match syntax.kind(unit) {
            Kind::Delimiter => true,
            Kind::Set => self.sets().iter().any(|set| set == unit),
            _ => unit.is_empty(),
        };
        let mut packed = Vec::with_capacity(packet.len());
        for unit in nal::units(packet, length_size).filter(|unit| !is_needless(unit)) {
            nal::put(&mut packed, unit, length_size);
        }
        (!packed.is_empty()).then_some(packed)
    }

    /// The number of the set of pictures that a packet's picture names, and those that stand in the packet.
    pub fn named_sets(&self, packet: &[u8]) -> (Option<u32>, Vec<u32>) {
        let Some((syntax, length_size)) = self.syntax() else {
            return (None, Vec::new());
        };
        let units = || nal::units(packet, length_size);
        let slice = units().find(|unit| syntax.kind(unit) == Kind::Slice);
        let named = slice.and_then(|slice| syntax.named_set(slice));
        (named, units().filter_map(|unit| syntax.number_of_set(unit)).collect())
    }

    /// Numbers of the record's sets of pictures.
    pub fn numbered_sets(&self) -> Vec<u32> {
        let number = |set: &Vec<u8>| self.syntax().and_then(|(syntax, _)| syntax.number_of_set(set));
        self.sets().iter().filter_map(number).collect()
    }

    /// The record's sets as a packet begins with them.
    pub fn packed_sets(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        if let Some((_, length_size)) = self.syntax() {
            self.sets().iter().for_each(|set| nal::put(&mut packed, set, length_size));
        }
        packed
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

/// Reads parameter sets, each behind its length.
struct Sets<'a> {
    rest: &'a [u8],
    sets: Vec<Vec<u8>>,
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
            self.sets.push(set.to_vec());
            self.rest = self.rest.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn aac(record: Vec<u8>) -> Result<(Codec, String), String> {
    byte(&record, 1)?;
    let object = aac_object(&record);
    Ok((Codec::Aac { record }, format!("mp4a.40.{object}")))
}

/// Object types of ISO/IEC 14496-3 that say what comes with AAC-LC.
const BAND_REPLICATION: u32 = 5;
const PARAMETRIC_STEREO: u32 = 29;
/// What an AudioSpecificConfig of AAC-LC may end with: that the packets hold more than it says (1.6.5).
const EXTENSION: u32 = 0x2b7;
const STEREO_EXTENSION: u32 = 0x548;

/// The object type of an AudioSpecificConfig, also where only its end tells of band replication.
fn aac_object(record: &[u8]) -> u32 {
    let mut bits = Bits::new(record);
    let object = object_type(&mut bits);
    if bits.read(4) == 15 {
        bits.read(24);
    }
    bits.read(4);
    if object != 2 {
        return object;
    }
    // Whatever the length of frames; no core coder, no extension flag.
    if bits.read(3) & 3 != 0 || bits.read(11) != EXTENSION || object_type(&mut bits) != BAND_REPLICATION || !bits.flag() {
        return object;
    }
    if bits.read(4) == 15 {
        bits.read(24);
    }
    if bits.read(11) == STEREO_EXTENSION && bits.flag() {
        PARAMETRIC_STEREO
    } else {
        BAND_REPLICATION
    }
}

fn object_type(bits: &mut Bits) -> u32 {
    match bits.read(5) {
        31 => 32 + bits.read(6),
        object => object,
    }
}

fn av1_named(record: Option<Vec<u8>>, first: &[u8]) -> Result<(Codec, String), String> {
    let record = record.or_else(|| av1::record(first)).ok_or("AV1 without a sequence header")?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_records() {
        let record = [1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 1, 0x68];
        let (codec, name) = h264(record.to_vec()).unwrap();
        assert_eq!(name, "avc1.64001f");
        let Codec::H264 { sets, length_size, .. } = codec else { panic!() };
        assert_eq!(sets, [vec![0x67, 1], vec![0x68]]);
        assert_eq!(length_size, 4);
        for (record, name) in [
            (vec![0x11, 0x90], "mp4a.40.2"),
            // 48 kHz, of which the core has 24; told first, or at the end, or with stereo at the end.
            (vec![0x2b, 0x11, 0x88], "mp4a.40.5"),
            (vec![0x13, 0x10, 0x56, 0xe5, 0x98], "mp4a.40.5"),
            (vec![0x13, 0x08, 0x56, 0xe5, 0x9d, 0x48, 0x80], "mp4a.40.29"),
            (vec![0x13, 0x10, 0x56, 0xe5, 0x00], "mp4a.40.2"),
        ] {
            assert_eq!(aac(record).unwrap().1, name);
        }
        let mut record = vec![1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93];
        record.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0]);
        assert_eq!(h265(record).unwrap().1, "hvc1.1.6.L93.90");
    }

    #[test]
    fn records_that_are_cut_are_refused() {
        assert!(h264(vec![1, 0x64]).is_err());
        assert!(h265(vec![1; 12]).is_err());
        assert!(av1_named(None, &[0x0a]).is_err());
        assert!(aac(vec![0x11]).is_err());
    }

    #[test]
    fn packets_are_held_without_delimiters_and_known_sets() {
        let codec = Codec::H264 {
            record: Vec::new(),
            sets: vec![vec![0x67, 1], vec![0x68, 2]],
            length_size: 4,
        };
        let packet = |units: &[&[u8]]| {
            let mut packet = Vec::new();
            units.iter().for_each(|unit| nal::put(&mut packet, unit, 4));
            packet
        };
        let whole = packet(&[&[9, 0xf0], &[0x67, 1], &[0x68, 2], &[0x68, 3], &[0x65, 4]]);
        assert_eq!(codec.packed(&whole), Some(packet(&[&[0x68, 3], &[0x65, 4]])));
        assert_eq!(codec.packed(&packet(&[&[9, 0xf0]])), None);
        assert_eq!(codec.packed_sets(), packet(&[&[0x67, 1], &[0x68, 2]]));
    }
}
