//! Tables of MPEG transport streams: which programmes there are (PAT), and what streams each has (PMT).

use std::collections::BTreeMap;

use super::{
    numbers::{be16, byte},
    transport::{payload_at, pid, starts_unit},
};

const PAT_PID: u16 = 0;
const PAT: u8 = 0;
const PMT: u8 = 2;
/// Bytes of a section in front of what its table says, and of the check behind it.
const SECTION_HEAD: usize = 8;
const SECTION_CHECK: usize = 4;
const MAX_SECTION: usize = 1024;
/// Programmes that are looked at.
const MAX_PROGRAMS: usize = 256;

/// One programme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    pub number: u16,
    /// Of its table.
    pub pid: u16,
    /// Of the stream that carries its clock.
    pub clock_pid: u16,
    /// Who gives the types of streams their meaning, such as `HDMV`.
    pub registration: Option<[u8; 4]>,
    /// In the order of the table.
    pub streams: Vec<Elementary>,
    /// The table as it stands, with its check.
    pub section: Vec<u8>,
}

/// One stream of a programme.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elementary {
    pub pid: u16,
    pub kind: u8,
    pub registration: Option<[u8; 4]>,
    /// Tags of its descriptors.
    pub tags: Vec<u8>,
    /// Tags of its extension descriptors.
    pub extensions: Vec<u8>,
    /// ISO 639; empty where it is not told.
    pub language: String,
    /// Position of its type in the table.
    pub at: usize,
}

/// Gathers the tables from packets.
#[derive(Debug, Default)]
pub struct Tables {
    /// Numbers and table streams of the programmes, once they are known.
    listed: Option<Vec<(u16, u16)>>,
    programs: BTreeMap<u16, Program>,
    waiting: BTreeMap<u16, Vec<u8>>,
}

impl Tables {
    /// Takes a packet of 188 bytes.
    pub fn take(&mut self, packet: &[u8]) {
        let Some(pid) = pid(packet).filter(|pid| self.is_wanted(*pid)) else {
            return;
        };
        let Some(payload) = payload_at(packet).and_then(|at| packet.get(at..)) else {
            return;
        };
        let mut section = self.waiting.remove(&pid).unwrap_or_default();
        if starts_unit(packet) {
            let pointer = usize::from(payload.first().copied().unwrap_or(0));
            section.extend_from_slice(payload.get(1..1 + pointer).unwrap_or_default());
            self.read(pid, &section);
            section = payload.get(1 + pointer..).unwrap_or_default().to_vec();
        } else if section.is_empty() {
            return;
        } else {
            section.extend_from_slice(payload);
        }
        if !self.read(pid, &section) && section.len() <= MAX_SECTION {
            self.waiting.insert(pid, section);
        }
    }

    /// Whether each listed programme has shown its table.
    pub fn are_complete(&self) -> bool {
        self.listed
            .as_ref()
            .is_some_and(|listed| listed.iter().all(|(number, _)| self.programs.contains_key(number)))
    }

    /// Programmes that have shown their tables, as they are listed.
    pub fn programs(&self) -> Vec<Program> {
        let listed = self.listed.iter().flatten();
        listed.filter_map(|(number, _)| self.programs.get(number).cloned()).collect()
    }

    fn is_wanted(&self, pid: u16) -> bool {
        pid == PAT_PID || self.listed.iter().flatten().any(|(_, table)| *table == pid)
    }

    /// Reads a whole section; false while there is more of it to come.
    fn read(&mut self, pid: u16, section: &[u8]) -> bool {
        let Some(length) = be16(section, 1).map(|length| 3 + usize::from(length & 0x0fff)) else {
            return false;
        };
        let Some(body) = length
            .checked_sub(SECTION_CHECK)
            .filter(|_| length <= section.len())
            .and_then(|end| section.get(SECTION_HEAD..end))
        else {
            return length < SECTION_HEAD + SECTION_CHECK;
        };
        let number = be16(section, 3).unwrap_or(0);
        match section.first() {
            Some(&PAT) if pid == PAT_PID => self.listed = Some(read_list(body)),
            Some(&PMT) => {
                if let Some(mut program) = read_program(number, pid, body) {
                    program.section = section.get(..length).unwrap_or_default().to_vec();
                    // The first table stands: later ones may be of another recording.
                    self.programs.entry(number).or_insert(program);
                }
            }
            _ => {}
        }
        true
    }
}

fn read_list(body: &[u8]) -> Vec<(u16, u16)> {
    let entries = body.chunks_exact(4).take(MAX_PROGRAMS);
    let read = |entry: &[u8]| Some((be16(entry, 0)?, be16(entry, 2)? & 0x1fff));
    // Number 0 names the network's table.
    entries.filter_map(read).filter(|(number, _)| *number > 0).collect()
}

fn read_program(number: u16, pid: u16, body: &[u8]) -> Option<Program> {
    let clock_pid = be16(body, 0)? & 0x1fff;
    let described = usize::from(be16(body, 2)? & 0x0fff);
    let own = Descriptors(body.get(4..4 + described)?);
    let mut program = Program {
        number,
        pid,
        clock_pid,
        registration: own.registration(),
        ..Program::default()
    };
    let mut at = 4 + described;
    while let Some((stream, length)) = body.get(at..).and_then(read_stream) {
        program.streams.push(Elementary {
            at: SECTION_HEAD + at,
            ..stream
        });
        at += length;
    }
    Some(program)
}

/// A stream and the bytes of its entry.
fn read_stream(entry: &[u8]) -> Option<(Elementary, usize)> {
    let described = usize::from(be16(entry, 3)? & 0x0fff);
    let own = Descriptors(entry.get(5..5 + described)?);
    let stream = Elementary {
        kind: byte(entry, 0)?,
        pid: be16(entry, 1)? & 0x1fff,
        registration: own.registration(),
        tags: own.clone().map(|(tag, _)| tag).collect(),
        extensions: own
            .clone()
            .filter_map(|(tag, body)| body.first().copied().filter(|_| tag == EXTENSION))
            .collect(),
        language: own.language().unwrap_or_default(),
        at: 0,
    };
    Some((stream, 5 + described))
}

const REGISTRATION: u8 = 0x05;
const LANGUAGE: u8 = 0x0a;
const EXTENSION: u8 = 0x7f;

/// Tags and bodies of descriptors.
#[derive(Clone)]
struct Descriptors<'a>(&'a [u8]);

impl<'a> Iterator for Descriptors<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, length) = (byte(self.0, 0)?, usize::from(byte(self.0, 1)?));
        let body = self.0.get(2..2 + length)?;
        self.0 = self.0.get(2 + length..).unwrap_or_default();
        Some((tag, body))
    }
}

impl Descriptors<'_> {
    fn registration(&self) -> Option<[u8; 4]> {
        let (_, body) = self.clone().find(|(tag, _)| *tag == REGISTRATION)?;
        body.get(..4)?.try_into().ok()
    }

    fn language(&self) -> Option<String> {
        let (_, body) = self.clone().find(|(tag, _)| *tag == LANGUAGE)?;
        let code = std::str::from_utf8(body.get(..3)?).ok()?;
        code.chars()
            .all(|letter| letter.is_ascii_alphabetic())
            .then(|| code.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(table: u8, number: u16, body: &[u8]) -> Vec<u8> {
        let length = (body.len() + 9) as u16;
        let mut bytes = vec![table, 0xb0 | (length >> 8) as u8, length as u8];
        bytes.extend(number.to_be_bytes());
        bytes.extend([0xc1, 0, 0]);
        bytes.extend_from_slice(body);
        bytes.extend([0; 4]);
        bytes
    }

    fn packets(pid: u16, section: &[u8]) -> Vec<Vec<u8>> {
        let whole = [vec![0], section.to_vec()].concat();
        let pieces = whole.chunks(184).enumerate();
        let packet = |(number, piece): (usize, &[u8])| {
            let start = if number == 0 { 0x40 } else { 0 };
            let mut bytes = vec![0x47, start | (pid >> 8) as u8, pid as u8, 0x10];
            bytes.extend_from_slice(piece);
            bytes.resize(188, 0xff);
            bytes
        };
        pieces.map(packet).collect()
    }

    fn list() -> Vec<u8> {
        section(PAT, 1, &[0, 0, 0xe0, 0x10, 0, 1, 0xe1, 0, 0, 2, 0xe2, 0])
    }

    /// A programme whose table does not fit one packet.
    fn long_table(number: u16) -> Vec<u8> {
        let mut body = vec![0xe1, 0x01, 0xf0, 6, 5, 4];
        body.extend(b"HDMV");
        for stream in 0..40u8 {
            body.extend([0x82, 0xe1, stream, 0xf0, 6, LANGUAGE, 4]);
            body.extend(b"eng\0");
        }
        section(PMT, number, &body)
    }

    #[test]
    fn programmes_and_their_streams_are_read_across_packets() {
        let mut tables = Tables::default();
        let all = [packets(0, &list()), packets(0x100, &long_table(1)), packets(0x200, &long_table(2))].concat();
        for packet in &all {
            assert!(!tables.are_complete());
            tables.take(packet);
        }
        assert!(tables.are_complete());
        let programs = tables.programs();
        assert_eq!((programs[0].number, programs[1].number), (1, 2));
        assert_eq!(programs[0].registration, Some(*b"HDMV"));
        assert_eq!((programs[0].pid, programs[0].clock_pid), (0x100, 0x101));
        let last = &programs[0].streams[39];
        assert_eq!((last.pid, last.kind, last.language.as_str()), (0x127, 0x82, "eng"));
        assert_eq!(
            (programs[0].section.len(), programs[0].section[last.at]),
            (12 + 4 + 6 + 40 * 11, 0x82)
        );
    }

    #[test]
    fn packets_damaged_anywhere_end_in_what_can_be_read() {
        for packet in [packets(0, &list()), packets(0x100, &long_table(1))].concat() {
            for at in 1..packet.len() {
                let mut damaged = packet.clone();
                damaged[at] ^= 0xff;
                let mut tables = Tables::default();
                tables.take(&packets(0, &list())[0]);
                tables.take(&damaged);
                assert!(tables.programs().len() < 3);
            }
        }
    }
}
