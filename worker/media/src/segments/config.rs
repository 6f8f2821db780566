//! What a track is: its sample entry, its codec as RFC 6381 writes it, its sizes; read from caps and the first packet.

use gst_video::VideoTransferFunction;

use super::{
    boxes::{Bits, Boxes},
    codecs::Codec,
};

/// One track of a segment, as its headers describe it.
#[derive(Debug, Clone, Default)]
pub struct TrackConfig {
    pub codec: Codec,
    /// As RFC 6381 writes it, such as "avc1.64001f".
    pub codecs: String,
    pub is_video: bool,
    pub timescale: u32,
    /// BCP 47; empty when unknown.
    pub language: String,
    pub width: i32,
    pub height: i32,
    /// Frames per second; (0, 1) when variable.
    pub frame_rate: (i32, i32),
    pub sample_rate: i32,
    pub channels: i32,
    /// "SDR", "PQ" or "HLG".
    pub video_range: &'static str,
    /// The box in `stsd`.
    pub sample_entry: Vec<u8>,
}

/// Time scale of film whose frame rate varies, and the least of any film.
const FINE_TIMESCALE: i32 = 90_000;
const LEAST_TIMESCALE: i32 = 10_000;

/// A time scale in which every frame of a rate lasts a whole number.
pub fn video_timescale((num, den): (i32, i32)) -> u32 {
    if num <= 0 || den <= 0 || num > FINE_TIMESCALE {
        return FINE_TIMESCALE as u32;
    }
    (num * ((LEAST_TIMESCALE + num - 1) / num).max(1)) as u32
}

impl TrackConfig {
    /// Reads caps of a parser and the track's first packet; the error says what is missing.
    pub fn read(caps: &gst::CapsRef, first: &[u8], language: &str) -> Result<Self, String> {
        let structure = caps.structure(0).ok_or("caps without a structure")?;
        let side = |name: &str| structure.get::<i32>(name).unwrap_or(0);
        let (codec, codecs) = Codec::read(structure, first)?;
        let is_video = structure.name().starts_with("video/");
        let rate = structure
            .get::<gst::Fraction>("framerate")
            .map_or((0, 1), |rate| (rate.numer(), rate.denom()));
        let sample_rate = side("rate");
        if !is_video && sample_rate <= 0 {
            return Err("sound without a sample rate".into());
        }
        let mut config = Self {
            codec,
            codecs,
            is_video,
            timescale: if is_video { video_timescale(rate) } else { sample_rate as u32 },
            language: language.to_owned(),
            width: side("width"),
            height: side("height"),
            frame_rate: if rate.0 > 0 { rate } else { (0, 1) },
            sample_rate,
            channels: side("channels"),
            video_range: if is_video { range(structure) } else { "" },
            sample_entry: Vec::new(),
        };
        config.sample_entry = if is_video {
            config.video_entry(structure)
        } else {
            config.audio_entry(first)
        };
        Ok(config)
    }

    /// Whether a decoder takes the packets of both alike.
    pub fn needs_same(&self, other: &Self) -> bool {
        self.codec == other.codec && self.sample_entry == other.sample_entry
    }

    /// Samples of one packet of sound.
    pub fn packet_samples(&self) -> u32 {
        match self.codec {
            Codec::Mp3 if self.sample_rate < 32_000 => 576,
            Codec::Mp3 => 1152,
            Codec::Ac3 | Codec::Eac3 => 1536,
            _ => 1024,
        }
    }

    fn video_entry(&self, structure: &gst::StructureRef) -> Vec<u8> {
        let (kind, configuration) = match &self.codec {
            Codec::H264 { record, .. } => (b"avc1", (b"avcC", record)),
            Codec::H265 { record, .. } => (b"hvc1", (b"hvcC", record)),
            Codec::Av1 { record } => (b"av01", (b"av1C", record)),
            _ => return Vec::new(),
        };
        let mut boxes = Boxes::default();
        boxes.put(kind, |boxes| {
            boxes.zeros(6);
            boxes.u16(1);
            boxes.zeros(16);
            boxes.u16(self.width as u16);
            boxes.u16(self.height as u16);
            boxes.u32(0x0048_0000);
            boxes.u32(0x0048_0000);
            boxes.u32(0);
            boxes.u16(1);
            boxes.zeros(32);
            boxes.u16(0x18);
            boxes.u16(0xffff);
            boxes.put(configuration.0, |boxes| boxes.bytes(configuration.1));
            if let Some(colours) = colours(structure) {
                boxes.put(b"colr", |boxes| {
                    boxes.bytes(b"nclx");
                    for value in colours.0 {
                        boxes.u16(value);
                    }
                    boxes.u8(u8::from(colours.1) << 7);
                });
            }
            let aspect = structure
                .get::<gst::Fraction>("pixel-aspect-ratio")
                .map_or((1, 1), |aspect| (aspect.numer(), aspect.denom()));
            boxes.put(b"pasp", |boxes| {
                boxes.u32(aspect.0.max(1).unsigned_abs());
                boxes.u32(aspect.1.max(1).unsigned_abs());
            });
        });
        boxes.0
    }

    fn audio_entry(&self, first: &[u8]) -> Vec<u8> {
        let kind = match &self.codec {
            Codec::Ac3 => b"ac-3",
            Codec::Eac3 => b"ec-3",
            _ => b"mp4a",
        };
        let mut boxes = Boxes::default();
        boxes.put(kind, |boxes| {
            boxes.zeros(6);
            boxes.u16(1);
            boxes.zeros(8);
            boxes.u16(self.channels as u16);
            boxes.u16(16);
            boxes.u32(0);
            boxes.u32((self.sample_rate as u32) << 16);
            match &self.codec {
                Codec::Ac3 => boxes.put(b"dac3", |boxes| boxes.bytes(&dac3(first))),
                Codec::Eac3 => boxes.put(b"dec3", |boxes| boxes.bytes(&dec3(first, self.sample_rate))),
                Codec::Aac { record } => esds(boxes, 0x40, record),
                _ => esds(boxes, 0x6b, &[]),
            }
        });
        boxes.0
    }
}

/// Primaries, transfer and matrix as ISO 23091-2 numbers them, and whether the range is full.
fn colours(structure: &gst::StructureRef) -> Option<([u16; 3], bool)> {
    let colorimetry = colorimetry(structure)?;
    let numbers = [
        colorimetry.primaries().to_iso(),
        colorimetry.transfer().to_iso(),
        colorimetry.matrix().to_iso(),
    ];
    let full = colorimetry.range() == gst_video::VideoColorRange::Range0_255;
    Some((numbers.map(|number| u16::try_from(number).unwrap_or(2)), full))
}

fn colorimetry(structure: &gst::StructureRef) -> Option<gst_video::VideoColorimetry> {
    structure.get::<&str>("colorimetry").ok()?.parse().ok()
}

fn range(structure: &gst::StructureRef) -> &'static str {
    match colorimetry(structure).map(|colorimetry| colorimetry.transfer()) {
        Some(VideoTransferFunction::Smpte2084) => "PQ",
        Some(VideoTransferFunction::AribStdB67) => "HLG",
        _ => "SDR",
    }
}

/// The descriptor of MPEG-4 sound: `kind` is its object type, `specific` what its decoder needs.
fn esds(boxes: &mut Boxes, kind: u8, specific: &[u8]) {
    let specific_size = if specific.is_empty() { 0 } else { specific.len() + 2 };
    boxes.full(b"esds", 0, 0, |boxes| {
        boxes.bytes(&[0x03, (3 + 2 + 13 + specific_size + 3) as u8, 0, 0, 0]);
        boxes.bytes(&[0x04, (13 + specific_size) as u8, kind, 0x15, 0, 0, 0]);
        boxes.zeros(8);
        if !specific.is_empty() {
            boxes.bytes(&[0x05, specific.len() as u8]);
            boxes.bytes(specific);
        }
        boxes.bytes(&[0x06, 1, 2]);
    });
}

/// What the header of an AC-3 packet says, in the form of its box.
fn dac3(packet: &[u8]) -> [u8; 3] {
    let mut bits = Bits::new(packet.get(4..).unwrap_or_default());
    let (rate, size, version, mode, speakers) = (bits.read(2), bits.read(6), bits.read(5), bits.read(3), bits.read(3));
    if speakers & 1 == 1 && speakers != 1 {
        bits.read(2);
    }
    if speakers & 4 != 0 {
        bits.read(2);
    }
    if speakers == 2 {
        bits.read(2);
    }
    let low = u32::from(bits.flag());
    let packed = rate << 22 | version << 17 | mode << 14 | speakers << 11 | low << 10 | (size >> 1) << 5;
    let [_, a, b, c] = packed.to_be_bytes();
    [a, b, c]
}

/// The same for E-AC-3: one independent stream.
fn dec3(packet: &[u8], sample_rate: i32) -> [u8; 5] {
    let mut bits = Bits::new(packet.get(2..).unwrap_or_default());
    bits.read(5);
    let bytes = u64::from(bits.read(11) + 1) * 2;
    let rate = bits.read(2);
    let blocks = match (rate, bits.read(2)) {
        (3, _) => 6,
        (_, 0) => 1,
        (_, 1) => 2,
        (_, 2) => 3,
        _ => 6,
    };
    let (speakers, low, version) = (bits.read(3), u32::from(bits.flag()), bits.read(5));
    let kbps = bytes * 8 * u64::try_from(sample_rate).unwrap_or(48_000) / (blocks * 256) / 1000;
    let head = (kbps.min(0x1fff) as u16) << 3;
    let stream = rate << 22 | version << 17 | speakers << 9 | low << 8;
    let [a, b] = head.to_be_bytes();
    let [_, c, d, e] = stream.to_be_bytes();
    [a, b, c, d, e]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_scales_hold_whole_frames() {
        assert_eq!(video_timescale((30_000, 1001)), 30_000);
        assert_eq!(video_timescale((25, 1)), 10_000);
        assert_eq!(video_timescale((30, 1)), 10_020);
        assert_eq!(video_timescale((0, 1)), 90_000);
    }

    #[test]
    fn an_ac3_header_becomes_its_box() {
        // 48 kHz, 384 kbit/s, bsid 8, 3/2 with low frequencies.
        let packet = [0x0b, 0x77, 0, 0, 0x1c, 0x40, 0xe1, 0x00];
        let [a, b, c] = dac3(&packet);
        assert_eq!((a >> 6, a >> 1 & 0x1f), (0, 8));
        assert_eq!((b >> 3 & 7, u16::from_be_bytes([b, c]) >> 5 & 0x1f), (7, 14));
    }
}
