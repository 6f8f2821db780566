//! What a transport stream says of itself: its programmes, and its length by the clock: the sum of the steps that are small, so that joined
//! recordings count right.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use super::programs;
use crate::{
    parse::{
        psi::{Program, Tables},
        transport::{self, Packets},
    },
    parts::{HEAD_BYTES, TAIL_BYTES},
};

const CLOCK_HZ: f64 = 90_000.0;
const CLOCK_WRAP: u64 = 1 << 33;
/// A step of the clock above this is a joint.
const LARGEST_STEP: u64 = 10 * 90_000;
const CHUNK_BYTES: u64 = 256 << 10;
/// Files up to this are read whole.
const READ_WHOLE_BYTES: u64 = 32 << 20;
/// Programmes that have not shown their tables until here have none.
const TABLES_WITHIN_BYTES: u64 = 16 << 20;
/// Of larger files so many places are looked at, each until the clock shows: ten times a second at least.
const PLACES: u64 = 64;
const CLOCK_WITHIN_BYTES: u64 = 4 << 20;
/// Where the clock runs this much faster or slower than in most parts, the part is read whole.
const USUAL_PACE: f64 = 4.0;

/// What a transport stream says.
#[derive(Debug, Default)]
pub struct Transport {
    pub programs: Vec<Program>,
    /// What passed by the clock of the programme that is read; `None` when there is none, or it was not read in time.
    pub duration: Option<Duration>,
}

/// Reads a file of which head and tail are there: what passed between them is told by the clock, or guessed where it has jumped.
pub fn read_ends(path: &Path, deadline: Instant) -> io::Result<Transport> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let (head, tail) = (HEAD_BYTES.min(size), size.saturating_sub(TAIL_BYTES));
    if tail <= head {
        return read(path, deadline);
    }
    let mut scan = Scan { file: &mut file, deadline };
    let programs = scan.programs(head)?;
    let clock_pid = programs::chosen(&programs).map(|program| program.clock_pid);
    let first = scan.clock(0..head, clock_pid)?;
    let last = scan.clock(tail..size, first.map(|clock| clock.pid))?;
    let ticks = first.zip(last).map(|(first, last)| {
        let (passed, usual) = (elapsed(first.last, last.first), first.ticks as f64 / head as f64);
        let between = (tail - head) as f64;
        let guessed = if is_usual(passed as f64 / between, usual) {
            passed
        } else {
            (between * usual) as u64
        };
        first.ticks + guessed + last.ticks
    });
    Ok(Transport {
        programs,
        duration: ticks.and_then(passed),
    })
}

/// Reads a file: a small one whole, of a large one as much as tells.
pub fn read(path: &Path, deadline: Instant) -> io::Result<Transport> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut scan = Scan { file: &mut file, deadline };
    let programs = scan.programs(size.min(TABLES_WITHIN_BYTES))?;
    let clock_pid = programs::chosen(&programs).map(|program| program.clock_pid);
    let ticks = if size <= READ_WHOLE_BYTES {
        scan.clock(0..size, clock_pid)?.map(|clock| clock.ticks)
    } else {
        scan.sampled(size, clock_pid)?
    };
    Ok(Transport {
        programs,
        duration: ticks.and_then(passed),
    })
}

fn passed(ticks: u64) -> Option<Duration> {
    (ticks > 0).then(|| Duration::from_secs_f64(ticks as f64 / CLOCK_HZ))
}

/// Reads parts of a file.
struct Scan<'a> {
    file: &'a mut File,
    deadline: Instant,
}

impl Scan<'_> {
    fn programs(&mut self, within_bytes: u64) -> io::Result<Vec<Program>> {
        let mut tables = Tables::default();
        self.packets(0..within_bytes, |_, packet| {
            tables.take(packet);
            tables.are_complete()
        })?;
        Ok(tables.programs())
    }

    /// Gives each packet with its position until one is enough; an error when the deadline comes.
    fn packets(&mut self, bytes: Range<u64>, mut is_enough: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(bytes.start))?;
        let mut rest = self.file.take(bytes.end.saturating_sub(bytes.start));
        let (mut packets, mut buffer, mut enough) = (Packets::default(), Vec::new(), false);
        let mut start = bytes.start;
        while !enough {
            if Instant::now() > self.deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let read = rest.by_ref().take(CHUNK_BYTES).read_to_end(&mut buffer)?;
            let used = packets.read(&buffer, |at, packet| enough = enough || is_enough(start + at as u64, packet));
            buffer.drain(..used);
            start += used as u64;
            enough |= read == 0;
        }
        Ok(())
    }

    /// The clock over a part; `None` where it does not show.
    fn clock(&mut self, bytes: Range<u64>, pid: Option<u16>) -> io::Result<Option<Clock>> {
        let mut clock = None;
        self.packets(bytes, |_, packet| {
            tick(&mut clock, pid, packet);
            false
        })?;
        Ok(clock)
    }

    /// The clock at places all over the file; parts in which it jumps, or runs at an unusual pace, are read whole.
    fn sampled(&mut self, size: u64, pid: Option<u16>) -> io::Result<Option<u64>> {
        let mut places = Vec::new();
        for number in 0..PLACES {
            let start = number * (size / PLACES);
            let mut clock = None;
            self.packets(start..start + CLOCK_WITHIN_BYTES, |_, packet| {
                tick(&mut clock, pid, packet);
                clock.is_some()
            })?;
            places.extend(clock.map(|clock: Clock| (start, clock)));
        }
        let Some((last, first)) = places.last().copied().zip(places.first().copied()) else {
            return Ok(None);
        };
        let pid = Some(first.1.pid);
        let mut ticks = self.clock(last.0..size, pid)?.map_or(0, |clock| clock.ticks);
        let usual = usual_pace(&places);
        for (from, to) in places.iter().zip(places.iter().skip(1)) {
            let passed = elapsed(from.1.first, to.1.first);
            ticks += if is_usual(passed as f64 / (to.0 - from.0) as f64, usual) {
                passed
            } else {
                self.between(from.0, to.0, pid)?
            };
        }
        Ok(Some(ticks))
    }

    /// Ticks of a part up to the first clock behind a place.
    fn between(&mut self, from: u64, to: u64, pid: Option<u16>) -> io::Result<u64> {
        let (mut clock, mut ticks) = (None, 0);
        self.packets(from..to + CLOCK_WITHIN_BYTES, |at, packet| {
            tick(&mut clock, pid, packet);
            let before = std::mem::replace(&mut ticks, clock.map_or(0, |clock: Clock| clock.ticks));
            at >= to && before != ticks
        })?;
        Ok(ticks)
    }
}

/// Ticks for each byte, in the middle of all parts.
fn usual_pace(places: &[(u64, Clock)]) -> f64 {
    let pairs = places.iter().zip(places.iter().skip(1));
    let mut paces: Vec<f64> = pairs
        .map(|(from, to)| elapsed(from.1.first, to.1.first) as f64 / (to.0 - from.0) as f64)
        .collect();
    paces.sort_by(f64::total_cmp);
    paces.get(paces.len() / 2).copied().unwrap_or(0.0)
}

fn is_usual(pace: f64, usual: f64) -> bool {
    (usual / USUAL_PACE..=usual * USUAL_PACE).contains(&pace)
}

fn elapsed(from: u64, to: u64) -> u64 {
    (to + CLOCK_WRAP - from) % CLOCK_WRAP
}

#[derive(Debug, Clone, Copy)]
struct Clock {
    pid: u16,
    first: u64,
    last: u64,
    ticks: u64,
}

/// Reads the clock of a packet; without a wanted stream, of the first that carries one.
fn tick(clock: &mut Option<Clock>, wanted: Option<u16>, packet: &[u8]) {
    let (Some(pid), Some(now)) = (transport::pid(packet), transport::clock_reference(packet)) else {
        return;
    };
    if wanted.or(clock.map(|clock| clock.pid)).is_some_and(|wanted| wanted != pid) {
        return;
    }
    let clock = clock.get_or_insert(Clock {
        pid,
        first: now,
        last: now,
        ticks: 0,
    });
    let step = elapsed(clock.last, now);
    if step <= LARGEST_STEP {
        clock.ticks += step;
    }
    clock.last = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(base: u64) -> Vec<u8> {
        let mut bytes = vec![0x47, 1, 0, 0x20, 7, 0x10];
        bytes.extend_from_slice(&(base << 7).to_be_bytes()[3..8]);
        bytes.resize(transport::PACKET, 0xff);
        bytes
    }

    fn duration(stream: &[u8]) -> Duration {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), stream).unwrap();
        let read = read(file.path(), Instant::now() + Duration::from_secs(20)).unwrap();
        read.duration.unwrap()
    }

    #[test]
    fn a_jump_of_the_clock_does_not_count_and_a_wrap_does() {
        let stream: Vec<u8> = [1, 90_001, 450_000_000, 450_090_000, CLOCK_WRAP - 45_000, 45_000]
            .iter()
            .flat_map(|base| packet(*base))
            .collect();
        assert_eq!(duration(&stream).as_millis(), 3000);
    }

    #[test]
    fn lost_sync_is_found_again() {
        let mut stream = [packet(0), packet(45_000), packet(90_000)].concat();
        stream.extend_from_slice(&[1, 2, 3]);
        stream.extend([packet(180_000), packet(189_000)].concat());
        assert_eq!(duration(&stream).as_millis(), 2100);
    }

    /// A file that is too large to be read whole: one tick of 0.1 s in each ten packets, a jump in the middle.
    #[test]
    fn places_of_a_large_file_tell_as_much_as_the_whole() {
        let filler: Vec<u8> = [0x47, 0x1f, 0xff, 0x10].iter().copied().chain([0xff; 184]).collect();
        let count = READ_WHOLE_BYTES / 188 / 10 + 5000;
        let mut stream = Vec::new();
        for number in 0..count {
            let jump = if number > count / 3 { 500_000_000 } else { 0 };
            stream.extend(packet(number * 9000 + jump));
            (0..9).for_each(|_| stream.extend_from_slice(&filler));
        }
        let expected = (count - 2) as f64 / 10.0;
        assert!((duration(&stream).as_secs_f64() - expected).abs() < 0.01, "{expected}");
    }
}
