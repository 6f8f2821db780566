//! Units of H.264 and H.265 behind their lengths, as MP4 holds them (ISO/IEC 14496-15): parameter sets, slices, delimiters.

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    H264,
    H265,
}

/// What a unit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter set: of the sequence, of pictures, or of the whole stream.
    Set,
    Delimiter,
    /// Coded picture.
    Slice,
    /// Messages in front of the picture, such as captions.
    Message,
    Other,
}

impl Syntax {
    /// What a unit is; its first byte tells.
    pub fn kind(self, unit: &[u8]) -> Kind {
        let Some(head) = unit.first() else { return Kind::Other };
        match self {
            Self::H264 => match head & 0x1f {
                7 | 8 | 13 | 15 => Kind::Set,
                9 => Kind::Delimiter,
                1..=5 => Kind::Slice,
                6 => Kind::Message,
                _ => Kind::Other,
            },
            Self::H265 => match head >> 1 & 0x3f {
                32..=34 => Kind::Set,
                35 => Kind::Delimiter,
                0..=31 => Kind::Slice,
                39 => Kind::Message,
                _ => Kind::Other,
            },
        }
    }

    /// Bytes in front of a unit's payload.
    pub fn header_bytes(self) -> usize {
        match self {
            Self::H264 => 1,
            Self::H265 => 2,
        }
    }

    /// The number of the set of pictures that a slice names (7.3.3 of H.264, 7.3.6.1 of H.265).
    pub fn named_set(self, slice: &[u8]) -> Option<u32> {
        let head = *slice.first()?;
        let payload = without_emulation(slice.get(self.header_bytes()..)?, 16);
        let mut bits = Bits::new(&payload);
        match self {
            Self::H264 => {
                bits.exp_golomb()?;
                bits.exp_golomb()?;
            }
            Self::H265 => {
                bits.take(1)?;
                if matches!(head >> 1 & 0x3f, 16..=23) {
                    bits.take(1)?;
                }
            }
        }
        bits.exp_golomb()
    }

    /// The number of a set of pictures; `None` for other units.
    pub fn number_of_set(self, unit: &[u8]) -> Option<u32> {
        let head = *unit.first()?;
        let is_of_pictures = match self {
            Self::H264 => head & 0x1f == 8,
            Self::H265 => head >> 1 & 0x3f == 34,
        };
        let payload = without_emulation(unit.get(self.header_bytes()..)?, 16);
        is_of_pictures.then(|| Bits::new(&payload).exp_golomb()).flatten()
    }
}

/// The units of a packet, each behind its length; ends at the first that does not fit.
pub fn units(packet: &[u8], length_size: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_at_checked(length_size.max(1))?;
        let length = head.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
        let (unit, tail) = tail.split_at_checked(length)?;
        rest = tail;
        Some(unit)
    })
}

/// Puts a unit behind its length; `length_size`: bytes of that, 1 to 4.
pub fn put(packet: &mut Vec<u8>, unit: &[u8], length_size: usize) {
    let length = (unit.len() as u64).to_be_bytes();
    packet.extend_from_slice(length.get(8 - length_size.clamp(1, 8)..).unwrap_or_default());
    packet.extend_from_slice(unit);
}

/// The first `most` bytes of a payload without the bytes that keep start codes out of it (7.4.1 of both).
pub fn without_emulation(payload: &[u8], most: usize) -> Vec<u8> {
    let mut clean = Vec::with_capacity(payload.len().min(most));
    let mut zeros = 0;
    for byte in payload {
        if clean.len() >= most {
            break;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        clean.push(*byte);
    }
    clean
}

/// Reads bits, the most significant first; `None` behind the end.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.position / 8)?;
            let bit = byte >> (7 - self.position % 8) & 1;
            self.position += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// A number whose leading zeros tell its length (9.1 of H.264).
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = u64::from(self.take(zeros)?);
        u32::try_from((1u64 << zeros) - 1 + rest).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_stand_behind_their_lengths() {
        let mut packet = Vec::new();
        put(&mut packet, &[9, 0xf0], 4);
        put(&mut packet, &[0x65, 1, 2], 4);
        assert_eq!(packet, [0, 0, 0, 2, 9, 0xf0, 0, 0, 0, 3, 0x65, 1, 2]);
        let kinds: Vec<_> = units(&packet, 4).map(|unit| Syntax::H264.kind(unit)).collect();
        assert_eq!(kinds, [Kind::Delimiter, Kind::Slice]);
        packet.truncate(11);
        assert_eq!(units(&packet, 4).count(), 1);
    }

    #[test]
    fn slices_name_their_set() {
        // first_mb 0, slice type 7, set 1: 1 0001000 010
        assert_eq!(Syntax::H264.named_set(&[0x65, 0b1000_1000, 0b0100_0000]), Some(1));
        assert_eq!(Syntax::H264.number_of_set(&[0x68, 0b0100_0000]), Some(1));
        assert_eq!(Syntax::H264.number_of_set(&[0x67, 0b0100_0000]), None);
        // Of a key picture: first 1, no output 0, set 0; of another one: first 1, set 2.
        assert_eq!(Syntax::H265.named_set(&[19 << 1, 1, 0b1010_0000]), Some(0));
        assert_eq!(Syntax::H265.named_set(&[1 << 1, 1, 0b1011_0000]), Some(2));
        assert_eq!(Syntax::H265.named_set(&[1 << 1, 1]), None);
    }

    #[test]
    fn bytes_that_keep_start_codes_out_are_left_out() {
        assert_eq!(without_emulation(&[0, 0, 3, 1, 0, 0, 3], 16), [0, 0, 1, 0, 0]);
        assert_eq!(without_emulation(&[1, 2, 3], 2), [1, 2]);
    }
}
