//! Tables of a transport stream: which streams it has. Read from sections, and written for the joined file. No I/O.

use super::packet::{Packet, SIZE, SYNC};

/// Longest section, with its head.
const LONGEST: usize = 1024;

/// A stream as the table of its programme names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub stream_type: u8,
    pub pid: u16,
    pub descriptors: Vec<u8>,
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Video,
    Audio,
    /// Encrypted sample by sample.
    Protected,
    /// Timed metadata, cue points, subtitles.
    Other,
}

impl Entry {
    pub fn kind(&self) -> Kind {
        match self.stream_type {
            0x01 | 0x02 | 0x10 | 0x1b | 0x21 | 0x24 | 0x33 | 0xd1 | 0xea => Kind::Video,
            0x03 | 0x04 | 0x0f | 0x11 | 0x1c | 0x80..=0x85 | 0x87 => Kind::Audio,
            0xc1 | 0xc2 | 0xcf | 0xdb => Kind::Protected,
            0x06 => self.private_kind(),
            _ => Kind::Other,
        }
    }

    /// Private data, as its descriptors tell it.
    fn private_kind(&self) -> Kind {
        let mut kinds = descriptors(&self.descriptors).map(|(tag, body)| match (tag, body.get(..4)) {
            (0x6a | 0x7a | 0x7b | 0x7c, _) | (5, Some(b"AC-3" | b"EAC3" | b"Opus" | b"BSSD" | b"DTS1" | b"DTS2" | b"DTS3")) => Kind::Audio,
            (5, Some(b"AV01" | b"HEVC" | b"VC-1" | b"drac")) => Kind::Video,
            _ => Kind::Other,
        });
        kinds.find(|kind| *kind != Kind::Other).unwrap_or(Kind::Other)
    }

    /// The same with another language.
    pub fn spoken(mut self, language: &str) -> Self {
        const LANGUAGE: u8 = 0x0a;
        if let [a, b, c] = language.as_bytes() {
            let others = descriptors(&self.descriptors).filter(|(tag, _)| *tag != LANGUAGE);
            let mut bytes: Vec<u8> = others
                .flat_map(|(tag, body)| [tag, body.len() as u8].into_iter().chain(body.iter().copied()))
                .collect();
            bytes.extend_from_slice(&[LANGUAGE, 4, *a, *b, *c, 0]);
            self.descriptors = bytes;
        }
        self
    }
}

/// Of a programme's descriptors those that give types of streams their meaning; others speak of streams that are left out.
pub fn registrations(bytes: &[u8]) -> Vec<u8> {
    let kept = descriptors(bytes).filter(|(tag, _)| *tag == 5);
    kept.flat_map(|(tag, body)| [tag, body.len() as u8].into_iter().chain(body.iter().copied()))
        .collect()
}

/// Tags and bodies; ends at the first that does not fit.
fn descriptors(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, length) = (*bytes.first()?, usize::from(*bytes.get(1)?));
        let body = bytes.get(2..2 + length)?;
        bytes = bytes.get(2 + length..)?;
        Some((tag, body))
    })
}

/// The table of a programme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// Descriptors of the whole programme.
    pub descriptors: Vec<u8>,
    pub entries: Vec<Entry>,
}

/// Gathers sections from the packets of one PID.
#[derive(Debug, Default)]
pub struct Sections {
    buffer: Vec<u8>,
}

impl Sections {
    /// Takes a packet; gives a section that is whole and whose checksum is right.
    pub fn push(&mut self, packet: &Packet) -> Option<Vec<u8>> {
        let mut payload = packet.payload();
        if packet.starts_unit() {
            let pointer = usize::from(*payload.first()?);
            payload = payload.get(1 + pointer..)?;
            self.buffer.clear();
        } else if self.buffer.is_empty() {
            return None;
        }
        self.buffer.extend_from_slice(payload);
        let length = 3 + (usize::from(*self.buffer.get(1)? & 0xf) << 8 | usize::from(*self.buffer.get(2)?));
        if length > LONGEST {
            self.buffer.clear();
            return None;
        }
        let section = self.buffer.get(..length)?.to_vec();
        self.buffer.clear();
        (checksum(&section) == 0).then_some(section)
    }
}

/// PID of the first programme's table.
pub fn program_pid(section: &[u8]) -> Option<u16> {
    let entries = body(section, 0)?.get(5..)?;
    entries.chunks_exact(4).find_map(|entry| match entry {
        [0, 0, ..] => None,
        &[_, _, high, low] => Some(u16::from(high & 0x1f) << 8 | u16::from(low)),
        _ => None,
    })
}

/// The streams of a programme.
pub fn program(section: &[u8]) -> Option<Program> {
    let body = body(section, 2)?;
    let length = twelve_bits(body, 7)?;
    let descriptors = body.get(9..9 + length)?.to_vec();
    let mut rest = body.get(9 + length..)?;
    let mut entries = Vec::new();
    while let Some(head) = rest.get(..5) {
        let length = twelve_bits(rest, 3)?;
        entries.push(Entry {
            stream_type: *head.first()?,
            pid: u16::from(head.get(1)? & 0x1f) << 8 | u16::from(*head.get(2)?),
            descriptors: rest.get(5..5 + length)?.to_vec(),
        });
        rest = rest.get(5 + length..)?;
    }
    Some(Program { descriptors, entries })
}

/// A section without its first three bytes and its checksum.
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    let is_wanted = *section.first()? == table;
    section.get(3..section.len().checked_sub(4)?).filter(|_| is_wanted)
}

fn twelve_bits(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(bytes.get(at)? & 0xf) << 8 | usize::from(*bytes.get(at + 1)?))
}

/// Packets of the two tables, whose counters are left to fill in: one programme, whose clock has a PID of its own. `None` where the table would be
/// longer than a table may be.
pub fn write(program: &Program, table_pid: u16, clock_pid: u16) -> Option<Vec<Packet>> {
    let mut list = vec![0, 1];
    list.extend_from_slice(&(0xe000 | table_pid).to_be_bytes());
    let mut streams = (0xe000 | clock_pid).to_be_bytes().to_vec();
    streams.extend_from_slice(&(0xf000 | program.descriptors.len() as u16).to_be_bytes());
    streams.extend_from_slice(&program.descriptors);
    for entry in &program.entries {
        streams.push(entry.stream_type);
        streams.extend_from_slice(&(0xe000 | entry.pid).to_be_bytes());
        streams.extend_from_slice(&(0xf000 | entry.descriptors.len() as u16).to_be_bytes());
        streams.extend_from_slice(&entry.descriptors);
    }
    let section = section(2, &streams);
    (section.len() <= LONGEST).then(|| {
        let mut packets = table_packets(0, &self::section(0, &list));
        packets.extend(table_packets(table_pid, &section));
        packets
    })
}

fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 9;
    let mut bytes = vec![table, 0xb0 | (length >> 8) as u8, length as u8, 0, 1, 0xc1, 0, 0];
    bytes.extend_from_slice(body);
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

fn table_packets(pid: u16, section: &[u8]) -> Vec<Packet> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(section);
    let packet = |(number, part): (usize, &[u8])| {
        let mut bytes = [0xff; SIZE];
        let start = if number == 0 { 0x40 } else { 0 };
        let head = [SYNC, start | (pid >> 8) as u8 & 0x1f, pid as u8, 0x10];
        for (byte, value) in bytes.iter_mut().zip(head.iter().chain(part)) {
            *byte = *value;
        }
        Packet(bytes)
    };
    bytes.chunks(SIZE - 4).enumerate().map(packet).collect()
}

/// CRC-32 of MPEG-2: polynomial 0x04c11db7, not reflected; zero over a section with its own checksum.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            if sum & 0x8000_0000 == 0 { sum << 1 } else { sum << 1 ^ 0x04c1_1db7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_written_can_be_read() {
        let entry = |stream_type, pid| Entry {
            stream_type,
            pid,
            descriptors: b"\x05\x04HEVC".to_vec(),
        };
        let program = Program {
            descriptors: Vec::new(),
            entries: vec![entry(0x24, 0x100), entry(0x0f, 0x101).spoken("deu")],
        };
        let packets = write(&program, 0x20, 0x1fe).unwrap();
        let list = Sections::default().push(&packets[0]).unwrap();
        assert_eq!(program_pid(&list), Some(0x20));
        let table = Sections::default().push(&packets[1]).unwrap();
        assert_eq!(self::program(&table), Some(program));
        let mut broken = packets[1];
        broken.0[20] ^= 1;
        assert!(Sections::default().push(&broken).is_none());
    }

    #[test]
    fn table_of_many_languages_takes_more_packets() {
        let entry = |pid| Entry {
            stream_type: 0x0f,
            pid,
            descriptors: Vec::new(),
        };
        let program = Program {
            descriptors: Vec::new(),
            entries: (0x100..0x120).map(|pid| entry(pid).spoken("eng")).collect(),
        };
        let packets = write(&program, 0x20, 0x1fe).unwrap();
        let mut sections = Sections::default();
        let tables: Vec<_> = packets[1..].iter().filter_map(|packet| sections.push(packet)).collect();
        assert!(packets.len() > 2 && tables.len() == 1);
        assert_eq!(self::program(&tables[0]), Some(program));
    }

    #[test]
    fn kinds_of_private_streams_are_told_by_descriptors() {
        let entry = |descriptors: &[u8]| Entry {
            stream_type: 6,
            pid: 1,
            descriptors: descriptors.to_vec(),
        };
        assert_eq!(entry(b"\x05\x04Opus").kind(), Kind::Audio);
        assert_eq!(entry(b"\x52\x01\x01\x6a\x00").kind(), Kind::Audio);
        assert_eq!(entry(b"\x05\x04ID3 ").kind(), Kind::Other);
        assert_eq!(entry(b"\x05\xff").kind(), Kind::Other);
        assert_eq!(registrations(b"\x25\x02ab\x05\x04HDMV\x0e\x01c"), b"\x05\x04HDMV");
    }
}
