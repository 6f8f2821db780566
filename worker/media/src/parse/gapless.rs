//! What iTunes writes of sound that its encoder made longer: a comment of hexadecimal numbers.

const NAME: &[u8] = b"iTunSMPB";
/// How far behind the comment's name its text begins at most.
const NEAR_BYTES: usize = 96;
const DIGITS: usize = 8;

/// Samples of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gapless {
    /// Put in front of the sound, and behind it.
    pub delay: u32,
    pub padding: u32,
    /// Of the sound itself.
    pub samples: u64,
}

/// Finds the comment in the bytes of a tag; " 00000000 00000840 000001D4 00000000000C5E6C", in one byte a letter or in two.
pub fn of_itunes(bytes: &[u8]) -> Option<Gapless> {
    let plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let at = plain.windows(NAME.len()).position(|part| part == NAME)? + NAME.len();
    let near = plain.get(at..plain.len().min(at + NEAR_BYTES + 64))?;
    let start = near
        .windows(DIGITS + 1)
        .position(|part| part.starts_with(b" ") && part.iter().skip(1).all(u8::is_ascii_hexdigit))?;
    let text = std::str::from_utf8(near.get(start..)?.split(|byte| !byte.is_ascii_hexdigit() && *byte != b' ').next()?).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(|digits| u64::from_str_radix(digits, 16));
    let (_, delay, padding, samples) = (numbers.next()?, numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Gapless {
        delay: u32::try_from(delay).ok()?,
        padding: u32::try_from(padding).ok()?,
        samples: Some(samples).filter(|samples| *samples > 0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_kinds_of_letters() {
        let text = " 00000000 00000210 00000A2C 000000000044BC44 00000000 005DBB37";
        let expected = Gapless {
            delay: 0x210,
            padding: 0xa2c,
            samples: 0x44_bc44,
        };
        let latin = [b"COMM\0\0\0\x5f\0\0\0engiTunSMPB\0".as_slice(), text.as_bytes(), b"\0"].concat();
        assert_eq!(of_itunes(&latin), Some(expected));
        let wide: Vec<u8> = format!("iTunSMPB\0{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(of_itunes(&wide), Some(expected));
        let boxed = [b"name\0\0\0\0iTunSMPB\0\0\0\x54data\0\0\0\x01\0\0\0\0".as_slice(), text.as_bytes()].concat();
        assert_eq!(of_itunes(&boxed), Some(expected));
        for cut in 0..latin.len() {
            let _ = of_itunes(&latin[..cut]);
        }
        assert_eq!(of_itunes(b"iTunSMPB 00000000 zz"), None);
    }
}
