//! Which tracks of a finished Matroska file players play by themselves: the muxer writes no flag, which means all of them. And the texts of
//! its tags, which the muxer writes as GStreamer prints values.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use super::{Kind, Track};

/// How far into a file its tracks lie at most, and how long its end is in which tags lie.
const HEAD: u64 = 1 << 20;
/// Head of the track's UID, behind its type, as the muxer writes them. It is a random number of eight bytes, without those that are zero in front.
const UID_HEAD: [u8; 2] = [0x73, 0xc5];
/// The same UID in tags.
const TAG_UID_HEAD: [u8; 2] = [0x63, 0xc5];
/// What the mark takes of the UID.
const MARK_BYTES: usize = 3;
/// The length of an element of less than 127 bytes.
const SHORT: u8 = 0x80;

/// Heads of the name of a tag, and of its text, which follows it.
const TAG_NAME: [u8; 2] = [0x45, 0xa3];
const TAG_TEXT: [u8; 2] = [0x44, 0x87];

/// Types of tracks, as their elements stand.
fn track_type(kind: Kind) -> [u8; 3] {
    [
        0x83,
        0x81,
        match kind {
            Kind::Film => 1,
            Kind::Sound => 2,
            Kind::Text => 0x11,
        },
    ]
}

/// Takes the mark from tracks that are no default. Three bytes of the random UID make room for one.
pub fn mark(file: &mut File, tracks: &[Track]) -> io::Result<()> {
    if tracks.iter().all(|track| track.enabled) {
        return Ok(());
    }
    let length = file.metadata()?.len();
    let head = read_at(file, 0, HEAD.min(length))?;
    let tail_start = length.saturating_sub(HEAD);
    let tail = read_at(file, tail_start, length - tail_start)?;
    for kind in [Kind::Sound, Kind::Text] {
        let uids = uids(&head, kind);
        let told: Vec<&Track> = tracks.iter().filter(|track| track.kind == kind).collect();
        if uids.len() < told.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a track is missing"));
        }
        for (uid, _) in uids.into_iter().zip(told).filter(|(_, track)| !track.enabled) {
            unmark(file, uid, &head, (tail_start, &tail))?;
        }
    }
    Ok(())
}

/// Where the UIDs of the tracks of a kind stand.
fn uids(head: &[u8], kind: Kind) -> Vec<Range<usize>> {
    let typed = [&track_type(kind)[..], &UID_HEAD].concat();
    let found = positions(head, &typed).filter_map(|at| body(head, at + typed.len()));
    found.filter(|uid| uid.len() <= 8).collect()
}

fn unmark(file: &mut File, at: Range<usize>, head: &[u8], (tail_start, tail): (u64, &[u8])) -> io::Result<()> {
    let length_at = at.start.saturating_sub(1) as u64;
    let uid = head.get(at).unwrap_or_default();
    let mut short = uid.get(MARK_BYTES..).unwrap_or_default().to_vec();
    // Never zero, which is no UID. Of one of three bytes, one in a billion, nothing can be spared.
    let Some(last) = short.last_mut() else { return Ok(()) };
    *last |= 1;
    let told = [&[SHORT | short.len() as u8], short.as_slice(), &[0x88, 0x81, 0x00]].concat();
    write_at(file, length_at, &told)?;
    let tagged = [&TAG_UID_HEAD[..], &[SHORT | uid.len() as u8], uid].concat();
    let renamed = [&[0; MARK_BYTES], short.as_slice()].concat();
    for (from, part) in [(0, head), (tail_start, tail)] {
        for tag in positions(part, &tagged) {
            write_at(file, from + (tag + TAG_UID_HEAD.len() + 1) as u64, &renamed)?;
        }
    }
    Ok(())
}

/// Puts the texts of tags as they are meant in the place of those in quotes and backslashes. Zeros fill the rest: a text ends there.
pub fn plain_texts(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let tail_start = length.saturating_sub(HEAD).max(HEAD.min(length));
    for (from, until) in [(0, HEAD.min(length)), (tail_start, length)] {
        let part = read_at(file, from, until - from)?;
        for text in positions(&part, &TAG_NAME).filter_map(|at| text_of(&part, at)) {
            let Some(mut plain) = part.get(text.clone()).and_then(meant) else {
                continue;
            };
            plain.resize(text.len(), 0);
            write_at(file, from + text.start as u64, &plain)?;
        }
    }
    Ok(())
}

/// Where the text of a tag lies whose name's head is at `at`.
fn text_of(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let name = body(bytes, at + TAG_NAME.len())?;
    let head = bytes.get(name.end..)?.starts_with(&TAG_TEXT);
    head.then(|| body(bytes, name.end + TAG_TEXT.len()))?
}

/// The body of an element, of which the length is at `at`.
fn body(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let width = bytes.get(at)?.leading_zeros() as usize + 1;
    let length = bytes.get(at..at + width).filter(|_| width <= 8)?;
    let length = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte)) & ((1 << (7 * width)) - 1);
    let start = at + width;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}

/// What a printed text means, which may end with zeros; `None`: it is none.
fn meant(text: &[u8]) -> Option<Vec<u8>> {
    let octal = |digit: u8| digit.checked_sub(b'0').filter(|digit| *digit < 8);
    let end = text.iter().rposition(|byte| *byte != 0)? + 1;
    let mut rest = text.get(..end)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = rest.next() {
        plain.push(match byte {
            b'"' => return None,
            b'\\' => match rest.next()? {
                first @ b'0'..=b'3' => octal(first)? << 6 | octal(rest.next()?)? << 3 | octal(rest.next()?)?,
                other => other,
            },
            other => other,
        });
    }
    Some(plain)
}

fn positions<'a>(bytes: &'a [u8], pattern: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let found = bytes.windows(pattern.len()).enumerate();
    found.filter(move |(_, window)| *window == pattern).map(|(at, _)| at)
}

fn read_at(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn write_at(file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_marked_whatever_their_random_numbers_are() {
        use std::io::Seek;
        let track = |uid: &[u8]| [&[0x83, 0x81, 2, 0x73, 0xc5, 0x80 | uid.len() as u8][..], uid].concat();
        let (long, short) = ([9, 8, 7, 6, 5, 4, 3, 2], [7, 6, 5, 4, 3, 2, 1]);
        let tag = [&[0x63, 0xc5, 0x87][..], &short].concat();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[track(&long), track(&short), tag].concat()).unwrap();
        let of = |enabled| Track {
            enabled,
            kind: Kind::Sound,
            title: String::new(),
            turn: crate::finish::Turn::default(),
            colours: None,
            span: None,
        };
        mark(&mut file, &[of(true), of(false)]).unwrap();
        file.rewind().unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let marked = [&[0x83, 0x81, 2, 0x73, 0xc5, 0x84, 4, 3, 2, 1][..], &[0x88, 0x81, 0]].concat();
        let tag = [0x63, 0xc5, 0x87, 0, 0, 0, 4, 3, 2, 1];
        assert_eq!(bytes, [track(&long), marked, tag.to_vec()].concat());
    }

    #[test]
    fn printed_texts_become_what_they_mean() {
        let plain = |text: &str| meant(text.as_bytes()).map(|plain| String::from_utf8(plain).unwrap());
        assert_eq!(plain(r#""Hello\ world""#).as_deref(), Some("Hello world"));
        assert_eq!(plain(r#""say\ \"x\"\\y\303\251""#).as_deref(), Some(r#"say "x"\yé"#));
        assert_eq!(plain("\"Hello\\ world\"\0").as_deref(), Some("Hello world"));
        for other in ["plain", r#""two" texts""#, r#""cut\30""#, r#""cut\""#] {
            assert_eq!(plain(other), None, "{other}");
        }
    }
}
