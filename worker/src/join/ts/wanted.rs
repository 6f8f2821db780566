//! The programme of a rendition's segments, and what is taken of it. No I/O.

use super::{
    packet::Packet,
    tables::{self, Entry, Kind, Program, Sections},
};
use crate::join::{JoinError, Take};

/// Finds the table of the first programme.
#[derive(Debug, Default)]
pub struct Tables {
    list: Sections,
    table: Sections,
    table_pid: Option<u16>,
}

impl Tables {
    /// Whether a packet belongs to one of the tables that are followed.
    pub fn is_table(&self, packet: &Packet) -> bool {
        packet.pid() == 0 || Some(packet.pid()) == self.table_pid
    }

    /// Takes a packet; gives the programme's table when it is whole.
    pub fn take(&mut self, packet: &Packet) -> Option<Program> {
        if packet.pid() == 0 {
            if let Some(pid) = self.list.push(packet).and_then(|section| tables::program_pid(&section)) {
                self.table_pid = Some(pid);
            }
            return None;
        }
        if Some(packet.pid()) != self.table_pid {
            return None;
        }
        tables::program(&self.table.push(packet)?)
    }
}

/// The programme with the streams that are taken of it.
pub fn wanted(mut program: Program, take: Take) -> Result<Program, JoinError> {
    if program.entries.iter().any(|entry| entry.kind() == Kind::Protected) {
        return Err(scrambled());
    }
    program.entries.retain(|entry| match (take, entry.kind()) {
        (Take::All | Take::Film, Kind::Video) | (Take::All | Take::Sound, Kind::Audio) => true,
        (_, Kind::Video | Kind::Audio | Kind::Protected | Kind::Other) => false,
    });
    if take == Take::Sound {
        program.entries.truncate(1);
    }
    // film first, whose time the others follow; a stable sort
    program.entries.sort_by_key(|entry| entry.kind() != Kind::Video);
    Ok(program)
}

pub fn scrambled() -> JoinError {
    JoinError::unsupported(
        "a segment is encrypted inside (SAMPLE-AES or DRM)",
        "give segments that are not encrypted, or encrypted with METHOD=AES-128",
    )
}

pub fn another(entry: &Entry) -> JoinError {
    JoinError::unsupported(
        format!(
            "a later part of the playlist has a stream of type 0x{:02x} that its first part does not have",
            entry.stream_type
        ),
        "give each part as an input of its own: codecs and the number of streams must stay the same",
    )
}
