//! Chunks of a WebP file: the size of its canvas, and how long each picture of an animation is shown.

use std::time::Duration;

use super::numbers::{byte, le24, le32};

const HEAD: usize = 12;
const ANIMATED: u8 = 0x02;
/// Browsers take a time up to this for "not told", and show such a picture for the other.
const LEAST_MS: u32 = 10;
const DEFAULT_MS: u32 = 100;
/// Pictures that are looked at.
const MAX_PICTURES: usize = 1 << 20;

/// What an animated WebP says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Animation {
    pub width: u32,
    pub height: u32,
    /// How long each picture is shown.
    pub shown: Vec<Duration>,
    /// Whether the file is shorter than it says.
    pub is_cut: bool,
}

/// Reads an animation; `None` for a still picture, or what is no WebP.
pub fn animation(bytes: &[u8]) -> Option<Animation> {
    if !bytes.starts_with(b"RIFF") || bytes.get(8..HEAD)? != b"WEBP" || bytes.get(HEAD..HEAD + 4)? != b"VP8X" {
        return None;
    }
    if byte(bytes, 20)? & ANIMATED == 0 {
        return None;
    }
    let mut found = Animation {
        width: le24(bytes, 24)? + 1,
        height: le24(bytes, 27)? + 1,
        ..Animation::default()
    };
    let mut at = HEAD;
    while let (Some(kind), Some(length)) = (bytes.get(at..at + 4), le32(bytes, at + 4)) {
        let end = (at + 8).saturating_add(usize::try_from(length).ok()?);
        if end > bytes.len() {
            found.is_cut = true;
            break;
        }
        if kind == b"ANMF" && found.shown.len() < MAX_PICTURES {
            found.shown.push(shown_for(le24(bytes, at + 8 + 12)?));
        }
        at = end + end % 2;
    }
    let promised = usize::try_from(le32(bytes, 4)?).ok()?.saturating_add(8);
    found.is_cut |= promised > bytes.len();
    Some(found)
}

fn shown_for(milliseconds: u32) -> Duration {
    let told = if milliseconds <= LEAST_MS { DEFAULT_MS } else { milliseconds };
    Duration::from_millis(u64::from(told))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(times: &[u32]) -> Vec<u8> {
        let mut chunks = b"VP8X\x0a\0\0\0\x02\0\0\0\x3f\0\0\x1f\0\0".to_vec();
        for time in times {
            chunks.extend(b"ANMF\x10\0\0\0");
            chunks.extend([0; 12]);
            chunks.extend(&time.to_le_bytes()[..3]);
            chunks.push(0);
        }
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((chunks.len() as u32 + 4).to_le_bytes());
        bytes.extend(b"WEBP");
        bytes.extend(chunks);
        bytes
    }

    #[test]
    fn pictures_are_counted_with_the_times_that_browsers_show_them() {
        let found = animation(&file(&[40, 0, 500])).unwrap();
        assert_eq!((found.width, found.height, found.is_cut), (64, 32, false));
        let times: Vec<_> = found.shown.iter().map(Duration::as_millis).collect();
        assert_eq!(times, [40, 100, 500]);
    }

    #[test]
    fn a_file_cut_anywhere_says_so() {
        let whole = file(&[40, 50]);
        for length in 0..whole.len() {
            assert!(animation(&whole[..length]).is_none_or(|found| found.is_cut), "{length}");
        }
    }
}
