//! Sequence parameter sets of H.264 (7.3.2.1.1 and E.1.1).

use super::{
    bits::{Bits, units, without_emulation},
    colours::Colours,
};

/// Profiles whose parameter set tells the chroma format.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
const SEQUENCE: u8 = 7;

/// What is read of a parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// Whether no picture is coded in fields.
    pub frames_only: bool,
    /// `None`: it tells none.
    pub colours: Option<Colours>,
}

/// The first parameter set of an avcC record (ISO/IEC 14496-15).
pub fn in_record(record: &[u8]) -> Option<Sequence> {
    let length = usize::from(u16::from_be_bytes([*record.get(6)?, *record.get(7)?]));
    sequence(record.get(9..8 + length)?)
}

/// The first parameter set of a byte stream.
pub fn in_stream(stream: &[u8]) -> Option<Sequence> {
    let unit = units(stream).find(|unit| unit.first().is_some_and(|header| header & 0x1f == SEQUENCE))?;
    sequence(unit.get(1..)?)
}

/// Of the bytes behind the header of the NAL unit.
fn sequence(parameter_set: &[u8]) -> Option<Sequence> {
    let payload = without_emulation(parameter_set);
    let mut bits = Bits::of(&payload);
    let frames_only = up_to_frames_only(&mut bits)?;
    Some(Sequence {
        frames_only,
        colours: usability(&mut bits, frames_only),
    })
}

fn usability(bits: &mut Bits<'_>, frames_only: bool) -> Option<Colours> {
    if !frames_only {
        bits.flag()?;
    }
    bits.flag()?;
    let is_cropped = bits.flag()?;
    if is_cropped {
        bits.skip_exp_golomb(4)?;
    }
    if !bits.flag()? {
        return None;
    }
    Colours::of_usability(bits)
}

fn up_to_frames_only(bits: &mut Bits<'_>) -> Option<bool> {
    let profile = bits.take(8)? as u8;
    bits.skip(16)?;
    bits.exp_golomb()?;
    if HIGH_PROFILES.contains(&profile) {
        skip_chroma(bits)?;
    }
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => bits.skip_exp_golomb(1)?,
        1 => {
            bits.flag()?;
            bits.skip_exp_golomb(2)?;
            let cycle = bits.exp_golomb()?.min(255);
            bits.skip_exp_golomb(cycle)?;
        }
        _ => {}
    }
    bits.exp_golomb()?;
    bits.flag()?;
    bits.skip_exp_golomb(2)?;
    bits.flag()
}

fn skip_chroma(bits: &mut Bits<'_>) -> Option<()> {
    let chroma = bits.exp_golomb()?;
    if chroma == 3 {
        bits.flag()?;
    }
    bits.skip_exp_golomb(2)?;
    bits.flag()?;
    if bits.flag()? {
        let lists = if chroma == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(())
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: usize) -> Option<()> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed_exp_golomb()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_set_cut_anywhere_tells_nothing() {
        let progressive = [0x64, 0, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 0x03, 0, 0x01];
        assert!(sequence(&progressive).unwrap().frames_only);
        for length in 0..7 {
            assert_eq!(sequence(&progressive[..length]), None);
        }
        assert_eq!(sequence(&[0; 20]), None);
    }
}
