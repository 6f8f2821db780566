//! What follows one header of an elementary stream: a picture with start codes, or some packets of sound (ISO/IEC 13818-1, 2.4.3.6).

use std::io;

use super::START_90K;
use crate::{
    parse::nal,
    segments::{Packet, codecs::Codec, fmp4::Part},
};

const STAMP_MASK: i64 = (1 << 33) - 1;
/// Sound packets that share one header: up to these bytes.
const SOUND_BYTES: usize = 2_800;
/// Bytes that packets of AAC get in front of each.
const ADTS_BYTES: usize = 7;
const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Access unit delimiters: any kind of slice may follow.
const H264_DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];
const H265_DELIMITER: [u8; 7] = [0, 0, 0, 1, 0x46, 1, 0x50];

/// Packets of a stream that share a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    pub stream: usize,
    pub pts: i64,
    pub dts: i64,
    pub key: bool,
    /// Which packets of the stream's part.
    first: usize,
    count: usize,
}

/// The units of a part in their order.
pub fn of(stream: usize, part: &Part) -> Vec<Unit> {
    if part.config.is_video {
        pictures(stream, part)
    } else {
        sound(stream, part)
    }
}

fn pictures(stream: usize, part: &Part) -> Vec<Unit> {
    let picture = |(first, packet): (usize, &Packet)| {
        let pts = to_90k(packet.pts, part.config.timescale);
        Unit {
            stream,
            pts,
            dts: to_90k(packet.dts, part.config.timescale).min(pts),
            key: packet.key,
            first,
            count: 1,
        }
    };
    part.packets.iter().enumerate().map(picture).collect()
}

fn sound(stream: usize, part: &Part) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut bytes = 0;
    for (first, packet) in part.packets.iter().enumerate() {
        let size = packet.data.size() + ADTS_BYTES;
        match units.last_mut() {
            Some(unit) if bytes + size <= SOUND_BYTES => {
                unit.count += 1;
                bytes += size;
            }
            _ => {
                let pts = to_90k(packet.pts, part.config.timescale);
                units.push(Unit {
                    stream,
                    pts,
                    dts: pts,
                    key: true,
                    first,
                    count: 1,
                });
                bytes = size;
            }
        }
    }
    units
}

fn to_90k(ticks: i64, timescale: u32) -> i64 {
    let scale = i128::from(timescale.max(1));
    let scaled = (i128::from(ticks) * 90_000 * 2 + scale).div_euclid(scale * 2);
    i64::try_from(scaled).unwrap_or(0) + START_90K
}

/// The unit's bytes behind its header.
pub fn packetized(unit: &Unit, part: &Part) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    for packet in part.packets.iter().skip(unit.first).take(unit.count) {
        let bytes = packet.data.read()?;
        match &part.config.codec {
            Codec::Aac { record } => data.extend_from_slice(&adts(record, &bytes)),
            codec if codec.syntax().is_some() => data.extend_from_slice(&with_start_codes(codec, packet.key, &bytes)),
            _ => data.extend_from_slice(&bytes),
        }
    }
    let both = unit.dts != unit.pts;
    let stamps = if both { 10 } else { 5 };
    let length = if part.config.is_video {
        0
    } else {
        (data.len() + 3 + stamps).min(0xffff)
    };
    let kind = match part.config.codec {
        _ if part.config.is_video => 0xe0,
        Codec::Ac3 | Codec::Eac3 => 0xbd,
        _ => 0xc0,
    };
    let flags = if both { 0xc0 } else { 0x80 };
    let mut bytes = vec![0, 0, 1, kind, (length >> 8) as u8, length as u8, 0x84, flags, stamps as u8];
    bytes.extend_from_slice(&stamp(if both { 3 } else { 2 }, unit.pts));
    if both {
        bytes.extend_from_slice(&stamp(1, unit.dts));
    }
    bytes.extend_from_slice(&data);
    Ok(bytes)
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

/// The picture with start codes: delimiter, on key frames the parameter sets, then its units.
fn with_start_codes(codec: &Codec, key: bool, packet: &[u8]) -> Vec<u8> {
    let (length_size, delimiter): (usize, &[u8]) = match codec {
        Codec::H264 { length_size, .. } => (*length_size, &H264_DELIMITER),
        Codec::H265 { length_size, .. } => (*length_size, &H265_DELIMITER),
        _ => return packet.to_vec(),
    };
    let mut data = Vec::with_capacity(packet.len() + 64);
    data.extend_from_slice(delimiter);
    let sets = codec.sets().iter().map(Vec::as_slice).filter(|_| key);
    for unit in sets.chain(nal::units(packet, length_size)) {
        data.extend_from_slice(&START_CODE);
        data.extend_from_slice(unit);
    }
    data
}

/// An AAC packet behind a header that says what AudioSpecificConfig does.
fn adts(record: &[u8], packet: &[u8]) -> Vec<u8> {
    let (first, second) = (record.first().copied().unwrap_or(0x11), record.get(1).copied().unwrap_or(0x90));
    let profile = (first >> 3).saturating_sub(1) & 3;
    let rate = (first & 7) << 1 | second >> 7;
    let channels = second >> 3 & 0xf;
    let length = (packet.len() + ADTS_BYTES).min(0x1fff);
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
