//! Bits of the payload of a NAL unit, one after the other.

/// Reads from the first bit on; `None` behind the last.
pub struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next bits as a number, 32 at most.
    pub fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Some(value)
    }

    /// Passes over any number of bits.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.position = self.position.checked_add(count)?;
        (self.position <= self.bytes.len() * 8).then_some(())
    }

    pub fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// An unsigned number of variable length, ue(v).
    pub fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1u32 << zeros) - 1 + self.take(zeros)?)
    }

    /// A signed one, se(v).
    pub fn signed_exp_golomb(&mut self) -> Option<i64> {
        let code = i64::from(self.exp_golomb()?);
        Some(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }

    /// Passes over numbers of variable length.
    pub fn skip_exp_golomb(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.exp_golomb().map(|_| ()))
    }
}

/// A payload without the bytes that keep start codes out of it.
pub fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for byte in bytes {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        out.push(*byte);
    }
    out
}

/// The NAL units of a byte stream, each with its header.
pub fn units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(stream);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = unit.windows(3).position(|bytes| bytes == [0, 0, 1]).unwrap_or(unit.len());
        rest = after_start_code(unit);
        unit.get(..end)
    })
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.windows(3).position(|bytes| bytes == [0, 0, 1])?;
    bytes.get(at + 3..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_to_the_last_bit() {
        let mut bits = Bits::of(&[0b0100_1100, 0b1010_0000]);
        assert_eq!(bits.exp_golomb(), Some(1));
        assert_eq!(bits.exp_golomb(), Some(2));
        assert_eq!(bits.signed_exp_golomb(), Some(-2));
        assert_eq!(bits.flag(), Some(false));
        assert_eq!(bits.take(8), None);
    }

    #[test]
    fn units_lie_between_start_codes() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68];
        let found: Vec<_> = units(&stream).collect();
        assert_eq!(found, [&[0x67, 1][..], &[0x68][..]]);
        assert_eq!(units(&[0, 0, 1]).map(<[u8]>::len).sum::<usize>(), 0);
        assert_eq!(units(&[1, 2, 3]).count(), 0);
    }
}
