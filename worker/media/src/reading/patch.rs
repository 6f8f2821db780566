//! Bytes that demuxers read otherwise than they stand in the file: what a demuxer does not know under one name it knows under another.

use std::{fs::File, os::unix::fs::FileExt, path::Path, sync::Arc};

use gst::prelude::*;

use crate::parse::transport::{self, PACKET, Packets};

/// What is read otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patches {
    /// Positions in the file, and the bytes that stand there.
    pub bytes: Vec<(u64, Vec<u8>)>,
    /// Of a transport stream.
    pub tables: Vec<Table>,
}

/// A programme's table, which comes again and again; it fits one packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub pid: u16,
    pub stands: Vec<u8>,
    pub reads: Vec<u8>,
}

impl Patches {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.tables.is_empty()
    }

    /// Changes what a source reads.
    pub fn apply_to(&self, source: &gst::Element, path: &Path) {
        let Some(pad) = source.static_pad("src").filter(|_| !self.is_empty()) else {
            return;
        };
        let patched = Patched {
            patches: self.clone(),
            file: File::open(path).ok(),
        };
        let patched = Arc::new(patched);
        // In pull mode the probe sees what is pulled.
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let pulled = info.mask.contains(gst::PadProbeType::PULL);
            let asked = info.offset;
            if let Some(buffer) = info.buffer_mut() {
                let offset = if pulled { asked } else { buffer.offset() };
                if let Ok(mut bytes) = buffer.make_mut().map_writable() {
                    patched.change(offset, &mut bytes);
                }
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// Patches of an open file.
struct Patched {
    patches: Patches,
    /// For packets of which a piece alone was read.
    file: Option<File>,
}

impl Patched {
    fn change(&self, offset: u64, bytes: &mut [u8]) {
        for (at, patch) in &self.patches.bytes {
            overlay(offset, bytes, *at, patch);
        }
        if !self.patches.tables.is_empty() {
            self.change_tables(offset, bytes);
        }
    }

    fn change_tables(&self, offset: u64, bytes: &mut [u8]) {
        let (mut found, mut first, mut end) = (Vec::new(), None, 0);
        let mut stride = Packets::default();
        stride.read(bytes, |at, packet| {
            first.get_or_insert(at);
            end = at + PACKET;
            found.extend(self.changed(packet).map(|packet| (at as u64, packet)));
        });
        // Packets that the reader cut, in front and behind.
        let step = stride.stride().unwrap_or(PACKET);
        let front = first
            .filter(|first| *first > 0)
            .and_then(|first| (offset + first as u64).checked_sub(step as u64));
        let behind = Some(offset + (end + step - PACKET) as u64).filter(|at| first.is_some() && *at < offset + bytes.len() as u64);
        for at in front.into_iter().chain(behind) {
            let mut packet = [0; PACKET];
            let whole = self.file.as_ref().is_some_and(|file| file.read_exact_at(&mut packet, at).is_ok());
            if let Some(changed) = self.changed(&packet).filter(|_| whole) {
                overlay(offset, bytes, at, &changed);
            }
        }
        for (at, packet) in found {
            overlay(0, bytes, at, &packet);
        }
    }

    /// A packet with another table; nothing where there is none to change.
    fn changed(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let pid = transport::pid(packet)?;
        let mut tables = self.patches.tables.iter().filter(|table| table.pid == pid);
        let at = tables
            .clone()
            .next()
            .and_then(|_| transport::payload_at(packet))
            .filter(|_| transport::starts_unit(packet))?;
        let start = at + 1 + usize::from(*packet.get(at)?);
        let table = tables.find(|table| packet.get(start..).is_some_and(|section| section.starts_with(&table.stands)))?;
        let mut changed = packet.to_vec();
        changed.get_mut(start..start + table.reads.len())?.copy_from_slice(&table.reads);
        Some(changed)
    }
}

/// Writes a patch over what lies at its place.
fn overlay(offset: u64, bytes: &mut [u8], at: u64, patch: &[u8]) {
    let end = offset + bytes.len() as u64;
    let (from, to) = (at.max(offset), (at + patch.len() as u64).min(end));
    let place = |position: u64, start: u64| usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX);
    if from >= to {
        return;
    }
    let source = patch.get(place(from, at)..place(to, at));
    if let (Some(target), Some(source)) = (bytes.get_mut(place(from, offset)..place(to, offset)), source) {
        target.copy_from_slice(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_written_where_the_pieces_meet_it() {
        let mut whole = *b"0123456789";
        let (front, behind) = whole.split_at_mut(5);
        for (offset, piece) in [(100, front), (105, behind)] {
            overlay(offset, piece, 103, b"abcd");
            overlay(offset, piece, 90, b"xxxx");
            overlay(offset, piece, 110, b"yyyy");
        }
        assert_eq!(&whole, b"012abcd789");
    }

    #[test]
    fn tables_are_changed_wherever_a_packet_is_cut() {
        let mut packets: Vec<u8> = Vec::new();
        for number in 0..20u8 {
            let pid = if number % 4 == 1 { 0x100u16 } else { 0x200 };
            let start = packets.len();
            packets.extend([0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0]);
            packets.extend(b"table");
            packets.resize(start + PACKET, 0xff);
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &packets).unwrap();
        let table = Table {
            pid: 0x100,
            stands: b"table".to_vec(),
            reads: b"other".to_vec(),
        };
        let patched = Patched {
            patches: Patches {
                tables: vec![table],
                ..Patches::default()
            },
            file: File::open(file.path()).ok(),
        };
        for piece in [PACKET * 3, 500, 777, 5000] {
            let mut read = packets.clone();
            for (number, bytes) in read.chunks_mut(piece).enumerate() {
                patched.change((number * piece) as u64, bytes);
            }
            let others = read.windows(5).filter(|window| window == b"other").count();
            let tables = read.windows(5).filter(|window| window == b"table").count();
            assert_eq!((others, tables), (5, 15), "{piece}");
        }
    }
}
