//! Tracks of the joined MP4: how far they are, and times from one clock to another. No I/O.

use super::{init::Track, moved::Renamed, run::Defaults, times::Times};

/// How much sound may be cut off at a joint, in nanoseconds: what an encoder puts in front of its first samples, and the rest of a frame.
const MAY_CUT: i64 = 100_000_000;

/// A track of the joined file.
#[derive(Debug, Clone)]
pub struct Out {
    pub id: u32,
    timescale: u32,
    /// Where its last picture or sound ends, in nanoseconds.
    pub end: Option<i64>,
    /// Length of its last sample.
    last: i64,
    defaults: Defaults,
    is_sound: bool,
    /// Samples that begin earlier are left out at the beginning of a run, in nanoseconds.
    cut_before: Option<i64>,
}

impl Out {
    pub fn new(id: u32, track: &Track) -> Self {
        Self {
            id,
            timescale: track.timescale,
            end: None,
            last: 0,
            defaults: track.defaults,
            is_sound: track.handler == *b"soun",
            cut_before: None,
        }
    }

    /// How much may be cut off at a joint.
    pub fn may_cut(&self) -> i64 {
        if self.is_sound { MAY_CUT } else { 0 }
    }

    /// A run begins: sound that its own end covers is cut off; half a sample may stay covered.
    pub fn begin_run(&mut self) {
        self.cut_before = self.end.filter(|_| self.is_sound).map(|end| end - self.last / 2);
    }

    /// Notes what a fragment brings; gives how it goes into the joined file.
    pub fn take(&mut self, times: &Times, decoded: i64, offset: i64) -> Renamed {
        let moved = decoded.saturating_add(ticks(offset, self.timescale)).max(0);
        let at = |time: i64| nanoseconds(moved.saturating_add(time), self.timescale);
        let ended = at(times.shown_end);
        let cut = self
            .cut_before
            .map_or(0, |before| ticks(before, self.timescale).saturating_sub(moved));
        self.end = Some(self.end.map_or(ended, |end| end.max(ended)));
        self.last = nanoseconds(times.length.saturating_sub(times.last), self.timescale);
        Renamed {
            from: times.track_id,
            to: self.id,
            decoded: moved,
            cut,
            defaults: self.defaults,
        }
    }
}

/// Rounded to the nearest.
pub fn nanoseconds(ticks: i64, timescale: u32) -> i64 {
    scaled(ticks, 1_000_000_000, timescale)
}

/// Rounded to the nearest.
pub fn ticks(nanoseconds: i64, timescale: u32) -> i64 {
    scaled(nanoseconds, timescale, 1_000_000_000)
}

fn scaled(value: i64, times: u32, by: u32) -> i64 {
    let by = i128::from(by.max(1));
    let wide = i128::from(value) * i128::from(times);
    i64::try_from((wide + by / 2).div_euclid(by)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_the_nearest_also_below_zero() {
        assert_eq!(
            (nanoseconds(1, 3), nanoseconds(2, 3), nanoseconds(-1, 3)),
            (333_333_333, 666_666_667, -333_333_333)
        );
        assert_eq!(ticks(nanoseconds(123_457, 90_000), 90_000), 123_457);
        assert_eq!(ticks(nanoseconds(-7, 48_000), 48_000), -7);
    }
}
