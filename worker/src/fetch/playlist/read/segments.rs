//! Segments of a media playlist, gathered line by line.

use std::sync::Arc;

use mps_proto::worker::v1::Failure;
use quick_m3u8::tag::{
    HlsPlaylistType,
    hls::{Map, Tag},
};

use super::{
    super::{
        document::{Entry, Media, Part, Piece},
        refuse,
    },
    MOST_SEGMENTS,
    keys::Keys,
};

/// Most bytes of addresses.
const MOST_ADDRESS_BYTES: usize = 64 << 20;

/// What was read so far.
#[derive(Default)]
pub struct Segments {
    media: Media,
    keys: Keys,
    init: Option<Arc<Piece>>,
    number: u64,
    /// Whether a tag of HLS stood there: other lists of files have none.
    is_hls: bool,
    is_whole: bool,
    next: Next,
    /// Of all addresses: one key or section stands with each segment.
    bytes: usize,
}

/// What the tags in front of a segment said.
#[derive(Default)]
struct Next {
    seconds: Option<f64>,
    span: Option<(u64, Option<u64>)>,
    discontinuity: bool,
}

impl Segments {
    pub fn is_empty(&self) -> bool {
        self.media.segments.is_empty()
    }

    /// `None`: the tag is not as it should be.
    pub fn tag(&mut self, tag: &Tag, text: &str) -> Option<Result<(), Failure>> {
        self.is_hls |= !matches!(tag, Tag::Inf(_));
        match tag {
            Tag::MediaSequence(first) => self.number = first.media_sequence(),
            Tag::Endlist(_) => self.is_whole = true,
            // such a playlist does not change
            Tag::PlaylistType(kind) => self.is_whole |= kind.playlist_type() == HlsPlaylistType::Vod,
            Tag::Inf(inf) => {
                let seconds = inf.duration();
                self.next.seconds = Some(seconds).filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
                self.next.seconds?;
            }
            Tag::Byterange(range) => self.next.span = Some((range.length(), range.offset())),
            Tag::Discontinuity(_) => self.next.discontinuity = true,
            Tag::Key(key) => self.keys.take(key)?,
            Tag::Map(map) => match self.section(map, text)? {
                Ok(piece) => self.init = Some(Arc::new(piece)),
                Err(failure) => return Some(Err(failure)),
            },
            Tag::IFramesOnly(_) => return Some(Err(not_whole("it lists key frames alone (EXT-X-I-FRAMES-ONLY)"))),
            Tag::Gap(_) => return Some(Err(not_whole("it says that a segment is missing (EXT-X-GAP)"))),
            Tag::Skip(_) => return Some(Err(not_whole("it leaves out segments (EXT-X-SKIP)"))),
            _ => {}
        }
        Some(Ok(()))
    }

    fn section(&self, map: &Map, text: &str) -> Option<Result<Piece, Failure>> {
        let span = map.byterange().map(|range| Part {
            start: range.offset,
            length: range.length,
        });
        if span.is_none() && text.contains("BYTERANGE=") {
            return None;
        }
        let piece = |key| Piece {
            uri: map.uri().to_owned(),
            span,
            key,
        };
        Some(self.keys.of(self.number).map(piece))
    }

    pub fn uri(&mut self, uri: &str) -> Result<(), Failure> {
        let next = std::mem::take(&mut self.next);
        let Some(seconds) = next.seconds else {
            return Err(refuse::not_media(
                "the playlist names a file without EXTINF in front of it: it is a list of files, not of segments",
            ));
        };
        if self.media.segments.len() >= MOST_SEGMENTS {
            return Err(refuse::too_many("segments", MOST_SEGMENTS));
        }
        let span = match next.span {
            Some((length, offset)) => Some(self.span(uri, length, offset)?),
            None => None,
        };
        let key = self.keys.of(self.number)?;
        let of_section = self.init.as_ref().map_or(0, |section| section.uri.len());
        self.bytes += uri.len() + key.as_ref().map_or(0, |key| key.uri.len()) + of_section;
        if self.bytes > MOST_ADDRESS_BYTES {
            return Err(refuse::too_many("bytes of addresses", MOST_ADDRESS_BYTES));
        }
        self.media.segments.push(Entry {
            piece: Piece {
                uri: uri.to_owned(),
                span,
                key,
            },
            init: self.init.clone(),
            seconds,
            discontinuity: next.discontinuity,
        });
        self.number = self.number.saturating_add(1);
        Ok(())
    }

    /// A span without a beginning follows that of the segment before.
    fn span(&self, uri: &str, length: u64, offset: Option<u64>) -> Result<Part, Failure> {
        let before = || {
            let piece = &self.media.segments.last()?.piece;
            piece.span.filter(|_| piece.uri == uri)?.end()
        };
        let start = offset.or_else(before);
        let span = start.map(|start| Part { start, length });
        span.filter(|span| span.length > 0 && span.end().is_some())
            .ok_or_else(|| refuse::not_media("an EXT-X-BYTERANGE of the playlist does not tell where its bytes are"))
    }

    pub fn finish(self) -> Result<Media, Failure> {
        if self.next.seconds.is_some() || self.next.span.is_some() {
            return Err(refuse::not_media(
                "the playlist ends behind an EXTINF, without its segment: it was cut",
            ));
        }
        if self.media.segments.is_empty() {
            return Err(refuse::not_media("the playlist names no segments"));
        }
        if !self.is_hls {
            return Err(refuse::not_media("the playlist is a list of files, not of segments"));
        }
        if !self.is_whole {
            return Err(refuse::live());
        }
        Ok(self.media)
    }
}

impl Part {
    pub fn end(self) -> Option<u64> {
        self.start.checked_add(self.length)
    }
}

fn not_whole(why: &str) -> Failure {
    refuse::unsupported(
        format!("the playlist is not of whole media: {why}"),
        "give a playlist that names every segment of the media",
    )
}
