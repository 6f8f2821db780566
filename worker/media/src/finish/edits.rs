//! Edit lists (ISO/IEC 14496-12, 8.6.6) of a film whose media begin before what is shown of them: a clip copied from the key frame before
//! it. Pure.

use std::time::Duration;

use crate::isobmff::{be32, be64};

/// Clocks of movies and tracks differ by less.
const ROUNDING: Duration = Duration::from_millis(2);

/// What an edit list of one part says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Edits {
    /// How long nothing is shown, in ticks of the movie.
    pub empty: u64,
    /// Where the media begin, in ticks of the track.
    pub media: u64,
    /// How long they are shown, in ticks of the movie.
    pub length: u64,
}

impl Edits {
    /// Reads what a muxer wrote: an empty edit, or none, and the media.
    pub fn read(elst: &[u8]) -> Option<Self> {
        let wide = elst.first() == Some(&1);
        let mut edits = Self::default();
        for entry in elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 }) {
            let (length, media) = match wide {
                true => (be64(entry, 0)?, be64(entry, 8)? as i64),
                false => (u64::from(be32(entry, 0)?), i64::from(be32(entry, 4)? as i32)),
            };
            match u64::try_from(media) {
                Ok(media) => (edits.media, edits.length) = (media, length),
                Err(_) => edits.empty += length,
            }
        }
        Some(edits)
    }

    /// The same where the presentation begins `lead` later and lasts `length` at most. `timescales`: ticks a second of movie and track.
    pub fn begun_at(self, lead: Duration, length: Option<Duration>, timescales: (u32, u32)) -> Self {
        let (of_movie, of_track) = timescales;
        let lead_in_movie = ticks(lead, of_movie);
        let mut edits = self;
        if self.empty >= lead_in_movie {
            edits.empty -= lead_in_movie;
        } else {
            let late = Duration::from_secs_f64(self.empty as f64 / f64::from(of_movie.max(1)));
            edits.empty = 0;
            edits.media += ticks(lead.saturating_sub(late), of_track);
            edits.length = self.length.saturating_sub(lead_in_movie - self.empty);
        }
        if let Some(length) = length {
            let most = ticks(length, of_movie);
            edits.empty = edits.empty.min(most);
            edits.length = edits.length.min(most - edits.empty);
        }
        edits
    }

    /// Whether the media are shown for less than that, by more than rounding.
    pub fn is_shorter_than(self, span: Duration, movie_timescale: u32) -> bool {
        self.length < ticks(span.saturating_sub(ROUNDING), movie_timescale)
    }

    /// The same where the media are shown for that long.
    pub fn lasting(self, span: Duration, movie_timescale: u32) -> Self {
        let length = ticks(span, movie_timescale);
        Self { length, ..self }
    }

    /// How long the track is shown, in ticks of the movie.
    pub fn whole(self) -> u64 {
        self.empty + self.length
    }

    /// The body of an `elst`.
    pub fn body(self) -> Vec<u8> {
        let shown = (self.length, self.media as i64);
        let entries = [(self.empty, -1), shown];
        let entries = entries.iter().filter(|(length, media)| *length > 0 || *media >= 0);
        let mut body = 0x0100_0000u32.to_be_bytes().to_vec();
        body.extend(u32::from(self.empty > 0).saturating_add(1).to_be_bytes());
        for (length, media) in entries {
            body.extend(length.to_be_bytes());
            body.extend(media.to_be_bytes());
            body.extend(0x0001_0000u32.to_be_bytes());
        }
        body
    }
}

/// A time in ticks of a time scale.
pub fn ticks(time: Duration, timescale: u32) -> u64 {
    let nanoseconds = time.as_nanos() * u128::from(timescale) + 500_000_000;
    u64::try_from(nanoseconds / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAD: Duration = Duration::from_millis(500);

    #[test]
    fn media_are_cut_and_what_comes_late_comes_less_late() {
        let film = Edits {
            empty: 0,
            media: 1000,
            length: 3000,
        };
        let cut = film.begun_at(LEAD, None, (1000, 15_000));
        assert_eq!((cut.empty, cut.media, cut.length), (0, 8500, 2500));
        let late = Edits { empty: 700, ..film };
        let cut = late.begun_at(LEAD, None, (1000, 15_000));
        assert_eq!((cut.empty, cut.media, cut.length), (200, 1000, 3000));
        let little = Edits { empty: 300, ..film };
        let cut = little.begun_at(LEAD, Some(Duration::from_secs(2)), (1000, 15_000));
        assert_eq!((cut.empty, cut.media, cut.length), (0, 4000, 2000));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let edits = Edits {
            empty: 200,
            media: 1 << 33,
            length: 4000,
        };
        assert_eq!(Edits::read(&edits.body()), Some(edits));
        let plain = Edits { empty: 0, ..edits };
        assert_eq!(Edits::read(&plain.body()), Some(plain));
        assert_eq!(plain.body().len(), 8 + 20);
    }
}
