//! The tables of a transport stream: one programme and its streams (ISO/IEC 13818-1, 2.4.4).

use crate::{
    parse::crc::crc32,
    segments::{codecs::Codec, fmp4::Part},
};

pub const PAT_PID: u16 = 0;
pub const PMT_PID: u16 = 0x1000;
const FIRST_PID: u16 = 0x100;

/// The section that names the programme.
pub fn programmes() -> Vec<u8> {
    let [high, low] = (0xe000 | PMT_PID).to_be_bytes();
    section(0, 1, &[0, 1, high, low])
}

/// The packet identifier of a stream.
pub fn pid(stream: usize) -> u16 {
    FIRST_PID + u16::try_from(stream).unwrap_or(0)
}

/// The section that names the streams. `clock`: which one carries clock references.
pub fn programme(parts: &[Part], clock: usize) -> Vec<u8> {
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
    section(2, 1, &body)
}

/// A section of a table with its checksum.
fn section(table: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 9;
    let mut bytes = vec![0, table, 0xb0 | (length >> 8) as u8, length as u8];
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&[0xc1, 0, 0]);
    bytes.extend_from_slice(body);
    let sum = crc32(bytes.get(1..).unwrap_or_default());
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}
