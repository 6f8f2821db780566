//! Duration of a transport stream by its clock: the sum of the steps that are small, so that joined recordings count right.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

const PACKET: usize = 188;
const SYNC: u8 = 0x47;
const CLOCK_HZ: f64 = 90_000.0;
const CLOCK_WRAP: u64 = 1 << 33;
/// A step of the clock above this is a joint.
const LARGEST_STEP: u64 = 10 * 90_000;
const CHUNK_BYTES: usize = 1 << 20;

/// Reads the whole file, as long as the deadline allows; `None` when there is no clock, or no time.
pub fn duration(path: &Path, deadline: Instant) -> io::Result<Option<Duration>> {
    let mut file = File::open(path)?;
    let mut clock = Clock::default();
    let mut buffer = Vec::with_capacity(CHUNK_BYTES + PACKET);
    loop {
        if Instant::now() > deadline {
            return Ok(None);
        }
        let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
        let used = scan(&buffer, &mut clock);
        buffer.drain(..used);
        if read == 0 {
            return Ok(clock.total());
        }
    }
}

#[derive(Default)]
struct Clock {
    /// Of the first program that carries one.
    pid: Option<u16>,
    last: u64,
    ticks: u64,
}

impl Clock {
    fn tick(&mut self, pid: u16, now: u64) {
        if *self.pid.get_or_insert(pid) != pid {
            return;
        }
        let step = (now + CLOCK_WRAP - self.last) % CLOCK_WRAP;
        if self.last > 0 && step <= LARGEST_STEP {
            self.ticks += step;
        }
        self.last = now;
    }

    fn total(&self) -> Option<Duration> {
        (self.ticks > 0).then(|| Duration::from_secs_f64(self.ticks as f64 / CLOCK_HZ))
    }
}

/// Feeds all whole packets to the clock; bytes that were used up.
fn scan(buffer: &[u8], clock: &mut Clock) -> usize {
    let mut at = 0;
    while let Some(packet) = buffer.get(at..at + PACKET) {
        if packet.first() != Some(&SYNC) {
            at += 1;
            continue;
        }
        if let Some((pid, now)) = clock_reference(packet) {
            clock.tick(pid, now);
        }
        at += PACKET;
    }
    at.min(buffer.len())
}

fn clock_reference(packet: &[u8]) -> Option<(u16, u64)> {
    let has_adaptation = packet.get(3)? & 0x20 != 0;
    let long_enough = *packet.get(4)? >= 7;
    if !has_adaptation || !long_enough || packet.get(5)? & 0x10 == 0 {
        return None;
    }
    let pid = u16::from(packet.get(1)? & 0x1f) << 8 | u16::from(*packet.get(2)?);
    let base = packet.get(6..11)?.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)) >> 7;
    Some((pid, base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(base: u64) -> Vec<u8> {
        let mut bytes = vec![SYNC, 1, 0, 0x20, 7, 0x10];
        bytes.extend_from_slice(&(base << 7).to_be_bytes()[3..8]);
        bytes.resize(PACKET, 0xff);
        bytes
    }

    #[test]
    fn a_jump_of_the_clock_does_not_count_and_a_wrap_does() {
        let mut clock = Clock::default();
        let stream: Vec<u8> = [1, 90_001, 450_000_000, 450_090_000, CLOCK_WRAP - 45_000, 45_000]
            .iter()
            .flat_map(|base| packet(*base))
            .collect();
        scan(&stream, &mut clock);
        assert_eq!(clock.total().unwrap().as_millis(), 3000);
    }

    #[test]
    fn lost_sync_is_found_again() {
        let mut clock = Clock::default();
        let mut stream = packet(90_000);
        stream.extend_from_slice(&[1, 2, 3]);
        stream.extend(packet(180_000));
        scan(&stream, &mut clock);
        assert_eq!(clock.total().unwrap().as_secs(), 1);
    }
}
