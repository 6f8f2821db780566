//! Colours in the header of a VP9 picture (6.2 of its specification).

use super::{bits::Bits, colours::Colours};

const FRAME_MARKER: u32 = 2;
const SYNC_CODE: u32 = 0x49_8342;
const RGB: u32 = 7;

/// Colours of a key picture; `None`: it is none.
pub fn colours(picture: &[u8]) -> Option<Colours> {
    let mut bits = Bits::of(picture);
    if bits.take(2)? != FRAME_MARKER {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.flag()?;
    }
    let shows_another = bits.flag()?;
    let depends_on_others = bits.flag()?;
    if shows_another || depends_on_others {
        return None;
    }
    bits.skip(2)?;
    if bits.take(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        bits.flag()?;
    }
    let is_rgb = bits.take(3)? == RGB;
    Some(Colours {
        full_range: is_rgb || bits.flag()?,
        described: None,
    })
}
