//! Packets of MPEG transport streams: of 188 bytes, with a time stamp in front (M2TS) or a check behind (204).

use super::numbers::{be16, byte};

/// Bytes of a packet without what containers put around it.
pub const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Distances from packet to packet.
const STRIDES: &[usize] = &[PACKET, PACKET + 4, PACKET + 16];

/// Reads packets from a stream that comes in pieces.
#[derive(Debug, Default)]
pub struct Packets {
    /// Found at the first packets.
    stride: Option<usize>,
    /// Whether a packet ended where reading goes on.
    in_step: bool,
}

impl Packets {
    /// Bytes from one packet to the next, once it is known.
    pub fn stride(&self) -> Option<usize> {
        self.stride
    }

    /// Gives each whole packet of a buffer with its position; bytes that were used up. What is left belongs in front of the next piece.
    pub fn read(&mut self, buffer: &[u8], mut take: impl FnMut(usize, &[u8])) -> usize {
        let mut at = 0;
        while at + PACKET <= buffer.len() {
            let Some(stride) = self.stride.or_else(|| stride_at(buffer, at)) else {
                at += 1;
                continue;
            };
            // A packet that stands where it must is one, whatever follows it.
            self.in_step = buffer.get(at) == Some(&SYNC) && (self.in_step || repeats(buffer, at, stride));
            if !self.in_step {
                at += 1;
                continue;
            }
            self.stride = Some(stride);
            if let Some(packet) = buffer.get(at..at + PACKET) {
                take(at, packet);
            }
            at += stride;
        }
        at.min(buffer.len())
    }
}

fn stride_at(buffer: &[u8], at: usize) -> Option<usize> {
    let stride = STRIDES.iter().find(|stride| repeats(buffer, at, **stride)).copied()?;
    // A time stamp may begin with the sync byte, too.
    let is_stamp = stride == PACKET + 4 && repeats(buffer, at + 4, stride);
    (!is_stamp).then_some(stride)
}

fn repeats(buffer: &[u8], at: usize, stride: usize) -> bool {
    buffer.get(at) == Some(&SYNC) && (1..3).all(|packet| buffer.get(at + packet * stride).is_none_or(|found| *found == SYNC))
}

/// A packet's stream.
pub fn pid(packet: &[u8]) -> Option<u16> {
    be16(packet, 1).map(|pid| pid & 0x1fff)
}

/// Whether a section or a packet of its stream starts in it.
pub fn starts_unit(packet: &[u8]) -> bool {
    byte(packet, 1).is_some_and(|flags| flags & 0x40 != 0)
}

/// Position of the payload; `None` where there is none, or it is scrambled.
pub fn payload_at(packet: &[u8]) -> Option<usize> {
    let flags = byte(packet, 3)?;
    let scrambled = flags & 0xc0 != 0;
    match flags & 0x30 {
        _ if scrambled => None,
        0x10 => Some(4),
        0x30 => Some(5 + usize::from(byte(packet, 4)?)).filter(|at| *at < PACKET),
        _ => None,
    }
}

/// The clock reference of a packet that carries one, in ticks of 90 kHz.
pub fn clock_reference(packet: &[u8]) -> Option<u64> {
    let has_adaptation = byte(packet, 3)? & 0x20 != 0;
    let long_enough = byte(packet, 4)? >= 7;
    if !has_adaptation || !long_enough || byte(packet, 5)? & 0x10 == 0 {
        return None;
    }
    let base = packet.get(6..11)?;
    Some(base.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)) >> 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(pid: u16) -> Vec<u8> {
        let mut bytes = vec![SYNC, (pid >> 8) as u8, pid as u8, 0x10];
        bytes.resize(PACKET, 0xff);
        bytes
    }

    fn pids(bytes: &[u8]) -> Vec<u16> {
        let mut found = Vec::new();
        Packets::default().read(bytes, |_, packet| found.extend(pid(packet)));
        found
    }

    #[test]
    fn packets_are_found_whatever_is_around_them() {
        let plain: Vec<u8> = (1..5).flat_map(packet).collect();
        assert_eq!(pids(&plain), [1, 2, 3, 4]);
        // The time stamps in front begin with the sync byte, too.
        let stamped: Vec<u8> = (1..5).flat_map(|pid| [vec![0x47, 0, 0, 1], packet(pid)].concat()).collect();
        assert_eq!(pids(&stamped), [1, 2, 3, 4]);
        let checked: Vec<u8> = (1..5).flat_map(|pid| [packet(pid), vec![7; 16]].concat()).collect();
        assert_eq!(pids(&checked), [1, 2, 3, 4]);
    }

    #[test]
    fn lost_sync_is_found_again() {
        let bytes = [packet(1), packet(2), packet(3), vec![1, 0x47, 3], packet(4), packet(5)].concat();
        assert_eq!(pids(&bytes), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_stream_in_pieces_gives_each_packet_once() {
        let bytes: Vec<u8> = (1..20).flat_map(packet).collect();
        let (mut packets, mut waiting, mut found) = (Packets::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(101) {
            waiting.extend_from_slice(piece);
            let used = packets.read(&waiting, |_, packet| found.extend(pid(packet)));
            waiting.drain(..used);
        }
        assert_eq!(found, (1..20).collect::<Vec<_>>());
    }
}
