//! What a segment is, by its first bytes.

use std::{fs::File, io::Read, path::Path};

use super::{JoinError, adts};

/// Bytes that are looked at behind a tag.
const WINDOW: u64 = 4096;
/// Longest tag in front of packed sound.
const LONGEST_TAG: usize = 1 << 20;
const TS_PACKET: usize = 188;

/// Kinds of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ts,
    Mp4,
    /// Frames of AAC without a container.
    PackedAac,
    /// Frames of other sound, by their suffix.
    Packed(&'static str),
}

impl Kind {
    /// Looks at a segment. One that is none of these cannot be joined.
    pub fn of(path: &Path) -> Result<Self, JoinError> {
        let mut head = Vec::new();
        let mut file = File::open(path)?;
        file.by_ref().take(WINDOW).read_to_end(&mut head)?;
        let tag = adts::tag_length(&head);
        if tag > 0 {
            head.clear();
            File::open(path)?
                .take(tag.min(LONGEST_TAG) as u64 + WINDOW)
                .read_to_end(&mut head)?;
            head.drain(..tag.min(head.len()));
        }
        recognise(&head).ok_or_else(|| {
            JoinError::unsupported(
                "a segment is neither a transport stream nor fragmented MP4 nor packed sound",
                "check that the playlist names segments of media, and that its key is the right one where they are encrypted",
            )
        })
    }

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Ts => "ts",
            Self::Mp4 => "mp4",
            Self::PackedAac => "aac",
            Self::Packed(suffix) => suffix,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Ts => "transport stream",
            Self::Mp4 => "fragmented MP4",
            Self::PackedAac => "packed AAC",
            Self::Packed(_) => "packed sound other than AAC",
        }
    }
}

fn recognise(head: &[u8]) -> Option<Kind> {
    let is_box = |kind: &[u8]| [&b"ftyp"[..], b"styp", b"moof", b"moov", b"sidx", b"emsg", b"prft", b"free"].contains(&kind);
    if head.get(4..8).is_some_and(is_box) {
        return Some(Kind::Mp4);
    }
    if adts::Head::read(head).is_some() {
        return Some(Kind::PackedAac);
    }
    match head {
        [0x0b, 0x77, ..] => Some(Kind::Packed("ac3")),
        [0xff, second, ..] if second & 0xe6 != 0xe0 && second & 0xe0 == 0xe0 => Some(Kind::Packed("mp3")),
        _ => is_transport_stream(head).then_some(Kind::Ts),
    }
}

/// Three packets that follow each other, or as many as there are.
fn is_transport_stream(head: &[u8]) -> bool {
    let fits = |first: usize| (0..3).all(|packet| head.get(first + packet * TS_PACKET).is_none_or(|byte| *byte == 0x47));
    head.len() >= TS_PACKET && (0..TS_PACKET).any(|first| head.get(first) == Some(&0x47) && fits(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_by_their_first_bytes() {
        let mut packets = vec![0u8; 188 * 4];
        packets.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
        assert_eq!(recognise(&packets), Some(Kind::Ts));
        assert_eq!(recognise(&packets[..188]), Some(Kind::Ts));
        assert_eq!(recognise(b"\0\0\0\x18stypmsdh"), Some(Kind::Mp4));
        assert_eq!(recognise(&adts::tests::frame(100)), Some(Kind::PackedAac));
        assert_eq!(recognise(b"\xff\xfb\x90\x64"), Some(Kind::Packed("mp3")));
        assert_eq!(recognise(b"WEBVTT\n\n"), None);
        assert_eq!(recognise(b""), None);
    }
}
