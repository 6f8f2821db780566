//! MPEG-2 transport streams cut into segments: each begins with its tables and counts its packets anew (and says so), so that the same
//! packets give the same bytes, whoever wrote the segment before.

use super::{Packet, codecs::Codec, config::TrackConfig, fmp4::Part};

const PACKET: usize = 188;
const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
const FIRST_PID: u16 = 0x100;
/// Stamps begin at ten seconds, so that decoding times before the first picture are not negative.
pub const START_90K: i64 = 900_000;
/// How far clock references run ahead of decoding: 100 ms.
const PCR_LEAD_90K: i64 = 9_000;
const STAMP_MASK: i64 = (1 << 33) - 1;
/// Sound packets that share one header: up to these bytes.
const SOUND_BYTES: usize = 2_800;

/// What follows one header of the elementary stream.
struct Unit {
    stream: usize,
    pts: i64,
    dts: i64,
    key: bool,
    data: Vec<u8>,
}

/// One segment. `index`: its number, from 0.
pub fn segment(index: i64, parts: &[Part]) -> Vec<u8> {
    let mut units: Vec<Unit> = Vec::new();
    for (stream, part) in parts.iter().enumerate() {
        if part.config.is_video {
            units.extend(part.packets.iter().map(|packet| picture(stream, part.config, packet)));
        } else {
            units.extend(sound(stream, part));
        }
    }
    units.sort_by_key(|unit| unit.dts);
    let mut writer = Writer {
        bytes: Vec::new(),
        counters: vec![0; parts.len()],
        clock: parts.iter().position(|part| !part.packets.is_empty()).unwrap_or(0),
    };
    writer.table(PAT_PID, index, &section(0, 1, &pat()));
    writer.table(PMT_PID, index, &section(2, 1, &pmt(parts, writer.clock)));
    for unit in units {
        writer.unit(&unit, parts);
    }
    writer.bytes
}

fn to_90k(ticks: i64, timescale: u32) -> i64 {
    let scale = i128::from(timescale.max(1));
    let scaled = (i128::from(ticks) * 90_000 * 2 + scale).div_euclid(scale * 2);
    i64::try_from(scaled).unwrap_or(0) + START_90K
}

fn picture(stream: usize, config: &TrackConfig, packet: &Packet) -> Unit {
    let pts = to_90k(packet.pts, config.timescale);
    Unit {
        stream,
        pts,
        dts: to_90k(packet.dts, config.timescale).min(pts),
        key: packet.key,
        data: with_start_codes(&config.codec, packet),
    }
}

/// The picture with start codes: delimiter, on key frames the parameter sets, then its slices.
fn with_start_codes(codec: &Codec, packet: &Packet) -> Vec<u8> {
    let (sets, length_size, delimiter, is_extra): (_, _, &[u8], fn(u8) -> bool) = match codec {
        Codec::H264 { sets, length_size, .. } => (sets, *length_size, &[0, 0, 0, 1, 9, 0xf0], |head| matches!(head & 0x1f, 7..=9)),
        Codec::H265 { sets, length_size, .. } => (sets, *length_size, &[0, 0, 0, 1, 0x46, 1, 0x50], |head| {
            matches!(head >> 1 & 0x3f, 32..=35)
        }),
        _ => return packet.data.clone(),
    };
    let mut data = Vec::with_capacity(packet.data.len() + 64);
    data.extend_from_slice(delimiter);
    if packet.key {
        data.extend_from_slice(sets);
    }
    let mut rest = packet.data.as_slice();
    while let Some((head, tail)) = rest.split_at_checked(length_size) {
        let length = head.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let Some((unit, tail)) = tail.split_at_checked(length) else { break };
        if unit.first().is_some_and(|head| !is_extra(*head)) {
            data.extend_from_slice(&[0, 0, 0, 1]);
            data.extend_from_slice(unit);
        }
        rest = tail;
    }
    data
}

fn sound(stream: usize, part: &Part) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for packet in part.packets {
        let data = match &part.config.codec {
            Codec::Aac { record } => adts(record, &packet.data),
            _ => packet.data.clone(),
        };
        match units.last_mut() {
            Some(unit) if unit.data.len() + data.len() <= SOUND_BYTES => unit.data.extend_from_slice(&data),
            _ => {
                let pts = to_90k(packet.pts, part.config.timescale);
                units.push(Unit {
                    stream,
                    pts,
                    dts: pts,
                    key: true,
                    data,
                });
            }
        }
    }
    units
}

/// An AAC packet behind a header that says what AudioSpecificConfig does.
fn adts(record: &[u8], packet: &[u8]) -> Vec<u8> {
    let (first, second) = (record.first().copied().unwrap_or(0x11), record.get(1).copied().unwrap_or(0x90));
    let profile = (first >> 3).saturating_sub(1) & 3;
    let rate = (first & 7) << 1 | second >> 7;
    let channels = second >> 3 & 0xf;
    let length = (packet.len() + 7).min(0x1fff);
    let mut data = Vec::with_capacity(length);
    data.extend_from_slice(&[
        0xff,
        0xf1,
        profile << 6 | rate << 2 | channels >> 2 & 1,
        (channels & 3) << 6 | (length >> 11) as u8,
        (length >> 3) as u8,
        (length as u8 & 7) << 5 | 0x1f,
        0xfc,
    ]);
    data.extend_from_slice(packet);
    data
}

fn pat() -> Vec<u8> {
    let [high, low] = (0xe000 | PMT_PID).to_be_bytes();
    vec![0, 1, high, low]
}

fn pid(stream: usize) -> u16 {
    FIRST_PID + u16::try_from(stream).unwrap_or(0)
}

fn pmt(parts: &[Part], clock: usize) -> Vec<u8> {
    let mut body = (0xe000 | pid(clock)).to_be_bytes().to_vec();
    body.extend_from_slice(&[0xf0, 0]);
    for (stream, part) in parts.iter().enumerate() {
        let (kind, mut descriptors): (u8, Vec<u8>) = match part.config.codec {
            Codec::H265 { .. } => (0x24, b"\x05\x04HEVC".to_vec()),
            Codec::Aac { .. } => (0x0f, Vec::new()),
            Codec::Mp3 => (0x03, Vec::new()),
            Codec::Ac3 => (0x81, b"\x05\x04AC-3".to_vec()),
            Codec::Eac3 => (0x87, b"\x05\x04EAC3".to_vec()),
            _ => (0x1b, Vec::new()),
        };
        if part.config.language.len() == 3 {
            descriptors.extend_from_slice(&[0x0a, 4]);
            descriptors.extend_from_slice(part.config.language.as_bytes());
            descriptors.push(0);
        }
        body.push(kind);
        body.extend_from_slice(&(0xe000 | pid(stream)).to_be_bytes());
        body.extend_from_slice(&(0xf000 | descriptors.len() as u16).to_be_bytes());
        body.extend_from_slice(&descriptors);
    }
    body
}

/// A section of a table with its checksum.
fn section(table: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 9;
    let mut bytes = vec![0, table, 0xb0 | (length >> 8) as u8, length as u8];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&[0xc1, 0, 0]);
    bytes.extend_from_slice(body);
    let sum = crc(bytes.get(1..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

/// CRC-32 of MPEG-2: polynomial 0x04c11db7, not reflected.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            if sum & 0x8000_0000 == 0 { sum << 1 } else { sum << 1 ^ 0x04c1_1db7 }
        })
    })
}

struct Writer {
    bytes: Vec<u8>,
    counters: Vec<u8>,
    /// The stream that carries the clock references.
    clock: usize,
}

impl Writer {
    fn table(&mut self, pid: u16, index: i64, section: &[u8]) {
        let start = self.bytes.len();
        self.head(pid, true, false, (index & 0xf) as u8);
        self.bytes.extend_from_slice(section);
        self.bytes.resize(start + PACKET, 0xff);
    }

    fn head(&mut self, pid: u16, starts: bool, adapts: bool, counter: u8) {
        let [high, low] = pid.to_be_bytes();
        let flags = if adapts { 0x30 } else { 0x10 };
        self.bytes
            .extend_from_slice(&[0x47, u8::from(starts) << 6 | high, low, flags | counter]);
    }

    fn unit(&mut self, unit: &Unit, parts: &[Part]) {
        let is_video = parts.get(unit.stream).is_some_and(|part| part.config.is_video);
        let carries_clock = unit.stream == self.clock;
        let private = parts
            .get(unit.stream)
            .is_some_and(|part| matches!(part.config.codec, Codec::Ac3 | Codec::Eac3));
        let payload = packetized(unit, is_video, private);
        let mut rest = payload.as_slice();
        let mut is_first = true;
        while !rest.is_empty() {
            let Some(counter) = self.counters.get_mut(unit.stream) else {
                return;
            };
            let number = *counter;
            let begins_stream = is_first && self.counter_is_new(unit.stream);
            if let Some(counter) = self.counters.get_mut(unit.stream) {
                *counter = number & 0x80 | (number + 1) & 0xf | 0x80;
            }
            let field = match (is_first, carries_clock) {
                (true, true) => clock_field(unit, begins_stream),
                (true, false) if begins_stream => vec![0x80],
                _ => Vec::new(),
            };
            rest = self.packet(pid(unit.stream), is_first, number & 0xf, field, rest);
            is_first = false;
        }
    }

    /// Whether no packet of the stream was written yet in this segment.
    fn counter_is_new(&self, stream: usize) -> bool {
        self.counters.get(stream).is_some_and(|counter| counter & 0x80 == 0)
    }

    /// Writes one packet; gives what of the payload is left.
    fn packet<'a>(&mut self, pid: u16, starts: bool, counter: u8, mut field: Vec<u8>, payload: &'a [u8]) -> &'a [u8] {
        let mut adapts = !field.is_empty();
        let room = PACKET - 4 - if adapts { 1 + field.len() } else { 0 };
        let taken = payload.len().min(room);
        let mut stuffing = room - taken;
        let empty_field = !adapts && stuffing == 1;
        if !adapts && stuffing > 0 {
            adapts = true;
            stuffing -= 1;
            if stuffing > 0 {
                field.push(0);
                stuffing -= 1;
            }
        }
        self.head(pid, starts, adapts, counter);
        if adapts {
            let length = if empty_field { 0 } else { field.len() + stuffing };
            self.bytes.push(length as u8);
            self.bytes.extend_from_slice(&field);
            self.bytes.resize(self.bytes.len() + stuffing, 0xff);
        }
        let (now, rest) = payload.split_at_checked(taken).unwrap_or((payload, &[]));
        self.bytes.extend_from_slice(now);
        rest
    }
}

/// Flags and the clock reference.
fn clock_field(unit: &Unit, begins_stream: bool) -> Vec<u8> {
    let base = (unit.dts - PCR_LEAD_90K) & STAMP_MASK;
    let mut field = vec![0x10 | u8::from(unit.key) << 6 | u8::from(begins_stream) << 7];
    field.extend_from_slice(&((base >> 1) as u32).to_be_bytes());
    field.extend_from_slice(&[((base & 1) as u8) << 7 | 0x7e, 0]);
    field
}

/// The unit behind the header of the elementary stream.
fn packetized(unit: &Unit, is_video: bool, private: bool) -> Vec<u8> {
    let both = unit.dts != unit.pts;
    let stamps = if both { 10 } else { 5 };
    let length = if is_video { 0 } else { (unit.data.len() + 3 + stamps).min(0xffff) };
    let kind = match (is_video, private) {
        (true, _) => 0xe0,
        (_, true) => 0xbd,
        _ => 0xc0,
    };
    let mut bytes = vec![
        0,
        0,
        1,
        kind,
        (length >> 8) as u8,
        length as u8,
        0x84,
        if both { 0xc0 } else { 0x80 },
        stamps as u8,
    ];
    bytes.extend_from_slice(&stamp(if both { 3 } else { 2 }, unit.pts));
    if both {
        bytes.extend_from_slice(&stamp(1, unit.dts));
    }
    bytes.extend_from_slice(&unit.data);
    bytes
}

fn stamp(mark: u8, time: i64) -> [u8; 5] {
    let time = time & STAMP_MASK;
    [
        mark << 4 | ((time >> 29) as u8 & 0xe) | 1,
        (time >> 22) as u8,
        (time >> 14) as u8 | 1,
        (time >> 7) as u8,
        ((time << 1) as u8) | 1,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_mpeg() {
        assert_eq!(crc(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn every_packet_is_of_one_size_whatever_is_left() {
        for length in 1..400 {
            let mut writer = Writer {
                bytes: Vec::new(),
                counters: vec![0],
                clock: 0,
            };
            let unit = Unit {
                stream: 0,
                pts: 900_000,
                dts: 900_000,
                key: true,
                data: vec![7; length],
            };
            writer.unit(&unit, &[]);
            assert_eq!(writer.bytes.len() % PACKET, 0, "{length}");
            assert!(writer.bytes.chunks(PACKET).all(|packet| packet[0] == 0x47));
        }
    }
}
