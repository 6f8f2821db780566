//! The index (moov) of a finished MP4 or QuickTime file with what its muxer leaves out.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use super::{
    Turn,
    edits::{Edits, ticks},
};
use crate::isobmff::{Child, be32, be64, boxed, child, children, descendant, read_body, rebuilt, top_level};

/// What readers pass over.
const WAITING: &[u8; 4] = b"free";

/// What a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Film,
    Sound,
    Text,
}

impl Kind {
    fn of(handler: &[u8]) -> Option<Self> {
        match handler {
            b"vide" => Some(Self::Film),
            b"soun" => Some(Self::Sound),
            b"sbtl" | b"text" | b"subt" => Some(Self::Text),
            _ => None,
        }
    }

    /// Players play one track of a group; zero is none.
    fn group(self) -> u16 {
        match self {
            Self::Film => 0,
            Self::Sound => 1,
            Self::Text => 2,
        }
    }
}

/// What is to be said of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub kind: Kind,
    /// Whether players play it by themselves.
    pub enabled: bool,
    /// Its name; empty: none.
    pub title: String,
    pub turn: Turn,
    /// Primaries, transfer and matrix as ISO/IEC 23091-2 numbers them, and whether the range is full: of AV1, whose muxer leaves it out.
    pub colours: Option<([u16; 3], bool)>,
    /// How long it is shown from its first picture on. The muxer lets it end with the picture that is decoded last, which is not the one
    /// that is shown last.
    pub span: Option<Duration>,
}

/// What is to be said of a film. Tracks of each kind in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Movie {
    pub tracks: Vec<Track>,
    /// How long the media are before what is shown of them.
    pub lead: Duration,
    /// How long the presentation is; `None`: to the end of the media.
    pub length: Option<Duration>,
}

impl Movie {
    /// Whether what is shown is less than the media.
    pub fn is_cut(&self) -> bool {
        !self.lead.is_zero() || self.length.is_some()
    }
}

/// The index with all of that. Edit lists that leave out media stand beside those of the muxer, under another name: see `settle`.
pub fn changed(moov: &[u8], movie: &Movie) -> io::Result<Vec<u8>> {
    let movie_timescale = child(moov, b"mvhd").and_then(timescale).unwrap_or(1);
    let mut left: Vec<&Track> = movie.tracks.iter().collect();
    let mut longest = 0;
    let mut changed = rebuilt(moov, &mut |found| {
        if found.kind != *b"trak" {
            return Ok(None);
        }
        let kind = handler(found.body).and_then(Kind::of);
        let place = left.iter().position(|track| Some(track.kind) == kind);
        let told = place.map(|place| left.remove(place));
        let span = told.and_then(|told| told.span).unwrap_or_default();
        let whole = lasting(found.body, span, movie_timescale, &mut longest)?;
        boxed(b"trak", &track(&whole, told, movie, movie_timescale)?).map(Some)
    })?;
    let head = children(&changed).find(|found| found.kind == *b"mvhd");
    let place = head.map(|head| {
        (
            head.offset,
            length_of(head.body, MEDIA_LENGTH),
            length_field(head.body, MEDIA_LENGTH, longest),
        )
    });
    if let Some((offset, told, (at, value))) = place
        && told.is_some_and(|told| told < longest)
    {
        put(&mut changed, offset + at, &value);
    }
    Ok(changed)
}

/// A track that is shown for `span` at least; `longest` is raised to the end of one that was shown for less, in ticks of the movie.
fn lasting(trak: &[u8], span: Duration, movie_timescale: u32, longest: &mut u64) -> io::Result<Vec<u8>> {
    let own = descendant(trak, &[b"mdia", b"mdhd"]).and_then(timescale).unwrap_or(1);
    let edits = descendant(trak, &[b"edts", b"elst"]).and_then(Edits::read);
    let Some(edits) = edits.filter(|edits| edits.is_shorter_than(span, movie_timescale)) else {
        return Ok(trak.to_vec());
    };
    let edits = edits.lasting(span, movie_timescale);
    *longest = edits.whole().max(*longest);
    let of_media = edits.media + ticks(span, own);
    rebuilt(trak, &mut |found| match &found.kind {
        b"tkhd" => boxed(b"tkhd", &with_length(found.body, TRACK_LENGTH, edits.whole())).map(Some),
        b"edts" => boxed(b"edts", &boxed(b"elst", &edits.body())?).map(Some),
        b"mdia" => {
            let media = rebuilt(found.body, &mut |found| match &found.kind {
                b"mdhd" => boxed(b"mdhd", &with_length(found.body, MEDIA_LENGTH, of_media)).map(Some),
                _ => Ok(None),
            })?;
            boxed(b"mdia", &media).map(Some)
        }
        _ => Ok(None),
    })
}

/// Where a header of the movie or of media says its length, in version 0 and version 1.
const MEDIA_LENGTH: [usize; 2] = [16, 24];
/// The same of a header of a track.
const TRACK_LENGTH: [usize; 2] = [20, 28];

/// A header with at least that length.
fn with_length(header: &[u8], places: [usize; 2], length: u64) -> Vec<u8> {
    let mut header = header.to_vec();
    if length_of(&header, places).is_some_and(|told| told < length) {
        let (at, value) = length_field(&header, places, length);
        put(&mut header, at, &value);
    }
    header
}

fn length_of(header: &[u8], places: [usize; 2]) -> Option<u64> {
    match header.first()? {
        1 => be64(header, places[1]),
        _ => be32(header, places[0]).map(u64::from),
    }
}

fn handler(trak: &[u8]) -> Option<&[u8]> {
    descendant(trak, &[b"mdia", b"hdlr"])?.get(8..12)
}

/// Time scale of an mvhd or mdhd.
fn timescale(header: &[u8]) -> Option<u32> {
    be32(header, if header.first() == Some(&1) { 20 } else { 12 })
}

/// A track with what is told of it.
fn track(trak: &[u8], told: Option<&Track>, movie: &Movie, movie_timescale: u32) -> io::Result<Vec<u8>> {
    let own = descendant(trak, &[b"mdia", b"mdhd"]).and_then(timescale).unwrap_or(1);
    let edits = descendant(trak, &[b"edts", b"elst"])
        .and_then(Edits::read)
        .filter(|_| movie.is_cut())
        .map(|edits| edits.begun_at(movie.lead, movie.length, (movie_timescale, own)));
    let mut body = rebuilt(trak, &mut |found| match (&found.kind, told) {
        (b"tkhd", Some(told)) => boxed(b"tkhd", &head(found.body, told)).map(Some),
        (b"mdia", _) => media(found.body, told).map(Some),
        _ => Ok(None),
    })?;
    if let Some(title) = told.map(|told| told.title.as_str()).filter(|title| !title.is_empty()) {
        body.extend(boxed(b"udta", &boxed(b"name", title.as_bytes())?)?);
    }
    if let Some(edits) = edits {
        body.extend(boxed(WAITING, &boxed(b"elst", &edits.body())?)?);
    }
    Ok(body)
}

/// Puts the edit lists that wait into the place of the muxer's, in the finished file: the boxes change names, and headers their lengths.
pub fn settle(path: &Path) -> io::Result<()> {
    let mut file = File::options().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let index = top_level(&mut file, length)?.into_iter().find(|found| found.kind == *b"moov");
    let index = index.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file has no index"))?;
    let body = read_body(&mut file, &index)?;
    let mut longest = 0;
    let mut changes = Vec::new();
    for trak in children(&body).filter(|found| found.kind == *b"trak") {
        let place = |kind: &[u8; 4]| children(trak.body).find(|found| found.kind == *kind);
        let edits = place(WAITING).and_then(|waiting| Edits::read(child(waiting.body, b"elst")?));
        let (Some(edits), Some(old), Some(new), Some(head)) = (edits, place(b"edts"), place(WAITING), place(b"tkhd")) else {
            continue;
        };
        longest = longest.max(edits.whole());
        // The kind stands in front of the body.
        changes.push((trak.offset + old.offset - 4, WAITING.to_vec()));
        changes.push((trak.offset + new.offset - 4, b"edts".to_vec()));
        let (at, value) = length_field(head.body, TRACK_LENGTH, edits.whole());
        changes.push((trak.offset + head.offset + at, value));
    }
    if let Some(head) = children(&body).find(|found| found.kind == *b"mvhd") {
        let (at, value) = length_field(head.body, MEDIA_LENGTH, longest);
        changes.push((head.offset + at, value));
    }
    for (at, value) in changes {
        file.seek(SeekFrom::Start(index.start + index.header + at as u64))?;
        file.write_all(&value)?;
    }
    file.sync_data()
}

/// A track header: flags, group and matrix.
fn head(tkhd: &[u8], told: &Track) -> Vec<u8> {
    const ENABLED: u8 = 1;
    let mut header = tkhd.to_vec();
    // Version 1 has three longer fields in front.
    let late = if header.first() == Some(&1) { 12 } else { 0 };
    if let Some(flags) = header.get_mut(3) {
        *flags = if told.enabled { *flags | ENABLED } else { *flags & !ENABLED };
    }
    put(&mut header, 34 + late, &told.kind.group().to_be_bytes());
    if told.kind == Kind::Film && !told.turn.is_none() {
        let side = |at: usize| be32(tkhd, at + late).map_or(0, |side| (side >> 16) as i32);
        let matrix = told.turn.matrix((side(76), side(80)));
        put(&mut header, 40 + late, &matrix.map(i32::to_be_bytes).concat());
    }
    header
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Where a header says its length, and how. `places`: in version 0 and version 1.
fn length_field(header: &[u8], places: [usize; 2], length: u64) -> (usize, Vec<u8>) {
    match header.first() {
        Some(1) => (places[1], length.to_be_bytes().to_vec()),
        _ => (places[0], u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec()),
    }
}

fn media(mdia: &[u8], told: Option<&Track>) -> io::Result<Vec<u8>> {
    let body = rebuilt(mdia, &mut |found| match (&found.kind, told) {
        (b"hdlr", Some(told)) if !told.title.is_empty() => boxed(b"hdlr", &named(found.body, &told.title)).map(Some),
        (b"minf", Some(told)) if told.colours.is_some() => coloured(found, told).map(Some),
        _ => Ok(None),
    })?;
    boxed(b"mdia", &body)
}

/// A handler with a name, which is what many players show: counted in QuickTime, ended by a zero in MP4.
fn named(hdlr: &[u8], title: &str) -> Vec<u8> {
    /// Version, flags, component type, handler, three reserved fields.
    const HEAD: usize = 24;
    let mut body = hdlr.get(..HEAD).unwrap_or(hdlr).to_vec();
    if hdlr.get(4..8) == Some(b"mhlr") {
        let most = (0..=title.len().min(255)).rev().find(|at| title.is_char_boundary(*at)).unwrap_or(0);
        body.push(most as u8);
        body.extend(&title.as_bytes()[..most]);
    } else {
        body.extend(title.bytes().filter(|byte| *byte != 0));
        body.push(0);
    }
    body
}

/// The path down to the sample entry, with colours in it.
fn coloured(minf: &Child<'_>, told: &Track) -> io::Result<Vec<u8>> {
    let body = rebuilt(minf.body, &mut |found| match &found.kind {
        b"stbl" => {
            let table = rebuilt(found.body, &mut |found| match &found.kind {
                b"stsd" => described(found.body, told).map(Some),
                _ => Ok(None),
            })?;
            boxed(b"stbl", &table).map(Some)
        }
        _ => Ok(None),
    })?;
    boxed(b"minf", &body)
}

fn described(stsd: &[u8], told: &Track) -> io::Result<Vec<u8>> {
    /// Version, flags and number of entries; the fixed part of an entry of pictures.
    const HEAD: usize = 8;
    const ENTRY: usize = 78;
    let (head, entries) = stsd.split_at_checked(HEAD).unwrap_or((stsd, &[]));
    let mut body = head.to_vec();
    body.extend(rebuilt(entries, &mut |found| {
        let (Some(colours), Some(inner)) = (told.colours, found.body.get(ENTRY..)) else {
            return Ok(None);
        };
        if found.kind != *b"av01" || child(inner, b"colr").is_some() {
            return Ok(None);
        }
        let mut entry = found.body.to_vec();
        entry.extend(boxed(b"colr", &nclx(colours))?);
        boxed(b"av01", &entry).map(Some)
    })?);
    boxed(b"stsd", &body)
}

fn nclx((numbers, is_full): ([u16; 3], bool)) -> Vec<u8> {
    let mut body = b"nclx".to_vec();
    body.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    body.push(u8::from(is_full) << 7);
    body
}

/// Tracks of a kind in an index.
#[cfg(test)]
fn tracks(moov: &[u8]) -> Vec<Child<'_>> {
    children(moov).filter(|found| found.kind == *b"trak").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trak(handler: &[u8; 4], component: [u8; 4]) -> Vec<u8> {
        let mut tkhd = vec![0u8; 84];
        tkhd[3] = 7;
        tkhd[76..80].copy_from_slice(&(320u32 << 16).to_be_bytes());
        tkhd[80..84].copy_from_slice(&(180u32 << 16).to_be_bytes());
        let mut mdhd = vec![0u8; 24];
        mdhd[12..16].copy_from_slice(&15_000u32.to_be_bytes());
        let mut hdlr = [[0; 4], component, *handler].concat();
        hdlr.extend([0; 12]);
        hdlr.extend(b"Handler\0");
        let list = Edits {
            empty: 0,
            media: 0,
            length: 3000,
        };
        let mdia = [boxed(b"mdhd", &mdhd).unwrap(), boxed(b"hdlr", &hdlr).unwrap()].concat();
        let edts = boxed(b"elst", &list.body()).unwrap();
        let parts = [(b"tkhd", tkhd), (b"edts", edts), (b"mdia", mdia)];
        let body: Vec<u8> = parts.iter().flat_map(|(kind, body)| boxed(kind, body).unwrap()).collect();
        boxed(b"trak", &body).unwrap()
    }

    fn moov() -> Vec<u8> {
        let mut mvhd = vec![0u8; 100];
        mvhd[12..16].copy_from_slice(&1000u32.to_be_bytes());
        let tracks = [trak(b"vide", [0; 4]), trak(b"soun", [0; 4]), trak(b"soun", *b"mhlr")].concat();
        [boxed(b"mvhd", &mvhd).unwrap(), tracks].concat()
    }

    fn told(kind: Kind, enabled: bool, title: &str) -> Track {
        Track {
            kind,
            enabled,
            title: title.into(),
            turn: Turn {
                mirrored: false,
                rotation_deg: 90,
            },
            colours: None,
            span: None,
        }
    }

    fn movie() -> Movie {
        Movie {
            tracks: vec![
                told(Kind::Film, true, ""),
                told(Kind::Sound, true, "Mix"),
                told(Kind::Sound, false, "Grüße"),
            ],
            ..Movie::default()
        }
    }

    #[test]
    fn tracks_are_on_named_and_turned_as_told() {
        let body = changed(&moov(), &movie()).unwrap();
        let headers: Vec<&[u8]> = tracks(&body).iter().map(|found| child(found.body, b"tkhd").unwrap()).collect();
        let flags_and_groups: Vec<_> = headers.iter().map(|header| (header[3], header[35])).collect();
        assert_eq!(flags_and_groups, [(7, 0), (7, 1), (6, 1)]);
        assert_eq!(be32(headers[0], 44), Some(0x0001_0000), "turned");
        assert_eq!(be32(headers[1], 44), Some(0), "sound is not");
        let names: Vec<_> = tracks(&body)
            .iter()
            .map(|found| descendant(found.body, &[b"udta", b"name"]).map(<[u8]>::to_vec))
            .collect();
        assert_eq!(names, [None, Some(b"Mix".to_vec()), Some("Grüße".as_bytes().to_vec())]);
        let shown: Vec<_> = tracks(&body)
            .iter()
            .map(|found| descendant(found.body, &[b"mdia", b"hdlr"]).unwrap()[24..].to_vec())
            .collect();
        assert_eq!(
            shown,
            [b"Handler\0".to_vec(), b"Mix\0".to_vec(), [&[7], "Grüße".as_bytes()].concat()]
        );
    }

    #[test]
    fn a_film_is_shown_as_long_as_told_if_its_muxer_says_less() {
        let lasting = |millis: u64| {
            let mut movie = movie();
            movie.tracks[0].span = Some(Duration::from_millis(millis));
            changed(&moov(), &movie).unwrap()
        };
        let lengths = |body: &[u8]| {
            let film = tracks(body)[0].body;
            let list = descendant(film, &[b"edts", b"elst"]).and_then(Edits::read).unwrap().length;
            let media = descendant(film, &[b"mdia", b"mdhd"]).unwrap();
            (
                list,
                be32(child(film, b"tkhd").unwrap(), 20),
                be32(media, 16),
                be32(child(body, b"mvhd").unwrap(), 16),
            )
        };
        assert_eq!(lengths(&lasting(3100)), (3100, Some(3100), Some(46_500), Some(3100)));
        assert_eq!(lengths(&lasting(3001)), (3000, Some(0), Some(0), Some(0)), "rounding");
        assert_eq!(lengths(&lasting(1000)), (3000, Some(0), Some(0), Some(0)));
    }

    #[test]
    fn a_lead_is_cut_off_every_track_once_it_is_settled() {
        let movie = Movie {
            lead: Duration::from_millis(500),
            length: Some(Duration::from_secs(2)),
            ..movie()
        };
        let body = changed(&moov(), &movie).unwrap();
        let lists = |body: &[u8]| -> Vec<Edits> {
            let list = |found: &Child| descendant(found.body, &[b"edts", b"elst"]).and_then(Edits::read);
            tracks(body).iter().filter_map(list).collect()
        };
        assert!(lists(&body).iter().all(|list| list.length == 3000));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.mp4");
        std::fs::write(&path, boxed(b"moov", &body).unwrap()).unwrap();
        settle(&path).unwrap();
        let settled = std::fs::read(&path).unwrap();
        let body = &settled[8..];
        assert_eq!(be32(child(body, b"mvhd").unwrap(), 16), Some(2000));
        assert_eq!(lists(body).len(), 3);
        assert!(
            lists(body)
                .iter()
                .all(|list| (list.empty, list.media, list.length) == (0, 7500, 2000))
        );
        assert!(
            tracks(body)
                .iter()
                .all(|found| be32(child(found.body, b"tkhd").unwrap(), 20) == Some(2000))
        );
    }

    #[test]
    fn colours_stand_in_the_sample_entry_once() {
        let entry = boxed(b"av01", &[0; 78]).unwrap();
        let stsd = [&[0, 0, 0, 0, 0, 0, 0, 1], entry.as_slice()].concat();
        let track = Track {
            colours: Some(([9, 16, 9], true)),
            ..told(Kind::Film, true, "")
        };
        let once = described(&stsd, &track).unwrap();
        let twice = described(&once[8..], &track).unwrap();
        assert_eq!(once, twice);
        assert_eq!(once.len(), 8 + stsd.len() + 19);
        assert!(once.ends_with(&[b'n', b'c', b'l', b'x', 0, 9, 0, 16, 0, 9, 0x80]));
    }
}
