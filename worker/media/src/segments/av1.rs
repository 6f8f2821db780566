//! AV1 as MP4 holds it: its configuration record, and packets without temporal delimiters.

use super::boxes::Bits;

/// Types of open bitstream units.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The units of a temporal unit: type, the whole unit, its payload. Ends at the first that has no size or does not fit.
fn units(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let head = *rest.first()?;
        if head & 2 == 0 {
            return None;
        }
        let mut at = if head & 4 == 0 { 1 } else { 2 };
        let mut size = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = *rest.get(at)?;
            at += 1;
            size |= usize::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let end = at.checked_add(size)?;
        let (unit, payload) = (rest.get(..end)?, rest.get(at..end)?);
        rest = rest.get(end..)?;
        Some((head >> 3 & 0xf, unit, payload))
    })
}

/// av1C of a temporal unit that begins with a sequence header.
pub fn record(packet: &[u8]) -> Option<Vec<u8>> {
    let (_, unit, payload) = units(packet).find(|(kind, _, _)| *kind == SEQUENCE_HEADER)?;
    let mut bits = Bits::new(payload);
    let profile = bits.read(3);
    bits.flag();
    let (mut level, mut tier) = (0, 0);
    if bits.flag() {
        level = bits.read(5);
    } else {
        if bits.flag() {
            return None; // Timing of decoders: no encoder here writes it.
        }
        let delays = bits.flag();
        for point in 0..=bits.read(5) {
            bits.read(12);
            let (at, above) = (bits.read(5), 0);
            let high = if at > 7 { bits.read(1) } else { above };
            if point == 0 {
                (level, tier) = (at, high);
            }
            if delays && bits.flag() {
                bits.read(4);
            }
        }
    }
    let flags = av1_colours(&mut bits, profile);
    let mut record = vec![0x81, (profile << 5 | level) as u8, (tier << 7) as u8 | flags, 0];
    record.extend_from_slice(unit);
    Some(record)
}

/// Skips to the colours and reads what of them stands in av1C.
fn av1_colours(bits: &mut Bits, profile: u32) -> u8 {
    let (across, down) = (bits.read(4) + 1, bits.read(4) + 1);
    bits.read(across);
    bits.read(down);
    if bits.flag() {
        bits.read(7);
    }
    bits.read(3);
    if true_until_order_hint(bits) {
        bits.read(3);
    }
    bits.read(3);
    let high = bits.flag();
    let twelve = profile == 2 && high && bits.flag();
    let mono = profile != 1 && bits.flag();
    u8::from(high) << 6 | u8::from(twelve) << 5 | u8::from(mono) << 4 | if profile == 1 { 0 } else { 0b1100 }
}

/// The tools that come before the colours; whether order hints follow.
fn true_until_order_hint(bits: &mut Bits) -> bool {
    bits.read(4);
    let order_hint = bits.flag();
    if order_hint {
        bits.read(2);
    }
    let chosen_screen = bits.flag();
    let screen = if chosen_screen { 2 } else { bits.read(1) };
    if screen > 0 && !bits.flag() {
        bits.read(1);
    }
    order_hint
}

/// A packet as MP4 holds it: without temporal delimiters.
pub fn without_delimiters(packet: &[u8]) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(packet.len());
    let mut seen = 0;
    for (kind, unit, _) in units(packet) {
        seen += unit.len();
        if kind != TEMPORAL_DELIMITER {
            kept.extend_from_slice(unit);
        }
    }
    (seen == packet.len()).then_some(kept)
}
