//! What a file holds beside pictures, sounds and subtitles: copies leave it out, and say so.

use crate::{
    isobmff::{be32, child, children, descendant},
    parse::matroska,
};

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside {
    pub chapters: usize,
    /// Tracks of subtitles by the index; `None`: those among the streams. A demuxer may hide tracks of text that tell of chapters, or not.
    pub subtitles: Option<usize>,
    pub timecodes: usize,
    /// Tracks of other data, such as positions.
    pub data: usize,
    /// Attached files that are no pictures, such as fonts.
    pub attachments: usize,
}

impl Beside {
    /// Of an MP4's index.
    pub fn of_mp4(moov: &[u8]) -> Self {
        let tracks = || children(moov).filter(|found| found.kind == *b"trak").map(|found| found.body);
        let named: Vec<u32> = tracks()
            .filter_map(|trak| descendant(trak, &[b"tref", b"chap"]))
            .flat_map(|ids| ids.chunks_exact(4).filter_map(|id| be32(id, 0)))
            .collect();
        let (mut beside, mut subtitles) = (Self::default(), 0);
        for trak in tracks() {
            let handler = descendant(trak, &[b"mdia", b"hdlr"])
                .and_then(|body| body.get(8..12))
                .unwrap_or_default();
            match handler {
                b"tmcd" => beside.timecodes += 1,
                b"text" | b"sbtl" if named.contains(&id(trak)) => {
                    beside.chapters = beside.chapters.max(samples(trak));
                }
                b"text" | b"sbtl" | b"subt" | b"clcp" | b"subp" => subtitles += 1,
                b"vide" | b"soun" | b"auxv" | b"pict" | b"hint" | b"" => {}
                _ => beside.data += 1,
            }
        }
        beside.subtitles = Some(subtitles);
        // Version and flags, a reserved number, and how many there are.
        let listed = descendant(moov, &[b"udta", b"chpl"]).and_then(|list| list.get(8));
        beside.chapters = beside.chapters.max(listed.copied().map_or(0, usize::from));
        beside
    }

    /// Of a Matroska or WebM file, as far as its beginning tells.
    pub fn of_matroska(head: &[u8]) -> Self {
        let (chapters, attachments) = matroska::beside(head);
        Self {
            chapters,
            attachments,
            ..Self::default()
        }
    }

    /// In words, with that many streams of subtitles and further films.
    pub fn in_words(&self, subtitles: usize, films: usize) -> Option<String> {
        let kinds = [
            (films, "further video track"),
            (self.subtitles.unwrap_or(subtitles), "subtitle track"),
            (self.chapters, "chapter"),
            (self.timecodes, "timecode track"),
            (self.data, "data track"),
            (self.attachments, "attachment"),
        ];
        let counted = kinds.iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = counted
            .map(|(count, name)| format!("{count} {name}{}", if *count == 1 { "" } else { "s" }))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

fn id(trak: &[u8]) -> u32 {
    let header = child(trak, b"tkhd").unwrap_or_default();
    be32(header, if header.first() == Some(&1) { 20 } else { 12 }).unwrap_or(0)
}

/// How many samples a track has.
fn samples(trak: &[u8]) -> usize {
    let sizes = descendant(trak, &[b"mdia", b"minf", b"stbl", b"stsz"]);
    let count = sizes.and_then(|sizes| be32(sizes, 8)).unwrap_or(0);
    usize::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isobmff::boxed;

    fn trak(number: u32, handler: &[u8; 4], chapters: Option<u32>) -> Vec<u8> {
        let mut tkhd = vec![0; 84];
        tkhd[12..16].copy_from_slice(&number.to_be_bytes());
        let hdlr = [&[0; 8], handler.as_slice(), &[0; 12]].concat();
        let stsz = [[0; 4], [0; 4], 3u32.to_be_bytes()].concat();
        let nested = |body: Vec<u8>, kinds: &[&[u8; 4]]| kinds.iter().rev().fold(body, |body, kind| boxed(kind, &body).unwrap());
        let mdia = [nested(hdlr, &[b"hdlr"]), nested(stsz, &[b"minf", b"stbl", b"stsz"])].concat();
        let tref = chapters
            .map(|id| nested(id.to_be_bytes().to_vec(), &[b"tref", b"chap"]))
            .unwrap_or_default();
        nested([nested(tkhd, &[b"tkhd"]), tref, nested(mdia, &[b"mdia"])].concat(), &[b"trak"])
    }

    #[test]
    fn what_is_no_picture_or_sound_is_counted() {
        let kinds: [(&[u8; 4], Option<u32>); 6] = [
            (b"vide", Some(5)),
            (b"soun", None),
            (b"tmcd", None),
            (b"meta", None),
            (b"text", None),
            (b"sbtl", None),
        ];
        let tracks: Vec<u8> = (1..)
            .zip(kinds)
            .flat_map(|(number, (handler, chapters))| trak(number, handler, chapters))
            .collect();
        let beside = Beside::of_mp4(&tracks);
        let expected = Beside {
            chapters: 3,
            subtitles: Some(1),
            timecodes: 1,
            data: 1,
            attachments: 0,
        };
        assert_eq!(beside, expected);
        assert_eq!(
            beside.in_words(3, 0).as_deref(),
            Some("1 subtitle track, 3 chapters, 1 timecode track, 1 data track")
        );
        assert_eq!(Beside::default().in_words(0, 0), None);
        for length in 0..tracks.len() {
            let _ = Beside::of_mp4(&tracks[..length]);
        }
    }
}
