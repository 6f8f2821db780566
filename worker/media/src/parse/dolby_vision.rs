//! The record by which a film says that it is Dolby Vision (DOVIDecoderConfigurationRecord), wherever a container keeps it.

/// What the record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DolbyVision {
    pub profile: u8,
    /// What the base layer alone is (bl_signal_compatibility_id): 1 HDR10, 2 BT.709, 4 HLG, 6 Blu-ray's HDR10; 0: nothing that others show.
    pub base: u8,
}

impl DolbyVision {
    /// Of the bytes of a box dvcC, dvvC or dvwC, or of Matroska's mapping of that name.
    pub fn read(record: &[u8]) -> Option<Self> {
        let [_major, _minor, high, low, base, ..] = *record else {
            return None;
        };
        let bits = u16::from_be_bytes([high, low]);
        Some(Self {
            profile: (bits >> 9) as u8,
            base: base >> 4,
        })
    }

    /// Whether a decoder that does not know Dolby Vision shows right colours.
    pub fn has_common_base(self) -> bool {
        self.base != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_and_their_base_layers_are_told_apart() {
        let record = |profile: u16, level: u16, base: u8| {
            let [high, low] = (profile << 9 | level << 3 | 0b101).to_be_bytes();
            DolbyVision::read(&[1, 0, high, low, base << 4, 0, 0, 0]).unwrap()
        };
        assert_eq!(record(5, 6, 0), DolbyVision { profile: 5, base: 0 });
        assert!(!record(5, 6, 0).has_common_base());
        assert!(record(8, 9, 4).has_common_base());
        assert_eq!(DolbyVision::read(&[1, 0, 16]), None);
    }
}
