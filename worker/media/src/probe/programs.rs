//! Which programme of a transport stream is read, what its demuxer must be told, and which of its streams it does not show.

use mps_proto::{rpc, v1::ErrorReason};

use super::elementary;
use crate::{
    failure,
    parse::{crc::crc32, psi::Program},
    reading::{Patches, Reading, Table},
    walk::{Track, Walk},
};

/// A section that leaves room for a packet's head and pointer.
const FITS_ONE_PACKET: usize = 183;

/// The programme that is read: the first with a film, or the first.
pub fn chosen(programs: &[Program]) -> Option<&Program> {
    programs.iter().find(|program| elementary::has_film(program)).or(programs.first())
}

/// What the demuxer is told.
pub fn reading(programs: &[Program]) -> Reading {
    let chosen = chosen(programs);
    let is_first = chosen == programs.first();
    Reading {
        program: chosen.filter(|_| !is_first).map(|program| program.number),
        patches: Patches {
            tables: chosen.and_then(understood).into_iter().collect(),
            ..Patches::default()
        },
        ..Reading::default()
    }
}

/// The programme's table with numbers that the demuxer knows.
fn understood(program: &Program) -> Option<Table> {
    let disguised = program
        .streams
        .iter()
        .filter(|stream| elementary::is_dts_in_disguise(program, stream));
    let places: Vec<usize> = disguised.map(|stream| stream.at).collect();
    if places.is_empty() || program.section.len() > FITS_ONE_PACKET {
        return None;
    }
    let mut reads = program.section.clone();
    for at in places {
        *reads.get_mut(at)? = elementary::DTS;
    }
    let checked = reads.len().checked_sub(4)?;
    let check = crc32(reads.get(..checked)?);
    reads.get_mut(checked..)?.copy_from_slice(&check.to_be_bytes());
    Some(Table {
        pid: program.pid,
        stands: program.section.clone(),
        reads,
    })
}

/// Puts the pictures and sounds that the demuxer does not show where the programme lists them.
pub fn add_unshown(walk: &mut Walk, programs: &[Program]) {
    let Some(program) = chosen(programs) else { return };
    let mut place = 0;
    for stream in &program.streams {
        let id = format!("{:08x}", stream.pid);
        if let Some(shown) = walk.tracks.iter().position(|track| track.id == id) {
            place = shown + 1;
            continue;
        }
        let Some((kind @ ("video" | "audio"), codec)) = elementary::describe(program, stream) else {
            continue;
        };
        let track = Track {
            id,
            unshown: Some((kind, codec)),
            ..Track::default()
        };
        walk.tracks.insert(place.min(walk.tracks.len()), track);
        place += 1;
    }
}

/// What is said of programmes that are not read.
pub fn warning(programs: &[Program]) -> Option<rpc::Status> {
    let chosen = chosen(programs)?;
    let others: Vec<String> = programs
        .iter()
        .filter(|program| *program != chosen)
        .map(|program| program.number.to_string())
        .collect();
    let text = format!(
        "the input holds {} programmes: number {} was read, and not {}",
        programs.len(),
        chosen.number,
        others.join(", ")
    );
    let hint = "cut the programme out of the stream first, if it is another one that you want".to_owned();
    (!others.is_empty()).then(|| failure::warning(ErrorReason::StreamMissing, text, &[("hint", hint)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::psi::Elementary;

    fn program(number: u16, streams: &[(u8, u16)]) -> Program {
        let stream = |(kind, pid): &(u8, u16)| Elementary {
            kind: *kind,
            pid: *pid,
            ..Elementary::default()
        };
        Program {
            number,
            streams: streams.iter().map(stream).collect(),
            ..Program::default()
        }
    }

    #[test]
    fn a_programme_with_a_film_is_read_and_the_others_are_said() {
        let programs = [program(7, &[(0x0f, 0x20)]), program(9, &[(0x0f, 0x30), (0x1b, 0x31)])];
        assert_eq!(reading(&programs).program, Some(9));
        assert!(warning(&programs).unwrap().message.contains("number 9 was read, and not 7"));
        assert_eq!(reading(&programs[..1]).program, None);
        assert_eq!(warning(&programs[..1]), None);
    }

    #[test]
    fn streams_that_the_demuxer_hides_stand_where_the_table_has_them() {
        let programs = [program(1, &[(0x1b, 0x100), (0x2d, 0x101), (0x0f, 0x102), (0x15, 0x103)])];
        let shown = |pid: u16| Track {
            id: format!("{pid:08x}"),
            ..Track::default()
        };
        let mut walk = Walk {
            tracks: vec![shown(0x100), shown(0x102)],
            ..Walk::default()
        };
        add_unshown(&mut walk, &programs);
        let unshown: Vec<_> = walk.tracks.iter().map(|track| track.unshown.map(|(_, codec)| codec)).collect();
        assert_eq!(unshown, [None, Some("mpegh_3d_audio"), None]);
    }
}
