//! Packets of a transport stream: their head, and what may be changed in them. No I/O.

/// Bytes of a packet.
pub const SIZE: usize = 188;
/// First byte of a packet.
pub const SYNC: u8 = 0x47;
/// Ticks after which stamps begin again.
const WRAP: i64 = 1 << 33;

/// One packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet(pub [u8; SIZE]);

impl Packet {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    pub fn pid(&self) -> u16 {
        u16::from(self.byte(1) & 0x1f) << 8 | u16::from(self.byte(2))
    }

    pub fn set_pid(&mut self, pid: u16) {
        let [high, low] = pid.to_be_bytes();
        self.0[1] = self.0[1] & 0xe0 | high & 0x1f;
        self.0[2] = low;
    }

    /// Whether a unit (a packetised picture, a section) begins in it.
    pub fn starts_unit(&self) -> bool {
        self.byte(1) & 0x40 != 0
    }

    pub fn is_scrambled(&self) -> bool {
        self.byte(3) & 0xc0 != 0
    }

    pub fn counter(&self) -> u8 {
        self.byte(3) & 0xf
    }

    pub fn set_counter(&mut self, counter: u8) {
        self.0[3] = self.0[3] & 0xf0 | counter & 0xf;
    }

    fn has_field(&self) -> bool {
        self.byte(3) & 0x20 != 0
    }

    /// Length of the adaptation field behind its length byte, as far as it lies in the packet.
    fn field_length(&self) -> usize {
        if self.has_field() {
            usize::from(self.byte(4)).min(SIZE - 5)
        } else {
            0
        }
    }

    pub fn has_payload(&self) -> bool {
        self.byte(3) & 0x10 != 0 && self.payload_at() < SIZE
    }

    fn payload_at(&self) -> usize {
        if self.has_field() { 5 + usize::from(self.byte(4)) } else { 4 }
    }

    pub fn payload(&self) -> &[u8] {
        if !self.has_payload() {
            return &[];
        }
        self.0.get(self.payload_at()..).unwrap_or_default()
    }

    fn payload_mut(&mut self) -> &mut [u8] {
        let at = self.payload_at();
        self.0.get_mut(at..).unwrap_or_default()
    }

    /// Whether the sender says that its counter jumps here.
    pub fn says_discontinuity(&self) -> bool {
        self.field_length() > 0 && self.byte(5) & 0x80 != 0
    }

    /// Takes out the clock references and the mark of a jump: the joined file has a clock of its own.
    pub fn clear_clock(&mut self) {
        let length = self.field_length();
        if length == 0 {
            return;
        }
        let flags = self.byte(5);
        let clocks = 6 * usize::from(flags & 0x10 != 0) + 6 * usize::from(flags & 0x08 != 0);
        self.0[5] = flags & !0x98;
        let Some(rest) = self.0.get_mut(6..5 + length) else { return };
        let taken = clocks.min(rest.len());
        rest.copy_within(taken.., 0);
        let kept = rest.len() - taken;
        rest.iter_mut().skip(kept).for_each(|byte| *byte = 0xff);
    }

    /// Writes other stamps, in ticks of 90 kHz, over those of the unit that begins in the packet.
    pub fn stamp(&mut self, shown: i64, decoded: i64) {
        let Some(stamps) = Stamps::read(self.payload()) else { return };
        let payload = self.payload_mut();
        write_stamp(payload, 9, shown);
        if stamps.has_dts {
            write_stamp(payload, 14, decoded);
        }
    }
}

/// Stamps of a packetised unit, in ticks of 90 kHz, as they stand there: with 33 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    pub pts: i64,
    /// The presentation time where there is none.
    pub dts: i64,
    has_dts: bool,
}

impl Stamps {
    /// `None` where no unit begins, or one without stamps.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let has_head = payload.get(..3)? == [0, 0, 1] && payload.get(6)? & 0xc0 == 0x80;
        let flags = payload.get(7)? >> 6;
        if !has_head || flags & 2 == 0 {
            return None;
        }
        let pts = read_stamp(payload, 9)?;
        let dts = if flags == 3 { read_stamp(payload, 14) } else { None };
        Some(Self {
            pts,
            dts: dts.unwrap_or(pts),
            has_dts: dts.is_some(),
        })
    }
}

/// Where the elementary stream's bytes begin in a unit.
pub fn unit_body(payload: &[u8]) -> &[u8] {
    let length = payload.get(8).map_or(payload.len(), |length| 9 + usize::from(*length));
    payload.get(length..).unwrap_or_default()
}

fn read_stamp(bytes: &[u8], at: usize) -> Option<i64> {
    let &[a, b, c, d, e] = bytes.get(at..at + 5)? else { return None };
    Some(i64::from(a >> 1 & 7) << 30 | i64::from(b) << 22 | i64::from(c >> 1) << 15 | i64::from(d) << 7 | i64::from(e >> 1))
}

fn write_stamp(bytes: &mut [u8], at: usize, time: i64) {
    let time = time.rem_euclid(WRAP);
    if let Some([a, b, c, d, e]) = bytes.get_mut(at..at + 5) {
        *a = *a & 0xf0 | (time >> 29) as u8 & 0xe | 1;
        *b = (time >> 22) as u8;
        *c = (time >> 14) as u8 | 1;
        *d = (time >> 7) as u8;
        *e = (time << 1) as u8 | 1;
    }
}

/// A stamp of 33 bits as the time nearest to another one.
pub fn near(stamp: i64, to: i64) -> i64 {
    let apart = (stamp - to).rem_euclid(WRAP);
    to + if apart < WRAP / 2 { apart } else { apart - WRAP }
}

/// A packet that carries nothing but the clock.
pub fn clock(pid: u16, time: i64) -> Packet {
    let mut bytes = [0xff; SIZE];
    let base = time.rem_euclid(WRAP);
    let [.., high, b, c, d] = (base >> 1).to_be_bytes();
    let head = [
        SYNC,
        (pid >> 8) as u8 & 0x1f,
        pid as u8,
        0x20,
        183,
        0x10,
        high,
        b,
        c,
        d,
        ((base & 1) as u8) << 7 | 0x7e,
        0,
    ];
    for (byte, value) in bytes.iter_mut().zip(head) {
        *byte = value;
    }
    Packet(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(pts: i64, dts: i64) -> Packet {
        let mut bytes = [0u8; SIZE];
        bytes[..5].copy_from_slice(&[SYNC, 0x41, 0, 0x30, 7]);
        bytes[5] = 0x50;
        bytes[12..21].copy_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10]);
        bytes[21] = 0x31;
        bytes[26] = 0x11;
        write_stamp(&mut bytes, 21, pts);
        write_stamp(&mut bytes, 26, dts);
        Packet(bytes)
    }

    #[test]
    fn stamps_are_moved_over_the_wrap() {
        let mut packet = unit(WRAP - 10, WRAP - 3010);
        packet.stamp(WRAP + 2_990, WRAP - 10);
        let stamps = Stamps::read(packet.payload()).unwrap();
        assert_eq!((stamps.pts, stamps.dts), (2_990, WRAP - 10));
        assert_eq!((near(stamps.dts, stamps.pts), near(stamps.pts, WRAP + 5)), (-10, WRAP + 2_990));
    }

    #[test]
    fn clock_references_go_and_what_is_behind_them_stays() {
        let mut packet = unit(1, 1);
        packet.0[4] = 7;
        packet.0[5] = 0x92;
        // A clock, and a byte of private data that does not fit: bounds hold.
        packet.clear_clock();
        assert_eq!(packet.0[5], 0x02);
        assert!(packet.0[6..12].iter().all(|byte| *byte == 0xff));
        assert!(Stamps::read(packet.payload()).is_some());
    }

    #[test]
    fn clock_packets_tell_their_time() {
        let packet = clock(0x1fe, 0x1_2345_6789);
        let base = packet.0[6..11].iter().fold(0i64, |value, byte| value << 8 | i64::from(*byte)) >> 7;
        assert_eq!((base, packet.pid(), packet.has_payload()), (0x1_2345_6789, 0x1fe, false));
    }

    #[test]
    fn nonsense_in_a_packet_is_no_panic() {
        for byte in 0..=255u8 {
            let mut packet = Packet([byte; SIZE]);
            packet.clear_clock();
            packet.stamp(1, 1);
            let _unit = unit_body(packet.payload());
        }
    }
}
