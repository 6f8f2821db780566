//! Times of the samples in a fragment of MP4 (moof). No I/O.

use mps_media::isobmff::{be32, be64, child, children};

use super::{init::Track, run::Run};

/// Times of a track's samples in a fragment, in the track's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub track_id: u32,
    /// Decoding time of the first sample; unset where the fragment does not tell.
    pub decoded: Option<i64>,
    /// From there on: length of all samples.
    pub length: i64,
    /// Decoding time of the last sample.
    pub last: i64,
    /// Earliest presentation time and latest end of a presentation.
    pub shown: i64,
    pub shown_end: i64,
}

/// The times of each track in a fragment that has samples of it. `None`: the fragment is damaged.
pub fn times(moof: &[u8], tracks: &[Track]) -> Option<Vec<Times>> {
    let mut found = Vec::new();
    for traf in children(moof).filter(|found| found.kind == *b"traf") {
        let tfhd = child(traf.body, b"tfhd")?;
        let track_id = be32(tfhd, 4)?;
        let Some(track) = tracks.iter().find(|track| track.id == track_id) else {
            continue;
        };
        let decoded = match child(traf.body, b"tfdt") {
            Some(tfdt) => Some(decode_time(tfdt)?),
            None => None,
        };
        let defaults = track.defaults.told(tfhd)?;
        let mut sums = Sums::default();
        for found in children(traf.body).filter(|found| found.kind == *b"trun") {
            sums.add(&Run::read(found.body, defaults)?);
        }
        if let (Some(shown), Some(shown_end)) = (sums.shown, sums.shown_end) {
            found.push(Times {
                track_id,
                decoded,
                length: sums.length,
                last: sums.last,
                shown,
                shown_end,
            });
        }
    }
    Some(found)
}

fn decode_time(tfdt: &[u8]) -> Option<i64> {
    match tfdt.first()? {
        1 => i64::try_from(be64(tfdt, 4)?).ok(),
        _ => be32(tfdt, 4).map(i64::from),
    }
}

/// What the runs of a track fragment add up to.
#[derive(Default)]
struct Sums {
    length: i64,
    last: i64,
    shown: Option<i64>,
    shown_end: Option<i64>,
}

impl Sums {
    fn add(&mut self, run: &Run) {
        if run.step > 0 {
            run.samples().for_each(|(length, _, shift)| self.sample(length, shift));
        } else if run.count > 0 {
            // all alike; their number is not bounded by the bytes that tell it
            self.sample(i64::from(run.count - 1).saturating_mul(run.defaults.length.into()), 0);
            self.sample(run.defaults.length.into(), 0);
        }
    }

    fn sample(&mut self, length: i64, shift: i64) {
        let shown = self.length.saturating_add(shift);
        self.last = self.length;
        self.shown = Some(self.shown.map_or(shown, |first| first.min(shown)));
        self.shown_end = Some(self.shown_end.unwrap_or(i64::MIN).max(shown.saturating_add(length)));
        self.length = self.length.saturating_add(length);
    }
}
