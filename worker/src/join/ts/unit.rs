//! Units of AAC of our own making: those of packed sound, and those that lose frames at a joint. No I/O.

use super::{
    packet::{Packet, SIZE, SYNC},
    track::Track,
};
use crate::join::adts::{self, Head};

const CLOCK_HZ: i64 = 90_000;

/// Frames without those that begin before a time; when the rest begins, and the rest.
pub fn trimmed(mut body: &[u8], begins: i64, before: i64) -> (i64, &[u8]) {
    let mut frames = 0;
    loop {
        let Some(head) = Head::read(body) else { return (begins, body) };
        let at = begins + ticks(frames, head.rate_hz);
        if at >= before {
            return (at, body);
        }
        body = body.get(head.length..).unwrap_or_default();
        frames += 1;
        if body.is_empty() {
            return (begins + ticks(frames, head.rate_hz), body);
        }
    }
}

/// Length of so many frames.
pub fn ticks(frames: i64, rate_hz: u32) -> i64 {
    frames * adts::SAMPLES * CLOCK_HZ / i64::from(rate_hz.max(1))
}

/// A unit with its stamp, cut into packets.
pub fn packets(track: &mut Track, time: i64, body: &[u8]) -> Vec<Packet> {
    if body.is_empty() {
        return Vec::new();
    }
    track.unit(time, time, body);
    let mut unit = vec![0, 0, 1, 0xc0];
    let length = u16::try_from(body.len() + 8).unwrap_or_default();
    unit.extend_from_slice(&length.to_be_bytes());
    unit.extend_from_slice(&[0x84, 0x80, 5, 0x21, 0, 1, 0, 1]);
    unit.extend_from_slice(body);
    let mut packets = Vec::new();
    let mut rest = unit.as_slice();
    while !rest.is_empty() {
        let counter = track.count(0, true, true);
        let (packet, taken) = packet(track.pid, counter, packets.is_empty(), rest);
        packets.push(packet);
        rest = rest.get(taken..).unwrap_or_default();
    }
    track.next_segment();
    if let Some(first) = packets.first_mut() {
        first.stamp(time, time);
    }
    packets
}

/// One packet, and how much of the bytes it took; what is short of a packet is filled up in front.
fn packet(pid: u16, counter: u8, starts: bool, bytes: &[u8]) -> (Packet, usize) {
    let room = SIZE - 4;
    let taken = bytes.len().min(room);
    let filling = room - taken;
    let mut whole = vec![
        SYNC,
        u8::from(starts) << 6 | (pid >> 8) as u8 & 0x1f,
        pid as u8,
        if filling > 0 { 0x30 } else { 0x10 } | counter & 0xf,
    ];
    match filling {
        0 => {}
        1 => whole.push(0),
        more => {
            whole.extend_from_slice(&[(more - 1) as u8, 0]);
            whole.resize(4 + more, 0xff);
        }
    }
    whole.extend_from_slice(bytes.get(..taken).unwrap_or_default());
    let mut packet = [0xff; SIZE];
    for (byte, value) in packet.iter_mut().zip(whole) {
        *byte = value;
    }
    (Packet(packet), taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{
        adts::tests::frame,
        ts::packet::{Stamps, unit_body},
    };

    #[test]
    fn frames_before_a_time_go() {
        let body = [frame(100), frame(120), frame(140)].concat();
        assert_eq!(trimmed(&body, 1_000, 0), (1_000, body.as_slice()));
        assert_eq!(trimmed(&body, 1_000, 1_001), (2_920, &body[100..]));
        assert_eq!(trimmed(&body, 1_000, 99_000), (6_760, &b""[..]));
        assert_eq!(trimmed(b"noise", 1, 2), (1, &b"noise"[..]));
    }

    #[test]
    fn bytes_come_back_from_packets_of_any_length() {
        for length in [7, 100, 169, 170, 171, 183, 184, 185, 1_000] {
            let mut track = Track::new(0x101, true);
            let body = frame(length.max(8));
            let packets = packets(&mut track, 12_345, &body);
            let mut bytes = Vec::new();
            for (number, packet) in packets.iter().enumerate() {
                let payload = packet.payload();
                bytes.extend_from_slice(if number == 0 { unit_body(payload) } else { payload });
            }
            assert_eq!(bytes, body);
            assert_eq!(Stamps::read(packets[0].payload()).unwrap().pts, 12_345);
        }
    }
}
