//! Initialisation sections of fragmented MP4: what tracks they name, and one section made of several. No I/O.

use std::ops::Range;

use mps_media::isobmff::{be32, be64, child, children, descendant};

use super::run::Defaults;
use crate::join::{JoinError, Take};

/// A track as its initialisation section describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub id: u32,
    /// `vide`, `soun`, …
    pub handler: [u8; 4],
    /// Ticks in a second, at least 1.
    pub timescale: u32,
    /// What holds of samples where a fragment does not tell.
    pub defaults: Defaults,
    /// What its edit list says: nothing is shown for so many nanoseconds, and then the media from a time in ticks on.
    pub empty: i64,
    pub media_time: i64,
    /// Descriptions of its samples.
    described: Vec<u8>,
    trak: Vec<u8>,
    trex: Vec<u8>,
}

/// An initialisation section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    ftyp: Vec<u8>,
    mvhd: Vec<u8>,
    pub tracks: Vec<Track>,
}

impl Init {
    /// Reads a section, and leaves out the tracks that are not taken.
    pub fn read(bytes: &[u8], take: Take) -> Result<Self, JoinError> {
        let broken = || JoinError::damaged("the playlist's initialisation section (EXT-X-MAP) is damaged");
        let moov = child(bytes, b"moov").ok_or_else(broken)?;
        if child(moov, b"mvex").is_none() {
            return Err(whole_files());
        }
        let traks = children(moov).filter(|found| found.kind == *b"trak");
        let mut tracks = traks
            .map(|found| Track::read(found.body, moov))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(broken)?;
        if tracks.iter().any(Track::is_protected) {
            return Err(protected());
        }
        match take {
            Take::All => {}
            Take::Film => tracks.retain(|track| track.handler != *b"soun"),
            Take::Sound => {
                tracks.retain(|track| track.handler == *b"soun");
                tracks.truncate(1);
            }
        }
        tracks.sort_by_key(|track| track.handler != *b"vide");
        Ok(Self {
            ftyp: child(bytes, b"ftyp").unwrap_or(b"iso5\0\0\0\0iso5iso6mp41").to_vec(),
            mvhd: child(moov, b"mvhd").ok_or_else(broken)?.to_vec(),
            tracks,
        })
    }

    /// Whether media of the other section can follow media of this one.
    pub fn fits(&self, other: &Self) -> bool {
        let of = |init: &Self| -> Vec<_> {
            // Without the track's number, which begins it.
            let defaults = |track: &Track| track.trex.get(8..).map(<[u8]>::to_vec);
            let parts = |track: &Track| (track.handler, track.timescale, track.described.clone(), defaults(track));
            init.tracks.iter().map(parts).collect()
        };
        of(self) == of(other)
    }
}

impl Track {
    fn read(trak: &[u8], moov: &[u8]) -> Option<Self> {
        let tkhd = child(trak, b"tkhd")?;
        let id = be32(tkhd, if *tkhd.first()? == 1 { 20 } else { 12 })?;
        let mdhd = descendant(trak, &[b"mdia", b"mdhd"])?;
        let timescale = be32(mdhd, if *mdhd.first()? == 1 { 20 } else { 12 })?.max(1);
        let (empty, media_time) = descendant(trak, &[b"edts", b"elst"]).map_or(Some((0, 0)), |elst| edits(elst, movie_scale(moov)?))?;
        let mvex = child(moov, b"mvex")?;
        let trex = children(mvex)
            .find(|found| found.kind == *b"trex" && be32(found.body, 4) == Some(id))?
            .body;
        Some(Self {
            id,
            handler: descendant(trak, &[b"mdia", b"hdlr"])?.get(8..12)?.try_into().ok()?,
            timescale,
            defaults: Defaults {
                length: be32(trex, 12)?,
                bytes: be32(trex, 16)?,
            },
            described: descendant(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?.to_vec(),
            empty,
            media_time,
            trak: trak.to_vec(),
            trex: trex.to_vec(),
        })
    }

    fn is_protected(&self) -> bool {
        let entries = children(self.described.get(8..).unwrap_or_default());
        entries.into_iter().any(|entry| matches!(&entry.kind, b"encv" | b"enca"))
    }

    /// The track with another id and language. Of its edit list the begin of the media stays: the rest goes into the times of fragments.
    fn renamed(&self, id: u32, language: &str) -> Option<Vec<u8>> {
        let mut trak = Vec::new();
        for found in children(&self.trak) {
            match &found.kind {
                b"edts" => {}
                kind => trak.extend(boxed(kind, found.body)),
            }
            if found.kind == *b"tkhd" && self.media_time > 0 {
                trak.extend(boxed(b"edts", &boxed(b"elst", &one_edit(self.media_time))));
            }
        }
        let tkhd = place(&trak, &[b"tkhd"])?;
        let at = tkhd.start + if *trak.get(tkhd.start)? == 1 { 20 } else { 12 };
        trak.get_mut(at..at + 4)?.copy_from_slice(&id.to_be_bytes());
        if let [a, b, c] = language.as_bytes() {
            let mdhd = place(&trak, &[b"mdia", b"mdhd"])?;
            let at = mdhd.start + if *trak.get(mdhd.start)? == 1 { 32 } else { 20 };
            let letters = [a, b, c]
                .iter()
                .fold(0u16, |code, letter| code << 5 | u16::from(letter.wrapping_sub(0x60) & 0x1f));
            trak.get_mut(at..at + 2)?.copy_from_slice(&letters.to_be_bytes());
        }
        Some(trak)
    }
}

/// Ticks of the movie in a second.
fn movie_scale(moov: &[u8]) -> Option<u32> {
    let mvhd = child(moov, b"mvhd")?;
    be32(mvhd, if *mvhd.first()? == 1 { 20 } else { 12 }).map(|scale| scale.max(1))
}

/// Nanoseconds of the edits that show nothing, and where the first one that shows media begins in it.
fn edits(elst: &[u8], movie_scale: u32) -> Option<(i64, i64)> {
    let wide = *elst.first()? == 1;
    let mut empty = 0i64;
    for edit in elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 }) {
        let (length, begins) = match wide {
            true => (be64(edit, 0)?, be64(edit, 8)? as i64),
            false => (be32(edit, 0)?.into(), i64::from(be32(edit, 4)? as i32)),
        };
        if begins >= 0 {
            return Some((empty, begins));
        }
        let length = u128::from(length) * 1_000_000_000 / u128::from(movie_scale);
        empty = empty.saturating_add(i64::try_from(length).ok()?);
    }
    Some((empty, 0))
}

/// An edit list that shows the media from a time on.
fn one_edit(media_time: i64) -> Vec<u8> {
    [
        &[1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &media_time.to_be_bytes(),
        &[0, 1, 0, 0],
    ]
    .concat()
}

/// Where the body of a nested box lies.
fn place(parent: &[u8], path: &[&[u8; 4]]) -> Option<Range<usize>> {
    let (mut start, mut end) = (0, parent.len());
    for kind in path {
        let found = children(parent.get(start..end)?).find(|found| found.kind == **kind)?;
        (start, end) = (start + found.offset, start + found.offset + found.body.len());
    }
    Some(start..end)
}

/// One section with all tracks, which get the ids 1, 2, … in order. With each section the language of its sound, where it is told.
pub fn merged(inits: &[(&Init, &str)]) -> Option<Vec<u8>> {
    let (film, _) = inits.first()?;
    let mut mvhd = film.mvhd.clone();
    let count: usize = inits.iter().map(|(init, _)| init.tracks.len()).sum();
    let next_at = mvhd.len().checked_sub(4)?;
    mvhd.get_mut(next_at..)?.copy_from_slice(&(count as u32 + 1).to_be_bytes());
    let (mut moov, mut mvex) = (boxed(b"mvhd", &mvhd), Vec::new());
    let tracks = inits
        .iter()
        .flat_map(|(init, language)| init.tracks.iter().map(move |track| (*language, track)));
    for (id, (language, track)) in (1u32..).zip(tracks) {
        let trak = track.renamed(id, language)?;
        moov.extend(boxed(b"trak", &trak));
        let mut trex = track.trex.clone();
        trex.get_mut(4..8)?.copy_from_slice(&id.to_be_bytes());
        mvex.extend(boxed(b"trex", &trex));
    }
    moov.extend(boxed(b"mvex", &mvex));
    let mut bytes = boxed(b"ftyp", &film.ftyp);
    bytes.extend(boxed(b"moov", &moov));
    Some(bytes)
}

/// A box with a body that is in memory.
pub fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend_from_slice(kind);
    bytes.extend_from_slice(body);
    bytes
}

pub fn whole_files() -> JoinError {
    JoinError::unsupported(
        "the playlist's segments are whole MP4 files, not fragments",
        "give segments of fragmented MP4 with an initialisation section (EXT-X-MAP), or transport streams",
    )
}

fn protected() -> JoinError {
    JoinError::unsupported(
        "the playlist's media is protected by DRM (its sample descriptions are encrypted)",
        "give media that is not protected",
    )
}

/// Media of another codec, or of other settings of it, behind a discontinuity.
pub fn another() -> JoinError {
    JoinError::unsupported(
        "a later part of the playlist has another initialisation section: its codec or its settings change",
        "give each part as an input of its own, or a playlist of transport streams, whose settings may change",
    )
}
