//! Sample descriptions of pictures in MP4 and QuickTime (ISO/IEC 14496-12): what stands behind their fixed fields.

use super::dolby_vision::DolbyVision;
use crate::isobmff::{child, children};

/// Bytes of a description of pictures before its boxes, and of `stsd` before its descriptions.
const FIXED_BYTES: usize = 78;
const HEAD_BYTES: usize = 8;

/// What is read of a description.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VideoEntry {
    pub dolby_vision: Option<DolbyVision>,
    /// full_range_flag of a `colr` box of the kind nclx; `None`: there is none.
    pub full_range: Option<bool>,
}

impl VideoEntry {
    /// Of the first description in the body of a `stsd` box of pictures.
    pub fn first(stsd: &[u8]) -> Option<Self> {
        let entry = children(stsd.get(HEAD_BYTES..)?).next()?;
        let boxes = entry.body.get(FIXED_BYTES..)?;
        let configurations = [b"dvcC", b"dvvC", b"dvwC"];
        Some(Self {
            dolby_vision: configurations.iter().find_map(|kind| DolbyVision::read(child(boxes, kind)?)),
            full_range: children(boxes)
                .filter(|found| found.kind == *b"colr")
                .find_map(|found| full_range(found.body)),
        })
    }
}

fn full_range(colr: &[u8]) -> Option<bool> {
    let numbers = colr.strip_prefix(b"nclx")?;
    numbers.get(6).map(|flags| flags & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn boxes_behind_the_fixed_fields_are_found() {
        let colr = boxed(b"colr", b"nclx\0\x01\0\x01\0\x01\x80");
        let dvvc = boxed(b"dvvC", &[1, 0, 16, 53, 0x40, 0, 0, 0]);
        let body = [vec![0; FIXED_BYTES], boxed(b"hvcC", &[1; 30]), colr, dvvc].concat();
        let stsd = [vec![0, 0, 0, 0, 0, 0, 0, 1], boxed(b"hvc1", &body)].concat();
        let entry = VideoEntry::first(&stsd).unwrap();
        assert_eq!(entry.full_range, Some(true));
        assert_eq!(entry.dolby_vision, Some(DolbyVision { profile: 8, base: 4 }));
        for length in 0..stsd.len() {
            VideoEntry::first(&stsd[..length]);
        }
    }
}
