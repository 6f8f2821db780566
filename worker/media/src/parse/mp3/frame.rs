//! The head of a frame of MPEG audio (ISO/IEC 11172-3, §2.4.1.3, and 13818-3): how long it is, and what it holds.

/// Bit rates in kbit/s by their index, from 1.
const V1_LAYER_1: [u32; 14] = [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const V1_LAYER_2: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const V1_LAYER_3: [u32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const V2_LAYER_1: [u32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const V2_OTHERS: [u32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// MPEG-1; else MPEG-2 or 2.5.
    pub is_version_1: bool,
    /// 1 to 3.
    pub layer: u8,
    pub sample_rate_hz: u32,
    pub bitrate_kbps: u32,
    pub is_mono: bool,
    /// Samples of one channel.
    pub samples: u32,
    /// With its head.
    pub bytes: usize,
}

impl Frame {
    /// By the first four bytes; `None` where they are no head, or one of a free bit rate.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let &[sync, b1, b2, b3, ..] = bytes else { return None };
        let version = b1 >> 3 & 3;
        let layer = 4u8.checked_sub(b1 >> 1 & 3).filter(|layer| *layer < 4)?;
        if sync != 0xff || b1 & 0xe0 != 0xe0 || version == 1 {
            return None;
        }
        let is_version_1 = version == 3;
        let index = usize::from(b2 >> 4).checked_sub(1)?;
        let bitrate_kbps = *bitrates(is_version_1, layer).get(index)?;
        let sample_rate_hz = match version {
            3 => [44_100, 48_000, 32_000],
            2 => [22_050, 24_000, 16_000],
            _ => [11_025, 12_000, 8_000],
        };
        let sample_rate_hz = *sample_rate_hz.get(usize::from(b2 >> 2 & 3))?;
        let padding = u32::from(b2 >> 1 & 1);
        let (samples, bytes) = match (layer, is_version_1) {
            (1, _) => (384, (12_000 * bitrate_kbps / sample_rate_hz + padding) * 4),
            (3, false) => (576, 72_000 * bitrate_kbps / sample_rate_hz + padding),
            _ => (1152, 144_000 * bitrate_kbps / sample_rate_hz + padding),
        };
        Some(Self {
            is_version_1,
            layer,
            sample_rate_hz,
            bitrate_kbps,
            is_mono: b3 >> 6 == 3,
            samples,
            bytes: bytes as usize,
        })
    }

    /// Whether another frame may follow in the same stream.
    pub fn is_like(&self, other: &Self) -> bool {
        let kind = |frame: &Self| (frame.is_version_1, frame.layer, frame.sample_rate_hz);
        kind(self) == kind(other)
    }

    /// Where the side information of layer III ends.
    pub fn side_end(&self) -> usize {
        4 + match (self.is_version_1, self.is_mono) {
            (true, false) => 32,
            (true, true) | (false, false) => 17,
            (false, true) => 9,
        }
    }
}

/// Bit rates in kbit/s of a layer, from the lowest.
pub fn bitrates(is_version_1: bool, layer: u8) -> &'static [u32; 14] {
    match (is_version_1, layer) {
        (true, 1) => &V1_LAYER_1,
        (true, 2) => &V1_LAYER_2,
        (true, _) => &V1_LAYER_3,
        (false, 1) => &V2_LAYER_1,
        (false, _) => &V2_OTHERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_how_long_frames_are() {
        for (head, samples, bytes) in [
            ([0xff, 0xfb, 0x90, 0x64], 1152, 417),
            ([0xff, 0xfb, 0x92, 0x64], 1152, 418),
            ([0xff, 0xf3, 0x80, 0xc4], 576, 208),
            ([0xff, 0xfd, 0xa4, 0x00], 1152, 576),
            ([0xff, 0xff, 0x10, 0x00], 384, 32),
        ] {
            let frame = Frame::of(&head).unwrap();
            assert_eq!((frame.samples, frame.bytes), (samples, bytes), "{head:x?}");
        }
        for wrong in [
            [0xff, 0xfb, 0x00, 0x64],
            [0xff, 0xfb, 0xf0, 0x64],
            [0xff, 0xeb, 0x90, 0x64],
            [0xff, 0xf9, 0x90, 0x64],
        ] {
            assert_eq!(Frame::of(&wrong), None, "{wrong:x?}");
        }
    }
}
