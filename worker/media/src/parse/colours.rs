//! What a film's own headers say of its colours.

use super::bits::Bits;

/// What a header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colours {
    pub full_range: bool,
    /// Primaries, transfer function and matrix in the numbers of ISO/IEC 23091-2, where they are told.
    pub described: Option<[u8; 3]>,
}

impl Colours {
    /// Reads the usability information of H.264 and H.265 up to video_signal_type; `None`: it tells none.
    pub fn of_usability(bits: &mut Bits<'_>) -> Option<Self> {
        /// aspect_ratio_idc: width and height follow.
        const EXTENDED_ASPECT: u32 = 255;
        if bits.flag()? && bits.take(8)? == EXTENDED_ASPECT {
            bits.skip(32)?;
        }
        let has_overscan = bits.flag()?;
        if has_overscan {
            bits.flag()?;
        }
        if !bits.flag()? {
            return None;
        }
        bits.skip(3)?;
        Some(Self {
            full_range: bits.flag()?,
            described: Self::description(bits),
        })
    }

    /// A flag, and three numbers where it is set.
    pub fn description(bits: &mut Bits<'_>) -> Option<[u8; 3]> {
        if !bits.flag()? {
            return None;
        }
        let mut number = || bits.take(8).and_then(|number| u8::try_from(number).ok());
        Some([number()?, number()?, number()?])
    }
}
