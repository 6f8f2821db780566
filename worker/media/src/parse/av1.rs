//! Colours in the sequence header of AV1 (5.5 of its specification).

use super::{bits::Bits, colours::Colours};

const SEQUENCE: u32 = 1;
const SRGB: [u8; 3] = [1, 13, 0];
/// Numbers by which a header says that a choice is left to each picture.
const SELECT: u32 = 2;

/// Colours of the first sequence header in a row of units, each with its size.
pub fn colours(units: &[u8]) -> Option<Colours> {
    let mut rest = units;
    while let [header, following @ ..] = rest {
        let extension = usize::from(header & 4 != 0);
        let (size, body) = if header & 2 != 0 {
            leb128(following.get(extension..)?)?
        } else {
            let body = following.get(extension..)?;
            (body.len(), body)
        };
        let (body, next) = body.split_at_checked(size)?;
        if u32::from(header >> 3 & 15) == SEQUENCE {
            return sequence(&mut Bits::of(body));
        }
        rest = next;
    }
    None
}

/// A number of variable length, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (place, byte) in bytes.iter().take(8).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(place + 1..)?));
        }
    }
    None
}

fn sequence(bits: &mut Bits<'_>) -> Option<Colours> {
    let profile = bits.take(3)?;
    bits.flag()?;
    let is_reduced = bits.flag()?;
    if is_reduced {
        bits.skip(5)?;
    } else {
        skip_operation(bits)?;
    }
    let (width, height) = (bits.take(4)? as usize + 1, bits.take(4)? as usize + 1);
    bits.skip(width + height)?;
    if !is_reduced && bits.flag()? {
        bits.skip(7)?;
    }
    bits.skip(3)?;
    if !is_reduced {
        skip_tools(bits)?;
    }
    bits.skip(3)?;
    colour_configuration(bits, profile)
}

/// Timing, decoder model, operating points.
fn skip_operation(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?;
        if bits.flag()? {
            bits.exp_golomb()?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_delays = bits.flag()?;
    for _ in 0..=bits.take(5)? {
        bits.skip(12)?;
        if bits.take(5)? > 7 {
            bits.flag()?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if has_delays && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(())
}

fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
    bits.skip(4)?;
    let has_order = bits.flag()?;
    if has_order {
        bits.skip(2)?;
    }
    let screen_content = if bits.flag()? { SELECT } else { bits.take(1)? };
    if screen_content > 0 && !bits.flag()? {
        bits.flag()?;
    }
    bits.skip(if has_order { 3 } else { 0 })
}

fn colour_configuration(bits: &mut Bits<'_>, profile: u32) -> Option<Colours> {
    let is_deep = bits.flag()?;
    if profile == 2 && is_deep {
        bits.flag()?;
    }
    if profile != 1 {
        bits.flag()?;
    }
    let described = Colours::description(bits);
    Some(Colours {
        full_range: described == Some(SRGB) || bits.flag()?,
        described,
    })
}
