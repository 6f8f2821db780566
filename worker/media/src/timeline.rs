//! Where media stand in the input's own time. Its zero is the earliest first presentation of film and sound: a transport stream's clock
//! begins before its first picture, a recording may begin at ten seconds, an edit list leaves parts out. Pure; all times in nanoseconds.

use std::time::Duration;

/// A fall of a stream's decoding times by more than this begins a new epoch: a recording was joined to another one.
const JOINT_NS: i64 = 2_000_000_000;

/// A stretch of a stream's media that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Media time at which it begins.
    pub media: i64,
    /// Own time at which it is shown.
    pub own: i64,
    /// `None`: to the end of the media.
    pub length: Option<i64>,
}

impl Piece {
    fn holds(&self, media: i64) -> bool {
        media >= self.media && self.length.is_none_or(|length| media - self.media < length)
    }

    fn media_end(&self) -> i64 {
        self.length.map_or(i64::MAX, |length| self.media.saturating_add(length))
    }

    fn own_of(&self, media: i64) -> i64 {
        media - self.media + self.own
    }
}

/// What of a stream is shown, and when. Never empty; the pieces follow each other in the media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline(Vec<Piece>);

impl Default for Timeline {
    fn default() -> Self {
        Self::from_zero(Duration::ZERO)
    }
}

/// A part of a buffer that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Media times of the part.
    pub from: i64,
    pub until: i64,
    pub own: i64,
}

impl Timeline {
    /// Everything from a media time on.
    pub fn from_zero(zero: Duration) -> Self {
        Self(vec![Piece {
            media: nanoseconds(zero),
            own: 0,
            length: None,
        }])
    }

    /// `None`: the pieces do not follow each other in the media, or there are none.
    pub fn of_pieces(pieces: Vec<Piece>) -> Option<Self> {
        let in_order = pieces.windows(2).all(|pair| match pair {
            [before, after] => before.media_end() <= after.media && before.own <= after.own,
            _ => true,
        });
        (in_order && !pieces.is_empty()).then_some(Self(pieces))
    }

    /// The same media, shown earlier by a delay that the stamps do not tell.
    pub fn delayed(&self, delay: Duration) -> Self {
        let later = |piece: &Piece| Piece {
            media: piece.media + nanoseconds(delay),
            ..*piece
        };
        Self(self.0.iter().map(later).collect())
    }

    /// The same without what lies behind a length, where nothing says an end yet.
    pub fn ending(mut self, length: Option<Duration>) -> Self {
        if let ([only], Some(length)) = (self.0.as_mut_slice(), length) {
            only.length.get_or_insert(nanoseconds(length));
        }
        self
    }

    /// Where a picture is shown, and until when at most; `None`: it is not. A picture belongs to the piece that its middle lies in.
    pub fn picture(&self, media: i64, length: i64) -> Option<(i64, i64)> {
        let piece = self.0.iter().find(|piece| piece.holds(media + length.max(0) / 2))?;
        let end = piece.length.map_or(i64::MAX, |length| piece.own.saturating_add(length));
        Some((piece.own_of(media.max(piece.media)), end))
    }

    /// The parts of a buffer of sound that are heard.
    pub fn sound(&self, media: i64, length: i64) -> impl Iterator<Item = Shown> + '_ {
        let end = media.saturating_add(length.max(0));
        self.0.iter().filter_map(move |piece| {
            let (from, until) = (media.max(piece.media), end.min(piece.media_end()));
            (from < until).then(|| Shown {
                from,
                until,
                own: piece.own_of(from),
            })
        })
    }

    /// Media time of an own time.
    pub fn media(&self, own: Duration) -> Duration {
        let own = nanoseconds(own);
        let piece = self.0.iter().rev().find(|piece| piece.own <= own).or(self.0.first());
        let media = piece.map_or(own, |piece| (own - piece.own).max(0) + piece.media);
        Duration::from_nanos(u64::try_from(media).unwrap_or(0))
    }

    /// Own time of the end of media that reach a media time.
    pub fn own_end(&self, media: i64) -> Duration {
        let piece = self.0.iter().rev().find(|piece| piece.media <= media);
        let own = piece.map_or(0, |piece| piece.own_of(media.min(piece.media_end())));
        Duration::from_nanos(u64::try_from(own).unwrap_or(0))
    }

    /// How many nanoseconds later the media are than they are shown, where that is one figure; below zero where nothing is shown at first.
    pub fn delay(&self) -> Option<i64> {
        match self.0.as_slice() {
            [only] => Some(only.media - only.own),
            _ => None,
        }
    }

    /// Where the last piece ends in own time; `None`: where its media end.
    pub fn end(&self) -> Option<Duration> {
        let last = self.0.last()?;
        Some(Duration::from_nanos(u64::try_from(last.own + last.length?).unwrap_or(0)))
    }
}

/// Timelines of an input's streams, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timelines {
    pub video: Timeline,
    /// That of packets of sound.
    pub audio: Timeline,
    /// That of decoded sound: what decoders put in front of it is left out.
    pub heard: Timeline,
}

/// What is added to the stamps of each epoch, for all streams of an input alike.
#[derive(Debug, Default)]
pub struct Epochs {
    added: Vec<i64>,
    /// Latest end of any stream so far, with what was added.
    end: i64,
}

/// One stream's place among the epochs.
#[derive(Debug, Default)]
pub struct EpochOf {
    epoch: usize,
    latest: Option<i64>,
}

impl EpochOf {
    /// What is to be added to the stamps of a packet that is decoded at `time`. `end`: where it ends.
    pub fn added(&mut self, epochs: &mut Epochs, time: i64, end: i64) -> i64 {
        if self.latest.is_some_and(|latest| time < latest - JOINT_NS) {
            self.epoch += 1;
            if epochs.added.len() < self.epoch {
                epochs.added.push(epochs.end - time);
            }
        }
        self.latest = Some(time);
        let added = self
            .epoch
            .checked_sub(1)
            .and_then(|joint| epochs.added.get(joint))
            .copied()
            .unwrap_or(0);
        epochs.end = epochs.end.max(end.saturating_add(added));
        added
    }
}

/// A duration in nanoseconds.
pub fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn piece(media: i64, own: i64, length: i64) -> Piece {
        Piece {
            media: media * S,
            own: own * S,
            length: Some(length * S),
        }
    }

    fn two_parts() -> Timeline {
        Timeline::of_pieces(vec![piece(0, 0, 5), piece(10, 5, 5)]).unwrap()
    }

    #[test]
    fn what_edits_leave_out_is_not_shown() {
        let timeline = two_parts();
        assert_eq!(timeline.picture(2 * S, S / 25), Some((2 * S, 5 * S)));
        assert_eq!(timeline.picture(7 * S, S / 25), None);
        assert_eq!(timeline.picture(11 * S, S / 25), Some((6 * S, 10 * S)));
        assert_eq!(timeline.picture(15 * S, S / 25), None);
        assert_eq!(timeline.media(Duration::from_secs(7)), Duration::from_secs(12));
        assert_eq!(timeline.own_end(20 * S), Duration::from_secs(10));
        assert_eq!(timeline.delay(), None);
    }

    #[test]
    fn sound_is_cut_where_a_piece_ends() {
        let parts: Vec<_> = two_parts().sound(4 * S, 7 * S).collect();
        let expected = [(4, 5, 4), (10, 11, 5)].map(|(from, until, own)| Shown {
            from: from * S,
            until: until * S,
            own: own * S,
        });
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_late_zero_moves_everything_up() {
        let timeline = Timeline::from_zero(Duration::from_millis(700));
        assert_eq!(timeline.picture(1_480_000_000, S / 25), Some((780_000_000, i64::MAX)));
        assert_eq!(timeline.picture(600_000_000, S / 25), None);
        assert_eq!(timeline.delay(), Some(700_000_000));
    }

    #[test]
    fn media_out_of_order_are_no_timeline() {
        assert_eq!(Timeline::of_pieces(vec![piece(10, 0, 5), piece(0, 5, 5)]), None);
        assert_eq!(Timeline::of_pieces(Vec::new()), None);
    }

    #[test]
    fn streams_that_begin_anew_go_on_together() {
        let mut epochs = Epochs::default();
        let (mut film, mut sound) = (EpochOf::default(), EpochOf::default());
        assert_eq!(film.added(&mut epochs, 9 * S, 10 * S), 0);
        assert_eq!(sound.added(&mut epochs, 9 * S, 11 * S), 0);
        assert_eq!(sound.added(&mut epochs, 0, S), 11 * S);
        assert_eq!(film.added(&mut epochs, S / 10, S / 5), 11 * S);
        assert_eq!(film.added(&mut epochs, 0, S / 5), 11 * S, "reordering is no joint");
    }
}
