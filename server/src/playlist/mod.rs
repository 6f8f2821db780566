//! Playlists of sets as pure text from rows: HLS (RFC 8216) and DASH (ISO/IEC 23009-1). No I/O.
//!
//! Writers of our own instead of crates: what we write is a fixed handful of tags, their order and bytes must be the same whenever the
//! same rows are written, and the crates bring parsers, a date library and serde with them.

pub mod dash;
pub mod hls;

use std::collections::BTreeMap;

use mps_proto::worker::v1::SetTrack;

/// What a manifest tells.
#[derive(Debug, Clone, Default)]
pub struct Presentation {
    pub tracks: Vec<Track>,
    /// Length of a segment that was asked for.
    pub target_ms: i64,
    /// Nothing more comes.
    pub complete: bool,
    /// When its beginning was available by the wall clock (ms since 1970); for DASH while it grows.
    pub start_ms: i64,
    /// When it is written (ms since 1970).
    pub publish_ms: i64,
}

/// A track with what is committed of it.
#[derive(Debug, Clone, Default)]
pub struct Track {
    pub info: SetTrack,
    /// Keys of the initialisation segments, by number; none: MPEG-TS or text.
    pub inits: BTreeMap<i32, String>,
    /// Key of all subtitles in one file.
    pub whole_key: Option<String>,
    pub segments: Vec<Segment>,
    /// Key of every segment with `NUMBER` in place of its number, where all come from one attempt.
    pub template: Option<String>,
    /// Keys of the HLS playlists.
    pub playlist_key: String,
    pub i_frame_key: Option<String>,
}

/// Stands for the number in `Track::template`; no key can hold it.
pub const NUMBER: &str = "\u{0}";

/// A segment.
#[derive(Debug, Clone, Default)]
pub struct Segment {
    pub key: String,
    pub bytes: i64,
    pub start_ns: i64,
    pub duration_ns: i64,
    /// Where the bytes of its first picture begin, and how many they are.
    pub i_frame: Option<(i64, i64)>,
    /// Number of the initialisation segment that it needs.
    pub init: i32,
    /// Decoders begin anew with it.
    pub discontinuity: bool,
    /// Pictures that are shown before its first key frame need the segment before.
    pub needs_previous: bool,
    /// Its pictures carry captions.
    pub captions_608: bool,
    pub captions_708: bool,
}

/// How much more than the peak so far a manifest promises while the rest is still being encoded.
const CAUTION: f64 = 1.5;

impl Presentation {
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Track> {
        self.tracks
            .iter()
            .filter(move |track| track.info.kind == kind && !track.segments.is_empty())
    }

    /// Whether every track has media, and it is known how long the longest segment is: a playlist may not change its mind.
    pub fn is_playable(&self) -> bool {
        let has_media = |track: &Track| !track.segments.is_empty();
        let is_bounded = self.complete || self.tracks.iter().all(|track| !track.info.own_keys);
        !self.tracks.is_empty() && self.tracks.iter().all(has_media) && is_bounded
    }

    /// Whether every segment of film and sound can be decoded without others; what grows and is cut by encoders always can.
    fn is_independent(&self) -> bool {
        let mut segments = self.tracks.iter().flat_map(|track| &track.segments);
        segments.all(|segment| !segment.needs_previous)
    }

    /// Length of the longest segment in whole seconds, at least what was asked for: of all tracks of film and sound.
    fn target_s(&self) -> i64 {
        let rounded = |segment: &Segment| (segment.duration_ns + 500_000_000) / 1_000_000_000;
        let media = self.tracks.iter().filter(|track| track.info.kind != "subtitle");
        let longest = media.flat_map(|track| &track.segments).map(rounded).max();
        let asked = (self.target_ms + 999) / 1000;
        longest.unwrap_or(0).max(asked).max(1)
    }

    /// What can be played: up to where the track ends that is the least far.
    pub fn duration_ns(&self) -> i64 {
        let media = self.tracks.iter().filter(|track| track.info.kind != "subtitle");
        let ends = media.map(Track::end_ns);
        match self.complete {
            true => ends.max().unwrap_or_default(),
            false => ends.min().unwrap_or_default(),
        }
    }

    /// Bits per second of the fastest stretch of a track; with caution while it grows.
    fn peak_bps(&self, track: &Track) -> i64 {
        let peak = track.peak_bps(self.target_ms.saturating_mul(1_000_000));
        match self.complete {
            true => peak.ceil() as i64,
            false => (peak * CAUTION).ceil() as i64,
        }
    }
}

impl Track {
    pub fn end_ns(&self) -> i64 {
        self.segments.last().map_or(0, |last| last.start_ns + last.duration_ns)
    }

    /// Bits per second over all of it.
    fn average_bps(&self) -> f64 {
        let bytes: i64 = self.segments.iter().map(|segment| segment.bytes).sum();
        let ns: i64 = self.segments.iter().map(|segment| segment.duration_ns).sum();
        rate(bytes, ns)
    }

    /// The largest rate of neighbouring segments that last half to one and a half of the target together (RFC 8216, 4.1).
    fn peak_bps(&self, target_ns: i64) -> f64 {
        let mut peak = 0.0_f64;
        for first in 0..self.segments.len() {
            let (mut bytes, mut ns) = (0, 0);
            for segment in self.segments.iter().skip(first) {
                bytes += segment.bytes;
                ns += segment.duration_ns;
                if ns * 2 > target_ns * 3 && ns > segment.duration_ns {
                    break;
                }
                if ns * 2 >= target_ns {
                    peak = peak.max(rate(bytes, ns));
                }
            }
        }
        if peak > 0.0 { peak } else { self.average_bps() }
    }
}

fn rate(bytes: i64, ns: i64) -> f64 {
    if ns <= 0 {
        return 0.0;
    }
    bytes as f64 * 8e9 / ns as f64
}

/// The reference from one object's key to another's, percent-encoded.
pub fn relative(from_key: &str, to_key: &str) -> String {
    let from: Vec<&str> = from_key.split('/').collect();
    let to: Vec<&str> = to_key.split('/').collect();
    let folders = from.len().min(to.len()).saturating_sub(1);
    let common = (0..folders).take_while(|index| from.get(*index) == to.get(*index)).count();
    let mut parts = vec!["..".to_owned(); from.len().saturating_sub(1 + common)];
    parts.extend(to.iter().skip(common).map(|segment| encode(segment)));
    parts.join("/")
}

/// Everything but unreserved characters is encoded, so that no key is taken for a scheme, a query or a fragment. `NUMBER` stays.
fn encode(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' | 0 => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(sizes: &[(i64, i64)]) -> Track {
        let segment = |&(bytes, ms): &(i64, i64)| Segment {
            bytes,
            duration_ns: ms * 1_000_000,
            ..Segment::default()
        };
        Track {
            segments: sizes.iter().map(segment).collect(),
            ..Track::default()
        }
    }

    #[test]
    fn references_are_relative_and_encoded() {
        for (from, to, reference) in [
            ("a/m.m3u8", "a/s.ts", "s.ts"),
            ("a/m.m3u8", "a/b/s.ts", "b/s.ts"),
            ("a/x/m.m3u8", "a/b/s.ts", "../b/s.ts"),
            ("m.m3u8", "ü b/c:d?.ts", "%C3%BC%20b/c%3Ad%3F.ts"),
            ("a/b/c/m", "s", "../../../s"),
            ("a", "a", "a"),
        ] {
            assert_eq!(relative(from, to), reference, "{from} {to}");
        }
    }

    #[test]
    fn peak_leaves_out_what_is_too_short_to_matter() {
        // the last 100 ms are dense, but too short to count alone
        let track = track(&[(1000, 4000), (2000, 4000), (500, 100)]);
        let target = 4_000_000_000;
        assert_eq!(track.peak_bps(target).round(), (2500.0 * 8.0 / 4.1_f64).round());
        assert_eq!(track.average_bps().round(), (3500.0 * 8.0 / 8.1_f64).round());
    }

    #[test]
    fn what_grows_promises_more_than_it_shows() {
        let mut growing = Presentation {
            target_ms: 4000,
            ..Presentation::default()
        };
        let track = track(&[(1000, 4000)]);
        assert_eq!(growing.peak_bps(&track), 3000);
        growing.complete = true;
        assert_eq!(growing.peak_bps(&track), 2000);
    }
}
