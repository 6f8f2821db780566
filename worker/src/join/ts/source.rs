//! One rendition of transport stream segments, read as units on the clock of the joined file.

use std::{collections::HashMap, io, path::Path};

use super::{
    packet::{Packet, Stamps, near, unit_body},
    reader::Reader,
    route::Route,
    tables::{Entry, Program},
    track::{Track, Unwrap},
    wanted::{Tables, another, scrambled, wanted},
};
use crate::join::{JoinError, Take};

/// Most packets of one chunk.
const MOST_PACKETS: usize = 64 * 1024;

/// What is read up to the next unit, ready to be written.
#[derive(Debug)]
pub struct Chunk {
    /// Decoding time of the unit that it begins with, on the clock of the joined file.
    pub time: i64,
    pub packets: Vec<Packet>,
}

/// A rendition.
pub struct Source {
    take: Take,
    reader: Option<Reader>,
    /// The packet that the next chunk begins with.
    held: Option<Packet>,
    /// Units with a time in the open segment.
    units: u64,
    tables: Tables,
    /// Tracks of the joined file that it fills, and their stream types.
    fills: Vec<(usize, u8)>,
    routes: HashMap<u16, Route>,
    time: i64,
    /// A time of the run, which stamps are told near to.
    reference: i64,
    /// By track of the joined file: what is cut off the run's beginning.
    cuts: Vec<Option<i64>>,
}

/// What the first segment of a run holds.
#[derive(Debug, Default)]
pub struct Looked {
    pub program: Program,
    /// When they begin, by entry of the programme.
    pub starts: Vec<Option<i64>>,
}

impl Source {
    pub fn new(take: Take) -> Self {
        Self {
            take,
            reader: None,
            held: None,
            units: 0,
            tables: Tables::default(),
            fills: Vec::new(),
            routes: HashMap::new(),
            time: 0,
            reference: 0,
            cuts: Vec::new(),
        }
    }

    /// Looks through a segment for its streams and when they begin; the first stamp ever seen becomes the reference of the run.
    pub fn look(&mut self, path: &Path, prefix: &[Packet], reference: &mut Option<i64>) -> Result<Looked, JoinError> {
        let mut tables = Tables::default();
        let mut reader = Reader::open(path)?;
        let mut looked = Looked::default();
        let mut clocks: HashMap<u16, (usize, Unwrap)> = HashMap::new();
        let mut prefix = prefix.iter().copied();
        while let Some(packet) = prefix.next().map_or_else(|| reader.next(), |packet| Ok(Some(packet)))? {
            if let Some(program) = tables.take(&packet) {
                if looked.program.entries.is_empty() {
                    looked.program = wanted(program, self.take)?;
                    looked.starts = vec![None; looked.program.entries.len()];
                }
                continue;
            }
            let Some(stamps) = Some(&packet)
                .filter(|packet| packet.starts_unit())
                .and_then(|packet| Stamps::read(packet.payload()))
            else {
                continue;
            };
            let Some(index) = looked.program.entries.iter().position(|entry| entry.pid == packet.pid()) else {
                continue;
            };
            let base = *reference.get_or_insert(stamps.dts);
            let (_, clock) = clocks.entry(packet.pid()).or_insert((index, Unwrap(base)));
            let shown = near(stamps.pts, clock.time(stamps.dts));
            if let Some(start) = looked.starts.get_mut(index) {
                *start = Some(start.map_or(shown, |start| start.min(shown)));
            }
        }
        Ok(looked)
    }

    /// Which tracks of the joined file it fills: by their stream types, in order.
    pub fn fill(&mut self, fills: Vec<(usize, u8)>) {
        self.fills = fills;
    }

    /// A run begins, whose stamps are near to the reference.
    pub fn begin_run(&mut self, reference: i64, tracks: &[Track]) {
        self.routes.clear();
        self.tables = Tables::default();
        self.reference = reference;
        self.cuts = tracks.iter().map(Track::cut_before).collect();
    }

    /// Tracks of a program, by entry. A stream that the first run did not have cannot be taken.
    pub fn tracks_of(&self, program: &Program) -> Result<Vec<usize>, JoinError> {
        let mut free = self.fills.clone();
        let mut take = |entry: &Entry| {
            let at = free.iter().position(|(_, stream_type)| *stream_type == entry.stream_type)?;
            Some(free.remove(at).0)
        };
        program
            .entries
            .iter()
            .map(|entry| take(entry).ok_or_else(|| another(entry)))
            .collect()
    }

    /// The next segment.
    pub fn open(&mut self, path: &Path, prefix: &[Packet], tracks: &mut [Track]) -> Result<(), JoinError> {
        self.reader = Some(Reader::open(path)?);
        self.units = 0;
        for (track, _) in &self.fills {
            if let Some(track) = tracks.get_mut(*track) {
                track.next_segment();
            }
        }
        for packet in prefix {
            self.take_table(packet)?;
        }
        Ok(())
    }

    /// How far the clock goes on from the segment before, by the first stamp of a stream that is known.
    pub fn step_to(&self, path: &Path) -> io::Result<Option<i64>> {
        let mut reader = Reader::open(path)?;
        while let Some(packet) = reader.next()? {
            if packet.starts_unit()
                && let Some(route) = self.routes.get(&packet.pid())
                && let Some(stamps) = Stamps::read(packet.payload())
            {
                return Ok(Some(near(stamps.dts, route.clock.0) - route.clock.0));
            }
        }
        Ok(None)
    }

    /// The next chunk of the open segment; `None` at its end.
    pub fn next(&mut self, tracks: &mut [Track], offset: i64) -> Result<Option<Chunk>, JoinError> {
        let mut chunk: Option<Chunk> = None;
        while let Some(packet) = self.next_packet()? {
            if self.take_table(&packet)? {
                continue;
            }
            let Some(route) = self.routes.get_mut(&packet.pid()) else {
                continue;
            };
            if packet.is_scrambled() {
                return Err(scrambled());
            }
            let stamps = Some(&packet)
                .filter(|packet| packet.starts_unit())
                .and_then(|packet| Stamps::read(packet.payload()));
            let is_full = chunk.as_ref().is_some_and(|chunk| chunk.packets.len() >= MOST_PACKETS);
            if is_full || (stamps.is_some() && chunk.is_some()) {
                self.held = Some(packet);
                return Ok(chunk);
            }
            let Some(track) = tracks.get_mut(route.track) else { continue };
            let times = stamps.map(|stamps| {
                let decoded = route.clock.time(stamps.dts);
                (near(stamps.pts, decoded) + offset, decoded + offset)
            });
            let mut ready = if packet.starts_unit() {
                route.finish_cut(track)
            } else {
                Vec::new()
            };
            if let Some((_, decoded)) = times {
                self.units += 1;
                self.time = decoded;
            }
            if !route.cuts(times.map(|(shown, _)| shown), packet.payload()) {
                ready.push(rewritten(packet, times, track));
            }
            let begun = chunk.get_or_insert_with(|| Chunk {
                time: self.time,
                packets: Vec::new(),
            });
            begun.packets.extend(ready);
        }
        // What was next to the end was not asked for again.
        if self.reader.take().is_some() && self.units == 0 && !self.fills.is_empty() {
            return Err(JoinError::damaged(
                "a segment holds no video and no audio of the streams that the playlist began with",
            ));
        }
        Ok(self.finish(chunk, tracks))
    }

    /// The last chunk of a segment, with the units that are still held back.
    fn finish(&mut self, chunk: Option<Chunk>, tracks: &mut [Track]) -> Option<Chunk> {
        let mut held = Vec::new();
        for route in self.routes.values_mut() {
            if let Some(track) = tracks.get_mut(route.track) {
                held.extend(route.finish_cut(track));
            }
        }
        if held.is_empty() {
            return chunk;
        }
        let mut chunk = chunk.unwrap_or(Chunk {
            time: self.time,
            packets: Vec::new(),
        });
        chunk.packets.extend(held);
        Some(chunk)
    }

    fn next_packet(&mut self) -> io::Result<Option<Packet>> {
        match (self.held.take(), &mut self.reader) {
            (Some(packet), _) => Ok(Some(packet)),
            (None, Some(reader)) => reader.next(),
            (None, None) => Ok(None),
        }
    }

    /// Whether the packet is one of the tables, which are written anew.
    fn take_table(&mut self, packet: &Packet) -> Result<bool, JoinError> {
        if !self.tables.is_table(packet) {
            return Ok(false);
        }
        if let Some(program) = self.tables.take(packet) {
            let program = wanted(program, self.take)?;
            let tracks = self.tracks_of(&program)?;
            let mut routes = HashMap::new();
            for (entry, track) in program.entries.iter().zip(tracks) {
                let new = || Route {
                    track,
                    clock: Unwrap(self.reference),
                    cut_before: self.cuts.get(track).copied().flatten(),
                    cut: None,
                };
                routes.insert(
                    entry.pid,
                    self.routes
                        .remove(&entry.pid)
                        .filter(|route| route.track == track)
                        .unwrap_or_else(new),
                );
            }
            self.routes = routes;
        }
        Ok(true)
    }
}

/// A packet as it stands in the joined file, with the times of the unit that begins in it.
fn rewritten(mut packet: Packet, times: Option<(i64, i64)>, track: &mut Track) -> Packet {
    let counter = track.count(packet.counter(), packet.says_discontinuity(), packet.has_payload());
    packet.set_pid(track.pid);
    packet.set_counter(counter);
    packet.clear_clock();
    match times {
        Some((shown, decoded)) => {
            let decoded = track.unit(shown, decoded, unit_body(packet.payload()));
            packet.stamp(shown, decoded);
        }
        None => track.more(packet.payload()),
    }
    packet
}
