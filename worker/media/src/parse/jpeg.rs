//! The frame header of JPEG (ITU-T T.81, B.2.2).

/// What it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub width: u16,
    pub height: u16,
    /// Sampling factors of each component, across and down.
    pub factors: Vec<(u8, u8)>,
}

impl Frame {
    /// Whether all components have the same factors, but not one by one: as dense as each other, in blocks of another order.
    pub fn is_alike_but_not_single(&self) -> bool {
        let first = self.factors.first().copied().unwrap_or((1, 1));
        self.factors.len() > 1 && first != (1, 1) && self.factors.iter().all(|factors| *factors == first)
    }

    /// Whether a sample of chroma stands for more than two of luma across or down.
    pub fn has_coarse_chroma(&self) -> bool {
        let Some(((across, down), chroma)) = self.factors.split_first() else {
            return false;
        };
        chroma.iter().any(|factors| *across > 2 * factors.0 || *down > 2 * factors.1)
    }
}

/// Reads the first frame header.
pub fn frame(bytes: &[u8]) -> Option<Frame> {
    let mut at = bytes.starts_with(b"\xff\xd8").then_some(2)?;
    let be16 = |at: usize| bytes.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    loop {
        let marker = *bytes.get(at + 1)?;
        if *bytes.get(at)? != 0xff {
            return None;
        }
        match marker {
            0xff => at += 1,
            0xd8 | 0x01 | 0xd0..=0xd7 => at += 2,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let count = usize::from(*bytes.get(at + 9)?);
                let components = bytes.get(at + 10..at + 10 + count * 3).unwrap_or_default().chunks_exact(3);
                return Some(Frame {
                    width: be16(at + 7)?,
                    height: be16(at + 5)?,
                    factors: components.map(|component| (component[1] >> 4, component[1] & 0xf)).collect(),
                });
            }
            _ => at += 2 + usize::from(be16(at + 2)?.max(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_size_and_factors() {
        let bytes = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08\x00\x5a\x00\xa0\x03\x01\x12\x00\x02\x12\x01\x03\x12\x01";
        let found = frame(bytes).unwrap();
        assert_eq!((found.width, found.height), (160, 90));
        assert!(found.is_alike_but_not_single(), "{found:?}");
        assert!(!found.has_coarse_chroma());
        assert_eq!(frame(&bytes[..12]), None);
    }

    #[test]
    fn chroma_of_a_quarter_is_coarse() {
        let of = |luma: u8, chroma: u8| frame(&[0xff, 0xd8, 0xff, 0xc0, 0, 14, 8, 0, 90, 0, 160, 2, 1, luma, 0, 2, chroma, 0]).unwrap();
        assert!(of(0x41, 0x11).has_coarse_chroma() && of(0x14, 0x11).has_coarse_chroma());
        assert!(!of(0x22, 0x11).has_coarse_chroma() && !of(0x41, 0x21).has_coarse_chroma());
    }
}
