//! Sequence parameter sets of H.265 (7.3.2.2 and E.2.1) and the record that carries them.

use super::{
    bits::{Bits, units, without_emulation},
    colours::Colours,
};

const SEQUENCE: u8 = 33;
/// Pictures that a set of references may name, either before or after.
const MOST_REFERENCES: u32 = 16;
const MOST_SETS: u32 = 64;

/// What an hvcC record tells of interlaced sources (general_progressive_source_flag and general_interlaced_source_flag, ISO/IEC 14496-15).
pub fn is_of_fields(record: &[u8]) -> bool {
    const PROGRESSIVE: u8 = 0x80;
    const INTERLACED: u8 = 0x40;
    record.get(6).is_some_and(|flags| flags & (PROGRESSIVE | INTERLACED) == INTERLACED)
}

/// Colours of the first parameter set of an hvcC record; `None`: it tells none.
pub fn colours_in_record(record: &[u8]) -> Option<Colours> {
    colours(set_in_record(record)?)
}

/// Lines of a coded picture, which may be one field of two, by the first parameter set of an hvcC record.
pub fn height_in_record(record: &[u8]) -> Option<u32> {
    let payload = without_emulation(set_in_record(record)?);
    up_to_size(&mut Bits::of(&payload)).map(|(_, height)| height)
}

/// The first parameter set of an hvcC record, behind its header.
fn set_in_record(record: &[u8]) -> Option<&[u8]> {
    let arrays = *record.get(22)?;
    let mut rest = record.get(23..)?;
    for _ in 0..arrays {
        let [kind, high, low, following @ ..] = rest else { return None };
        rest = following;
        for _ in 0..u16::from_be_bytes([*high, *low]) {
            let [high, low, following @ ..] = rest else { return None };
            let (unit, following) = following.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
            if kind & 0x3f == SEQUENCE {
                return unit.get(2..);
            }
            rest = following;
        }
    }
    None
}

/// Colours of the first parameter set of a byte stream; `None`: it tells none.
pub fn colours_in_stream(stream: &[u8]) -> Option<Colours> {
    let unit = units(stream).find(|unit| unit.first().is_some_and(|header| header >> 1 & 0x3f == SEQUENCE))?;
    colours(unit.get(2..)?)
}

/// Of the bytes behind the header of the NAL unit.
fn colours(parameter_set: &[u8]) -> Option<Colours> {
    let payload = without_emulation(parameter_set);
    let mut bits = Bits::of(&payload);
    let (sub_layers, _) = up_to_size(&mut bits)?;
    bits.skip_exp_golomb(2)?;
    let order_bits = bits.exp_golomb()?.checked_add(4)?;
    let ordered = if bits.flag()? { sub_layers + 1 } else { 1 };
    bits.skip_exp_golomb(3 * ordered)?;
    bits.skip_exp_golomb(6)?;
    skip_tools(&mut bits)?;
    skip_references(&mut bits, order_bits)?;
    bits.skip(2)?;
    if !bits.flag()? {
        return None;
    }
    Colours::of_usability(&mut bits)
}

/// Reads up to the conformance window; gives the number of sub-layers but one, and the lines inside the window.
fn up_to_size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    const HALVED: u32 = 1;
    const COLOUR_PLANES: u32 = 3;
    bits.skip(4)?;
    let sub_layers = bits.take(3)?;
    bits.flag()?;
    skip_profile(bits, sub_layers)?;
    bits.exp_golomb()?;
    let chroma = bits.exp_golomb()?;
    if chroma == COLOUR_PLANES {
        bits.flag()?;
    }
    bits.exp_golomb()?;
    let height = bits.exp_golomb()?;
    let mut cut = 0u32;
    if bits.flag()? {
        bits.skip_exp_golomb(2)?;
        let lines = if chroma == HALVED { 2 } else { 1 };
        cut = bits.exp_golomb()?.saturating_add(bits.exp_golomb()?).saturating_mul(lines);
    }
    Some((sub_layers, height.checked_sub(cut)?))
}

/// profile_tier_level.
fn skip_profile(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    const PROFILE: usize = 88;
    const LEVEL: usize = 8;
    bits.skip(PROFILE + LEVEL)?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { PROFILE } else { 0 } + if level { LEVEL } else { 0 })?;
    }
    Some(())
}

/// Scaling lists, asymmetric partitions, offsets, samples without coding.
fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        bits.skip_exp_golomb(2)?;
        bits.flag()?;
    }
    Some(())
}

fn skip_scaling_lists(bits: &mut Bits<'_>) -> Option<()> {
    for size in 0..4u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !bits.flag()? {
                bits.exp_golomb()?;
                continue;
            }
            let coefficients = (1 << (4 + (size << 1))).min(64);
            bits.skip_exp_golomb(coefficients + u32::from(size > 1))?;
        }
    }
    Some(())
}

/// Sets of pictures near by, and those far away.
fn skip_references(bits: &mut Bits<'_>, order_bits: u32) -> Option<()> {
    let sets = bits.exp_golomb().filter(|sets| *sets <= MOST_SETS)?;
    let mut before = Vec::new();
    for number in 0..sets {
        before = if number > 0 && bits.flag()? {
            predicted(bits, &before)?
        } else {
            listed(bits)?
        };
    }
    if bits.flag()? {
        let far = bits.exp_golomb().filter(|far| *far <= 32)?;
        bits.skip(far as usize * (order_bits as usize + 1))?;
    }
    Some(())
}

/// A set that names distances in the order of showing: first those before, then those after, the nearest first.
fn listed(bits: &mut Bits<'_>) -> Option<Vec<i64>> {
    let mut count = || bits.exp_golomb().filter(|count| *count <= MOST_REFERENCES);
    let counts = [(count()?, -1), (count()?, 1)];
    let mut distances = Vec::new();
    for (count, way) in counts {
        let mut distance = 0;
        for _ in 0..count {
            distance += way * (i64::from(bits.exp_golomb()?) + 1);
            bits.flag()?;
            distances.push(distance);
        }
    }
    Some(distances)
}

/// A set told by its difference to the one before.
fn predicted(bits: &mut Bits<'_>, before: &[i64]) -> Option<Vec<i64>> {
    let is_back = bits.flag()?;
    let step = i64::from(bits.exp_golomb()?) + 1;
    let step = if is_back { -step } else { step };
    let mut distances = Vec::new();
    for distance in before.iter().map(|distance| distance + step).chain([step]) {
        let is_used = bits.flag()? || bits.flag()?;
        if is_used && distance != 0 {
            distances.push(distance);
        }
    }
    distances.sort_by_key(|distance| (*distance > 0, distance.abs()));
    Some(distances)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of x265: 320x192, 4:2:0, 8 bits.
    const SET: [u8; 29] = [
        0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x40, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x3c, 0xa0, 0x0a, 0x08, 0x0c,
        0x16, 0x59, 0x59, 0x52, 0x93, 0x0b, 0xc0,
    ];

    #[test]
    fn the_height_is_read_behind_the_profile_or_not_at_all() {
        let mut record = vec![0; 22];
        record.extend([2, 0x20, 0, 1, 0, 2, 0x40, 1, 0x21, 0, 1, 0, SET.len() as u8]);
        record.extend(SET);
        assert_eq!(height_in_record(&record), Some(192));
        for length in 0..record.len() {
            assert_eq!(height_in_record(&record[..length]), None, "{length}");
        }
    }
}
