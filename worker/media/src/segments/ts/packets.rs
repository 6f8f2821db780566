//! Packets of a transport stream, 188 bytes each, and the clock references in them (ISO/IEC 13818-1, 2.4.3).

use std::io::{self, Write};

use super::{tables::pid, units::Unit};

const PACKET: usize = 188;
/// How far clock references run ahead of decoding: 100 ms.
const PCR_LEAD_90K: i64 = 9_000;
/// Clock references come at least so often; 100 ms are allowed.
const PCR_EVERY_90K: i64 = 8_100;
const CLOCK_MASK: i64 = (1 << 33) - 1;

/// Writes packets.
pub struct Writer<'a, W: Write> {
    into: &'a mut W,
    counters: Vec<u8>,
    /// Packet identifier of the stream that carries the clock references.
    clock: u16,
    /// The last clock reference.
    last_clock: Option<i64>,
}

impl<'a, W: Write> Writer<'a, W> {
    pub fn new(into: &'a mut W, streams: usize, clock: u16) -> Self {
        Self {
            into,
            counters: vec![0; streams],
            clock,
            last_clock: None,
        }
    }

    pub fn table(&mut self, pid: u16, index: i64, section: &[u8]) -> io::Result<()> {
        let mut packet = head(pid, true, false, (index & 0xf) as u8).to_vec();
        packet.extend_from_slice(section);
        packet.resize(PACKET, 0xff);
        self.into.write_all(&packet)
    }

    /// Writes clock references alone, where the next unit is decoded long after the last reference.
    pub fn keep_time(&mut self, dts: i64) -> io::Result<()> {
        while let Some(last) = self.last_clock.filter(|last| dts - PCR_LEAD_90K - last > PCR_EVERY_90K) {
            let time = last + PCR_EVERY_90K;
            // A packet without payload repeats the number of the one before.
            let stream = usize::from(self.clock - pid(0));
            let number = self.counters.get(stream).map_or(0, |counter| counter.wrapping_sub(1) & 0xf);
            let [sync, high, low, _] = head(self.clock, false, true, 0);
            let mut packet = vec![sync, high, low, 0x20 | number, (PACKET - 5) as u8];
            packet.extend_from_slice(&clock_field(time, false, false));
            packet.resize(PACKET, 0xff);
            self.into.write_all(&packet)?;
            self.last_clock = Some(time);
        }
        Ok(())
    }

    /// Writes a unit; `clocked`: with a clock reference.
    pub fn unit(&mut self, unit: &Unit, bytes: &[u8], clocked: bool) -> io::Result<()> {
        let mut rest = bytes;
        let mut is_first = true;
        while !rest.is_empty() {
            let Some(counter) = self.counters.get_mut(unit.stream) else {
                return Ok(());
            };
            // The upper bits say whether the stream has a packet in this segment.
            let (number, begins_stream) = (*counter & 0xf, *counter & 0x80 == 0);
            *counter = (number + 1) & 0xf | 0x80;
            let field = match (is_first, clocked) {
                (true, true) => {
                    self.last_clock = Some(unit.dts - PCR_LEAD_90K);
                    clock_field(unit.dts - PCR_LEAD_90K, unit.key, begins_stream).to_vec()
                }
                (true, false) if begins_stream => vec![0x80],
                _ => Vec::new(),
            };
            let mut packet = Vec::with_capacity(PACKET);
            rest = fill(&mut packet, pid(unit.stream), is_first, number, field, rest);
            self.into.write_all(&packet)?;
            is_first = false;
        }
        Ok(())
    }
}

fn head(pid: u16, starts: bool, adapts: bool, counter: u8) -> [u8; 4] {
    let [high, low] = pid.to_be_bytes();
    let flags = if adapts { 0x30 } else { 0x10 };
    [0x47, u8::from(starts) << 6 | high, low, flags | counter]
}

/// Makes one packet; gives what of the payload is left.
fn fill<'a>(packet: &mut Vec<u8>, pid: u16, starts: bool, counter: u8, mut field: Vec<u8>, payload: &'a [u8]) -> &'a [u8] {
    let mut adapts = !field.is_empty();
    let room = PACKET - 4 - if adapts { 1 + field.len() } else { 0 };
    let taken = payload.len().min(room);
    let mut stuffing = room - taken;
    let empty_field = !adapts && stuffing == 1;
    if !adapts && stuffing > 0 {
        adapts = true;
        stuffing -= 1;
        if stuffing > 0 {
            field.push(0);
            stuffing -= 1;
        }
    }
    packet.extend_from_slice(&head(pid, starts, adapts, counter));
    if adapts {
        let length = if empty_field { 0 } else { field.len() + stuffing };
        packet.push(length as u8);
        packet.extend_from_slice(&field);
        packet.resize(packet.len() + stuffing, 0xff);
    }
    let (now, rest) = payload.split_at_checked(taken).unwrap_or((payload, &[]));
    packet.extend_from_slice(now);
    rest
}

/// Flags and a clock reference.
fn clock_field(time: i64, key: bool, begins_stream: bool) -> [u8; 7] {
    let base = time & CLOCK_MASK;
    let [a, b, c, d] = ((base >> 1) as u32).to_be_bytes();
    let flags = 0x10 | u8::from(key) << 6 | u8::from(begins_stream) << 7;
    [flags, a, b, c, d, ((base & 1) as u8) << 7 | 0x7e, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_is_of_one_size_whatever_is_left() {
        for length in 1..400 {
            let payload = vec![7; length];
            let mut rest = payload.as_slice();
            let mut field = clock_field(900_000, true, true).to_vec();
            while !rest.is_empty() {
                let mut packet = Vec::new();
                rest = fill(&mut packet, 0x100, true, 0, std::mem::take(&mut field), rest);
                assert_eq!((packet.len(), packet[0]), (PACKET, 0x47), "{length}");
            }
        }
    }

    #[test]
    fn clock_references_come_every_tenth_of_a_second() {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 1, pid(0));
        writer.last_clock = Some(0);
        writer.keep_time(PCR_LEAD_90K + 8_100).unwrap();
        writer.keep_time(PCR_LEAD_90K + 90_000).unwrap();
        assert_eq!(bytes.len(), 11 * PACKET);
        assert!(bytes.chunks(PACKET).all(|packet| packet[..6] == [0x47, 1, 0, 0x2f, 183, 0x10]));
    }
}
