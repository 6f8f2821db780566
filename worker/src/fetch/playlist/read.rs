//! From the text of a playlist to what it says. Whatever cannot be honoured is refused by name: nothing is left out in silence. No I/O.

mod keys;
mod segments;

use mps_proto::worker::v1::Failure;
use quick_m3u8::{
    HlsLine,
    config::{ParsingOptions, ParsingOptionsBuilder},
    custom_parsing::line,
    tag::{
        KnownTag,
        hls::{EnumeratedString, Media as MediaTag, MediaType, StreamInf, Tag},
    },
};

use self::segments::Segments;
use super::{
    document::{Document, Master, Sound, Variant},
    refuse,
};

/// Most segments of one playlist.
pub const MOST_SEGMENTS: usize = 50_000;
/// Most variants and renditions of one master.
const MOST_RENDITIONS: usize = 1_000;

/// Reads a playlist.
pub fn read(text: &[u8]) -> Result<Document, Failure> {
    let text = std::str::from_utf8(text).map_err(|_| refuse::not_media("the playlist is no text in UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !text.starts_with("#EXTM3U") {
        return Err(refuse::not_media("the input is called a playlist, but does not begin with #EXTM3U"));
    }
    let options = options();
    let mut reading = Reading::default();
    for (number, line) in (1..).zip(text.lines()) {
        reading.line(number, line.trim(), &options)?;
    }
    reading.finish()
}

fn options() -> ParsingOptions {
    ParsingOptionsBuilder::new()
        .with_parsing_for_define()
        .with_parsing_for_targetduration()
        .with_parsing_for_media_sequence()
        .with_parsing_for_endlist()
        .with_parsing_for_playlist_type()
        .with_parsing_for_i_frames_only()
        .with_parsing_for_inf()
        .with_parsing_for_byterange()
        .with_parsing_for_discontinuity()
        .with_parsing_for_key()
        .with_parsing_for_map()
        .with_parsing_for_gap()
        .with_parsing_for_skip()
        .with_parsing_for_media()
        .with_parsing_for_stream_inf()
        .build()
}

/// Addresses with a signature have some thousands.
const MOST_LINE_BYTES: usize = 16 << 10;

#[derive(Default)]
struct Reading {
    master: Master,
    /// A variant whose URI comes in the next line.
    variant: Option<Variant>,
    segments: Segments,
}

impl Reading {
    fn line(&mut self, number: usize, text: &str, options: &ParsingOptions) -> Result<(), Failure> {
        if text.len() > MOST_LINE_BYTES {
            return Err(refuse::too_many("bytes in a line", MOST_LINE_BYTES));
        }
        let broken = || refuse::broken_line(number, text);
        let parsed = line::parse(text, options).map_err(|_| broken())?.parsed;
        match parsed {
            HlsLine::KnownTag(KnownTag::Hls(tag)) => self.tag(&tag, text).ok_or_else(broken)?,
            HlsLine::UnknownTag(tag) if tag.validation_error().is_some() => Err(broken()),
            HlsLine::Uri(uri) => self.uri(&uri),
            HlsLine::KnownTag(_) | HlsLine::UnknownTag(_) | HlsLine::Comment(_) | HlsLine::Blank => Ok(()),
        }
    }

    /// `None`: the tag is not as it should be.
    fn tag(&mut self, tag: &Tag, text: &str) -> Option<Result<(), Failure>> {
        Some(match tag {
            Tag::StreamInf(stream) => {
                self.variant = Some(variant(stream));
                Ok(())
            }
            Tag::Media(media) => {
                self.master.sounds.extend(sound(media));
                self.master.unless_too_many()
            }
            Tag::Define(_) => Err(refuse::unsupported(
                "the playlist has variables (EXT-X-DEFINE)",
                "give a playlist whose variables are replaced by their values",
            )),
            other => return self.segments.tag(other, text),
        })
    }

    fn uri(&mut self, uri: &str) -> Result<(), Failure> {
        if let Some(variant) = self.variant.take() {
            self.master.variants.push(Variant {
                uri: uri.to_owned(),
                ..variant
            });
            return self.master.unless_too_many();
        }
        self.segments.uri(uri)
    }

    fn finish(self) -> Result<Document, Failure> {
        if self.variant.is_some() {
            return Err(refuse::not_media(
                "the playlist ends behind an EXT-X-STREAM-INF, without its address: it was cut",
            ));
        }
        let is_master = !self.master.variants.is_empty();
        match (is_master, self.segments.is_empty()) {
            (true, true) => Ok(Document::Master(self.master)),
            (false, _) => self.segments.finish().map(Document::Media),
            (true, false) => Err(refuse::not_media("the playlist names both variants and segments")),
        }
    }
}

impl Master {
    fn unless_too_many(&self) -> Result<(), Failure> {
        match self.variants.len() + self.sounds.len() > MOST_RENDITIONS {
            true => Err(refuse::too_many("renditions", MOST_RENDITIONS)),
            false => Ok(()),
        }
    }
}

fn variant(stream: &StreamInf) -> Variant {
    Variant {
        uri: String::new(),
        bandwidth: stream.average_bandwidth().unwrap_or_else(|| stream.bandwidth()),
        pixels: stream
            .resolution()
            .map_or(0, |resolution| resolution.width.saturating_mul(resolution.height)),
        frame_rate: stream.frame_rate().unwrap_or_default(),
        codecs: stream.codecs().unwrap_or_default().to_owned(),
        sound_group: stream.audio().map(str::to_owned),
    }
}

fn sound(media: &MediaTag) -> Option<Sound> {
    (media.media_type() == EnumeratedString::Known(MediaType::Audio)).then(|| Sound {
        group: media.group_id().to_owned(),
        uri: media.uri().map(str::to_owned),
        language: media.language().unwrap_or_default().to_owned(),
        is_default: media.default(),
    })
}

#[cfg(test)]
mod tests;
