//! Frames of AAC as they stand in files and transport streams (ADTS), and the tag in front of packed sound. No I/O.

/// Samples of a frame.
pub const SAMPLES: i64 = 1024;
const RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
];
/// Owner of the stamp that each segment of packed sound begins with.
const STAMP_OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";

/// Head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub rate_hz: u32,
    /// Bytes of the frame with its head.
    pub length: usize,
}

impl Head {
    /// `None` where no frame begins.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..7)?;
        let (sync, layer) = (*head.first()? == 0xff, head.get(1)? & 0xf6 == 0xf0);
        let rate_hz = *RATES_HZ.get(usize::from(head.get(2)? >> 2 & 0xf))?;
        let length = usize::from(head.get(3)? & 3) << 11 | usize::from(*head.get(4)?) << 3 | usize::from(head.get(5)? >> 5);
        (sync && layer && length > 7).then_some(Self { rate_hz, length })
    }
}

/// Frames that begin in bytes whose first is the first of a frame, and their rate.
pub fn count(mut bytes: &[u8]) -> Option<(i64, u32)> {
    let rate_hz = Head::read(bytes)?.rate_hz;
    let mut frames = 0;
    while let Some(head) = Head::read(bytes) {
        frames += 1;
        bytes = bytes.get(head.length..).unwrap_or_default();
    }
    Some((frames, rate_hz))
}

/// Length of the ID3 tag that the bytes begin with; 0 where there is none.
pub fn tag_length(bytes: &[u8]) -> usize {
    match bytes.get(..10) {
        Some(&[b'I', b'D', b'3', _, _, flags, a, b, c, d]) => {
            let size = [a, b, c, d].iter().fold(0usize, |size, byte| size << 7 | usize::from(byte & 0x7f));
            10 + size + if flags & 0x10 != 0 { 10 } else { 0 }
        }
        _ => 0,
    }
}

/// The stamp in a tag, in ticks of 90 kHz.
pub fn tag_stamp(tag: &[u8]) -> Option<i64> {
    let at = tag.windows(STAMP_OWNER.len()).position(|window| window == STAMP_OWNER)?;
    let bytes: [u8; 8] = tag.get(at + STAMP_OWNER.len()..)?.first_chunk::<8>().copied()?;
    i64::try_from(u64::from_be_bytes(bytes) & 0x1_ffff_ffff).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame of 48 kHz with so many bytes.
    pub fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length];
        bytes[..7].copy_from_slice(&[
            0xff,
            0xf1,
            0x4c,
            0x80 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f,
            0xfc,
        ]);
        bytes
    }

    /// A tag with a stamp.
    pub fn tag(stamp: u64) -> Vec<u8> {
        let body = [STAMP_OWNER, &stamp.to_be_bytes()].concat();
        let mut bytes = b"ID3\x04\0\0".to_vec();
        bytes.extend_from_slice(&[0, 0, 0, (body.len() + 10) as u8]);
        bytes.extend_from_slice(b"PRIV");
        bytes.extend_from_slice(&[0, 0, 0, body.len() as u8, 0, 0]);
        bytes.extend_from_slice(&body);
        bytes
    }

    #[test]
    fn frames_are_counted_also_where_the_last_is_cut() {
        let bytes = [frame(300), frame(9), frame(2000)].concat();
        assert_eq!(count(&bytes), Some((3, 48_000)));
        assert_eq!(count(&bytes[..1000]), Some((3, 48_000)));
        assert_eq!(count(&bytes[1..]), None);
        assert_eq!(count(b""), None);
    }

    #[test]
    fn tags_tell_their_length_and_stamp() {
        let bytes = [tag(0x1_0000_0005), frame(20)].concat();
        let length = tag_length(&bytes);
        assert_eq!(tag_stamp(&bytes[..length]), Some(0x1_0000_0005));
        assert!(Head::read(&bytes[length..]).is_some());
        assert_eq!((tag_length(b"ID3"), tag_length(b"\xff\xf1"), tag_stamp(b"x")), (0, 0, None));
    }
}
