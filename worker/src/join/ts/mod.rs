//! Joins transport stream segments into one file with one clock, one programme and counters that go on: film with its sound, and sound from
//! renditions of its own.

mod line;
mod packed;
mod packet;
mod reader;
mod route;
mod source;
mod tables;
mod track;
mod unit;
mod wanted;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use self::{
    line::Line,
    packet::Packet,
    reader::Reader,
    source::{Chunk, Looked},
    tables::{Entry, Program},
    track::Track,
};
use super::{
    Join, JoinError, Rendition, Segment, Take,
    kind::Kind,
    place::{self, Joint},
};

/// Where the first presentation of the file lies, in ticks: pictures are decoded before they are shown.
const ZERO: i64 = 180_000;
/// How far the clock is behind decoding times.
const LEAD: i64 = 45_000;
/// From one clock reference to the next.
const CLOCK_STEP: i64 = 3_600;
/// A step that is not filled with clock references.
const LARGEST_STEP: i64 = 20 * 90_000;
const TABLE_PID: u16 = 0x20;
const FIRST_PID: u16 = 0x100;
const CLOCK_PID: u16 = 0x1ffe;

/// Joins segments of transport streams.
pub struct TsJoin {
    out: BufWriter<File>,
    lines: Vec<Line>,
    program: Program,
    tracks: Vec<Track>,
    offset: i64,
    clock: Option<i64>,
    table_counters: [u8; 2],
}

impl TsJoin {
    pub fn create(path: &Path, renditions: Vec<(Rendition, Kind)>) -> Result<Self, JoinError> {
        Ok(Self {
            out: BufWriter::with_capacity(1 << 20, File::create(path)?),
            lines: renditions.into_iter().map(|(rendition, kind)| Line::new(rendition, kind)).collect(),
            program: Program::default(),
            tracks: Vec::new(),
            offset: 0,
            clock: None,
            table_counters: [0; 2],
        })
    }

    /// Streams of the joined file, by what the first run holds.
    fn make_tracks(&mut self, looked: &[Looked]) -> Result<(), JoinError> {
        for (line, looked) in self.lines.iter_mut().zip(looked) {
            if line.rendition.take == Take::Sound && looked.program.entries.is_empty() {
                return Err(super::without_sound());
            }
            let mut fills = Vec::new();
            for entry in &looked.program.entries {
                let pid = FIRST_PID + self.tracks.len() as u16;
                fills.push((self.tracks.len(), entry.stream_type));
                self.tracks.push(Track::new(pid, entry.stream_type == packed::STREAM_TYPE));
                let entry = Entry { pid, ..entry.clone() };
                self.program.entries.push(match line.rendition.take {
                    Take::Sound => entry.spoken(&line.rendition.language),
                    Take::All | Take::Film => entry,
                });
            }
            line.fill(fills);
        }
        if let Some(film) = looked.first() {
            self.program.descriptors = tables::registrations(&film.program.descriptors);
        }
        match self.tracks.is_empty() {
            true => Err(JoinError::damaged("the segments hold no film and no sound: they name no streams")),
            false => Ok(()),
        }
    }

    /// How each stream goes over the joint to a run.
    fn joints(&self, looked: &[Looked]) -> Result<Vec<Joint>, JoinError> {
        let joint = |track: &Track| Joint {
            ended: track.end(),
            begins: None,
            may_cut: track.may_cut(),
        };
        let mut joints: Vec<Joint> = self.tracks.iter().map(joint).collect();
        for (line, looked) in self.lines.iter().zip(looked) {
            for (track, start) in line.tracks_of(&looked.program)?.into_iter().zip(&looked.starts) {
                if let Some(joint) = joints.get_mut(track) {
                    joint.begins = *start;
                }
            }
        }
        Ok(joints)
    }

    /// Looks through the first segments of the run, places it, and opens them.
    fn enter_run(&mut self) -> Result<(), JoinError> {
        let mut reference = None;
        let mut looked = Vec::new();
        for line in &mut self.lines {
            looked.push(line.look(&mut reference)?);
        }
        if self.tracks.is_empty() {
            self.make_tracks(&looked)?;
        }
        self.offset = place::offset(&self.joints(&looked)?, ZERO);
        self.write_tables()?;
        for line in &mut self.lines {
            line.begin_run(reference.unwrap_or_default(), &mut self.tracks)?;
        }
        Ok(())
    }

    fn write_tables(&mut self) -> Result<(), JoinError> {
        let packets = tables::write(&self.program, TABLE_PID, CLOCK_PID);
        let packets = packets.ok_or_else(|| {
            JoinError::unsupported(
                "the playlist has more streams than one programme can hold",
                "give a playlist with fewer sounds",
            )
        })?;
        for mut packet in packets {
            let counter = &mut self.table_counters[usize::from(packet.pid() != 0)];
            packet.set_counter(*counter);
            *counter = counter.wrapping_add(1);
            self.out.write_all(&packet.0)?;
        }
        Ok(())
    }

    fn write_chunk(&mut self, chunk: &Chunk) -> Result<(), JoinError> {
        self.write_clock(chunk.time - LEAD)?;
        for packet in &chunk.packets {
            self.out.write_all(&packet.0)?;
        }
        Ok(())
    }

    /// Clock references up to a time.
    fn write_clock(&mut self, now: i64) -> Result<(), JoinError> {
        let mut next = match self.clock {
            Some(last) if now - last <= LARGEST_STEP => last + CLOCK_STEP,
            _ => now,
        };
        while next <= now {
            self.out.write_all(&packet::clock(CLOCK_PID, next).0)?;
            self.clock = Some(next);
            next += CLOCK_STEP;
        }
        Ok(())
    }
}

impl Join for TsJoin {
    fn open(&mut self, rendition: usize, segment: &Segment) -> Result<(), JoinError> {
        let prefix = match &segment.init {
            Some(init) => packets_of(init)?,
            None => Vec::new(),
        };
        let alone = self.lines.len() == 1;
        let Some(line) = self.lines.get(rendition) else { return Ok(()) };
        if segment.begins_run {
            if let Some(line) = self.lines.get_mut(rendition) {
                line.first = Some((segment.path.clone(), prefix));
                line.ended = false;
            }
            return match self.lines.iter().all(|line| line.first.is_some()) {
                true => self.enter_run(),
                false => Ok(()),
            };
        }
        let jumps = line.jumps(&segment.path)?;
        if jumps && !alone {
            return Err(super::unmarked());
        }
        if rendition == 0 {
            self.write_tables()?;
        }
        let Some(line) = self.lines.get_mut(rendition) else { return Ok(()) };
        line.first = jumps.then(|| (segment.path.clone(), prefix.clone()));
        match jumps {
            true => self.enter_run(),
            false => line.open(&segment.path, &prefix, &mut self.tracks),
        }
    }

    fn end_run(&mut self, rendition: usize) {
        if let Some(line) = self.lines.get_mut(rendition) {
            line.ended = true;
        }
    }

    fn write(&mut self) -> Result<Option<usize>, JoinError> {
        loop {
            for (number, line) in self.lines.iter_mut().enumerate() {
                if line.head.is_none() && !line.ended {
                    line.head = line.next(&mut self.tracks, self.offset)?;
                    if line.head.is_none() {
                        return Ok(Some(number));
                    }
                }
            }
            let earliest = self
                .lines
                .iter_mut()
                .filter(|line| line.head.is_some())
                .min_by_key(|line| line.time());
            let Some(chunk) = earliest.and_then(|line| line.head.take()) else {
                return Ok(None);
            };
            self.write_chunk(&chunk)?;
        }
    }

    fn finish(&mut self) -> Result<(), JoinError> {
        self.out.flush()?;
        match self.tracks.iter().any(|track| track.end().is_some()) {
            true => Ok(()),
            false => Err(JoinError::damaged("the segments hold no film and no sound")),
        }
    }
}

fn packets_of(init: &Path) -> Result<Vec<Packet>, JoinError> {
    let mut reader = Reader::open(init)?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next()? {
        packets.push(packet);
    }
    Ok(packets)
}
