//! How a Matroska file says that its film is shown: the part of the coded picture that is cut away, and the size of what is left on the
//! screen. The demuxer knows the second only, and takes it for the size of the whole.

use std::io::{self, Read, Seek, SeekFrom};

use super::shown::Edges;

/// Elements that are looked at on the way to the tracks.
const MOST_ELEMENTS: usize = 10_000;
/// Tracks of a file are a few kilobytes, without attachments.
const MOST_BYTES: u64 = 4 << 20;

/// Identifiers of elements (RFC 9559, section 5).
const EBML: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const CLUSTER: u64 = 0x1f43_b675;
const TRACK: u64 = 0xae;
const TRACK_TYPE: u64 = 0x83;
const VIDEO: u64 = 0xe0;
const PIXEL_WIDTH: u64 = 0xb0;
const PIXEL_HEIGHT: u64 = 0xba;
const CROP_BOTTOM: u64 = 0x54aa;
const CROP_TOP: u64 = 0x54bb;
const CROP_LEFT: u64 = 0x54cc;
const CROP_RIGHT: u64 = 0x54dd;
const DISPLAY_WIDTH: u64 = 0x54b0;
const DISPLAY_HEIGHT: u64 = 0x54ba;
const DISPLAY_UNIT: u64 = 0x54b2;
/// The unit of a display whose size nobody knows.
const UNKNOWN_UNIT: u64 = 4;

/// What is shown of the first film's pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shown {
    pub edges: Edges,
    /// Width of a pixel divided by its height, as a fraction.
    pub pixel_aspect: (i32, i32),
}

/// `None` where nothing is cut away.
pub fn shown(file: &mut (impl Read + Seek)) -> io::Result<Option<Shown>> {
    let Some(tracks) = tracks(file)? else { return Ok(None) };
    let films = Elements(&tracks).filter(|(id, _)| *id == TRACK).map(|(_, body)| body);
    let mut films = films.filter(|body| Elements(body).any(|(id, kind)| id == TRACK_TYPE && number(kind) == 1));
    let video = films.next().and_then(|body| Elements(body).find(|(id, _)| *id == VIDEO));
    Ok(video.and_then(|(_, body)| of_video(body)))
}

fn of_video(video: &[u8]) -> Option<Shown> {
    let told = |wanted: u64| Elements(video).find(|(id, _)| *id == wanted).map(|(_, body)| number(body));
    let pixels = |wanted: u64| i32::try_from(told(wanted).unwrap_or(0)).ok();
    let (width, height) = (pixels(PIXEL_WIDTH)?, pixels(PIXEL_HEIGHT)?);
    let edges = Edges {
        left: pixels(CROP_LEFT)?,
        right: pixels(CROP_RIGHT)?,
        top: pixels(CROP_TOP)?,
        bottom: pixels(CROP_BOTTOM)?,
    };
    let edges = edges.of_picture(width, height);
    let (width, height) = (width - edges.left - edges.right, height - edges.top - edges.bottom);
    let display = |wanted: u64, pixels: i32| match told(DISPLAY_UNIT) {
        Some(UNKNOWN_UNIT) => Some(i64::from(pixels)),
        _ => i64::try_from(told(wanted).unwrap_or(pixels.unsigned_abs().into()))
            .ok()
            .filter(|size| *size < 1 << 31),
    };
    let across = display(DISPLAY_WIDTH, width)? * i64::from(height);
    let down = display(DISPLAY_HEIGHT, height)? * i64::from(width);
    (edges != Edges::default()).then(|| Shown {
        edges,
        pixel_aspect: reduced(across, down),
    })
}

fn reduced(num: i64, den: i64) -> (i32, i32) {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let part = |value: i64| i32::try_from(value / a.max(1)).ok().filter(|value| *value > 0);
    part(num).zip(part(den)).unwrap_or((1, 1))
}

/// The tracks, which stand in front of the media in every file that can be played while it is read.
fn tracks(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let mut at = 0u64;
    for _ in 0..MOST_ELEMENTS {
        file.seek(SeekFrom::Start(at))?;
        let mut head = Vec::new();
        file.by_ref().take(12).read_to_end(&mut head)?;
        let Some((id, length, header)) = element(&head) else {
            return Ok(None);
        };
        match id {
            // What is in it comes next.
            SEGMENT => at += header,
            TRACKS => {
                let mut body = Vec::new();
                file.seek(SeekFrom::Start(at + header))?;
                file.take(length.unwrap_or(MOST_BYTES).min(MOST_BYTES)).read_to_end(&mut body)?;
                return Ok(Some(body));
            }
            EBML if at > 0 => return Ok(None),
            CLUSTER => return Ok(None),
            _ => match length {
                Some(length) => at = at.saturating_add(header).saturating_add(length),
                None => return Ok(None),
            },
        }
    }
    Ok(None)
}

/// Elements one behind another, with their bodies; ends at the first that does not fit.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, length, header) = element(self.0)?;
        let (_, behind) = self.0.split_at_checked(usize::try_from(header).ok()?)?;
        let (body, rest) = behind.split_at_checked(usize::try_from(length?).ok()?)?;
        self.0 = rest;
        Some((id, body))
    }
}

/// Identifier, length of the body (`None`: unknown), and length of both numbers (RFC 8794, sections 4 to 6).
fn element(bytes: &[u8]) -> Option<(u64, Option<u64>, u64)> {
    let id_bytes = bytes.first()?.leading_zeros() as usize + 1;
    let id = bytes.get(..id_bytes).filter(|_| id_bytes <= 4).map(number)?;
    let rest = bytes.get(id_bytes..)?;
    let length_bytes = rest.first()?.leading_zeros() as usize + 1;
    let marked = rest.get(..length_bytes).filter(|_| length_bytes <= 8).map(number)?;
    let most = (1u64 << (7 * length_bytes)) - 1;
    let length = marked & most;
    Some((id, (length != most).then_some(length), (id_bytes + length_bytes) as u64))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn part(id: u64, body: &[u8]) -> Vec<u8> {
        let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
        let length = (0x1000_0000 | body.len() as u32).to_be_bytes();
        [&id, &length[..], body].concat()
    }

    fn film(parts: &[(u64, u16)]) -> Vec<u8> {
        let video: Vec<u8> = parts.iter().flat_map(|(id, value)| part(*id, &value.to_be_bytes())).collect();
        let sound = part(TRACK, &part(TRACK_TYPE, &[2]));
        let track = part(TRACK, &[part(TRACK_TYPE, &[1]), part(VIDEO, &video)].concat());
        let inside = [
            part(0x1549_a966, b"information"),
            part(TRACKS, &[sound, track].concat()),
            part(CLUSTER, b"media"),
        ]
        .concat();
        // Recorders leave the length of the segment open.
        [
            part(EBML, b"head"),
            vec![0x18, 0x53, 0x80, 0x67, 0x01, 255, 255, 255, 255, 255, 255, 255],
            inside,
        ]
        .concat()
    }

    fn read(bytes: &[u8]) -> Option<Shown> {
        shown(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn what_is_cut_away_changes_the_aspect_of_pixels() {
        let size = [(PIXEL_WIDTH, 720), (PIXEL_HEIGHT, 576)];
        assert_eq!(read(&film(&size)), None);
        let cut = [(CROP_LEFT, 8), (CROP_RIGHT, 10), (CROP_TOP, 0)];
        let edges = Edges {
            left: 8,
            right: 10,
            ..Edges::default()
        };
        let found = read(&film(&[&size[..], &cut].concat())).unwrap();
        assert_eq!((found.edges, found.pixel_aspect), (edges, (1, 1)));
        let display = [(DISPLAY_WIDTH, 768), (DISPLAY_HEIGHT, 576)];
        let found = read(&film(&[&size[..], &cut, &display].concat())).unwrap();
        assert_eq!(found.pixel_aspect, (128, 117));
        let unknown = [(DISPLAY_UNIT, 4)];
        let found = read(&film(&[&size[..], &cut, &display, &unknown].concat())).unwrap();
        assert_eq!(found.pixel_aspect, (1, 1));
    }

    #[test]
    fn a_file_cut_anywhere_tells_nothing_or_the_truth() {
        let whole = film(&[(PIXEL_WIDTH, 100), (PIXEL_HEIGHT, 50), (CROP_LEFT, 20)]);
        let truth = read(&whole);
        for length in 0..whole.len() {
            let found = read(&whole[..length]);
            assert!(found.is_none() || found == truth, "{length}");
        }
        assert_eq!(read(&[0; 40]), None);
    }
}
