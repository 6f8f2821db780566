//! The file of a segment: where its fragments and their media lie.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    path::Path,
};

use mps_media::isobmff::{self, FileBox};

use super::init;
use crate::join::{JoinError, Segment};

/// Largest index of a fragment.
const MOST_INDEX_BYTES: u64 = 64 << 20;

/// A segment that is read.
pub struct Parts {
    file: File,
    pub position: u64,
    pub fragments: VecDeque<Place>,
}

/// Where a fragment and its data lie in the file of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub moof: FileBox,
    pub data: Range<u64>,
    /// Where the last box of media begins, which may leave its size open.
    last: u64,
}

impl Parts {
    pub fn open(segment: &Segment) -> Result<Self, JoinError> {
        let mut file = File::open(&segment.path)?;
        let size = file.metadata()?.len();
        let boxes = isobmff::top_level(&mut file, size)?;
        if boxes.iter().any(|found| found.end > size) {
            return Err(JoinError::damaged("a segment ends inside a box: it was cut"));
        }
        // What a reader does not take for a box it leaves out; a header that is not whole has no bytes of media.
        if boxes.last().is_some_and(|last| last.end + 8 <= size) {
            return Err(JoinError::damaged("a segment holds bytes that are no boxes"));
        }
        let fragments: VecDeque<Place> = fragments(&boxes).into();
        if fragments.is_empty() {
            return Err(if boxes.iter().any(|found| found.kind == *b"mdat") {
                init::whole_files()
            } else {
                JoinError::damaged("a segment has no fragment of media")
            });
        }
        Ok(Self {
            file,
            position: segment.position,
            fragments,
        })
    }

    pub fn moof(&mut self, place: &Place) -> Result<Vec<u8>, JoinError> {
        if place.moof.end - place.moof.start > MOST_INDEX_BYTES {
            return Err(JoinError::damaged("the index of a fragment is too large"));
        }
        Ok(isobmff::read_body(&mut self.file, &place.moof)?)
    }

    /// Copies what belongs to a fragment; its size is told where it was left open, since more follows in the joined file.
    pub fn copy(&mut self, place: &Place, out: &mut impl Write) -> Result<u64, JoinError> {
        let Place { data, last, .. } = place;
        if data.is_empty() {
            return Ok(0);
        }
        let mut size = [0; 4];
        self.file.seek(SeekFrom::Start(*last))?;
        self.file.read_exact(&mut size)?;
        if size == [0; 4] {
            let told = u32::try_from(data.end - last).map_err(|_| JoinError::damaged("the media of a segment is too large for its box"))?;
            size = told.to_be_bytes();
        }
        self.file.seek(SeekFrom::Start(data.start))?;
        std::io::copy(&mut (&self.file).take(last - data.start), out)?;
        out.write_all(&size)?;
        self.file.seek(SeekFrom::Start(last + 4))?;
        std::io::copy(&mut (&self.file).take(data.end - last - 4), out)?;
        Ok(data.end - data.start)
    }
}

/// Fragments, each with what lies behind it up to the end of its media.
fn fragments(boxes: &[FileBox]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    for found in boxes {
        match (&found.kind, places.last_mut()) {
            (b"moof", _) => places.push(Place {
                moof: *found,
                data: found.end..found.end,
                last: found.end,
            }),
            (b"mdat", Some(place)) => {
                place.data.end = found.end;
                place.last = found.start;
            }
            _ => {}
        }
    }
    places
}

/// The section in front of a segment, or the one that it begins with.
pub fn init_bytes(segment: &Segment) -> Result<Vec<u8>, JoinError> {
    let path: &Path = segment.init.as_deref().unwrap_or(&segment.path);
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let boxes = isobmff::top_level(&mut file, size)?;
    let mut bytes = Vec::new();
    for kind in [b"ftyp", b"moov"] {
        if let Some(found) = boxes.iter().find(|found| found.kind == *kind) {
            bytes.extend(init::boxed(kind, &isobmff::read_body(&mut file, found)?));
        }
    }
    if isobmff::child(&bytes, b"moov").is_none() {
        return Err(JoinError::unsupported(
            "the playlist's segments are fragments of MP4 without an initialisation section",
            "name the section with EXT-X-MAP in the playlist",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_without_media_is_copied_and_an_open_size_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let boxes = [&[0, 0, 0, 8][..], b"moof", &[0; 4], b"mdat", b"media"].concat();
        let moof = FileBox {
            kind: *b"moof",
            start: 0,
            header: 8,
            end: 8,
        };
        let copied = |bytes: &[u8], data: Range<u64>| {
            std::fs::write(file.path(), bytes).unwrap();
            let mut parts = Parts {
                file: File::open(file.path()).unwrap(),
                position: 0,
                fragments: VecDeque::new(),
            };
            let place = Place {
                moof,
                last: data.start,
                data,
            };
            let mut out = Vec::new();
            let length = parts.copy(&place, &mut out).unwrap();
            assert_eq!(length, out.len() as u64);
            out
        };
        assert_eq!(copied(&boxes[..8], 8..8), b"");
        assert_eq!(copied(&boxes, 8..21), b"\0\0\0\x0dmdatmedia");
    }

    #[test]
    fn data_goes_with_its_fragment_and_other_boxes_do_not() {
        let mut start = 0;
        let mut found = |kind: &[u8; 4], size: u64| {
            start += size;
            FileBox {
                kind: *kind,
                start: start - size,
                header: 8,
                end: start,
            }
        };
        let boxes = [
            found(b"styp", 24),
            found(b"moof", 100),
            found(b"mdat", 500),
            found(b"sidx", 44),
            found(b"moof", 100),
            found(b"free", 8),
            found(b"mdat", 60),
            found(b"mfra", 50),
        ];
        let data: Vec<_> = fragments(&boxes).into_iter().map(|place| place.data).collect();
        assert_eq!(data, [124..624, 768..836]);
    }
}
