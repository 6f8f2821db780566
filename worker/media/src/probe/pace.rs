//! How fast pictures follow each other where they come quickest, and frame rates that are none. Pure; times in nanoseconds.

use std::collections::BTreeSet;

/// Steps that are looked at together: single pictures may stand near each other by rounding, or by chance.
const STEPS: usize = 8;
/// Pictures that may come before others that are shown earlier, and many more.
const OUT_OF_ORDER: usize = 16;
/// Rates above, of which there are few, are looked at twice: many headers tell the tick of a clock.
const USUAL_MOST: f64 = 240.0;

/// Looks at the times of pictures as they come.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// Times that may still get neighbours.
    waiting: BTreeSet<u64>,
    /// The shortest time that so many steps took.
    shortest: Option<u64>,
}

impl Pace {
    pub fn see(&mut self, time: u64) {
        self.waiting.insert(time);
        if self.waiting.len() > STEPS + OUT_OF_ORDER {
            self.measure();
            self.waiting.pop_first();
        }
    }

    /// Pictures per second, where they come quickest; `None`: there are less than two.
    pub fn per_second(&self) -> Option<f64> {
        let mut rest = self.clone();
        let (Some(first), Some(last)) = (rest.waiting.first(), rest.waiting.last()) else {
            return None;
        };
        if rest.shortest.is_none() && rest.waiting.len() <= STEPS {
            let steps = rest.waiting.len() - 1;
            return (steps > 0).then(|| steps as f64 * 1e9 / (last - first) as f64);
        }
        while rest.waiting.len() > STEPS {
            rest.measure();
            rest.waiting.pop_first();
        }
        rest.shortest.map(|shortest| STEPS as f64 * 1e9 / shortest.max(1) as f64)
    }

    fn measure(&mut self) {
        let mut times = self.waiting.iter();
        if let (Some(first), Some(last)) = (times.next(), times.nth(STEPS - 1)) {
            let took = last - first;
            self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
        }
    }

    /// That of runs of steps of one length each, in ticks.
    pub fn of_runs(runs: &[(u64, u32)], timescale: u32) -> Self {
        let mut pace = Self::default();
        let (mut ticks, scale) = (0u128, u128::from(timescale.max(1)));
        let mut see = |ticks: u128| pace.see(u64::try_from(ticks * 1_000_000_000 / scale).unwrap_or(u64::MAX));
        for (count, step) in runs {
            let looked_at = (*count).min((STEPS + OUT_OF_ORDER) as u64);
            let skipped = u128::from(count - looked_at) * u128::from(*step);
            for number in 0..looked_at {
                see(ticks + u128::from(number) * u128::from(*step));
            }
            ticks += u128::from(looked_at) * u128::from(*step) + skipped;
        }
        pace
    }
}

/// Whole pictures per second that a film never exceeds but for the rounding of its clock: what encoders choose a level by.
pub fn whole_rate(per_second: f64) -> i32 {
    let near = per_second.round();
    let whole = if (per_second - near).abs() <= 0.01 * per_second {
        near
    } else {
        per_second.ceil()
    };
    whole.clamp(1.0, 1000.0) as i32
}

/// Whether a frame rate is that of a clock: pictures come nowhere near it.
pub fn is_clock(rate: f64, per_second: f64) -> bool {
    rate > USUAL_MOST && rate > per_second * 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rate(times: impl IntoIterator<Item = u64>) -> i32 {
        let mut pace = Pace::default();
        times.into_iter().for_each(|time| pace.see(time * MS));
        pace.per_second().map_or(0, whole_rate)
    }

    #[test]
    fn the_quickest_pictures_count_in_whatever_order_they_come() {
        let slow = (0..40).map(|number| number * 100);
        assert_eq!(rate(slow.clone()), 10);
        let quick = (0..20u64).map(|number| 4000 + number * 1000 / 30);
        let mut both: Vec<u64> = slow.chain(quick).collect();
        assert_eq!(rate(both.clone()), 30);
        both.chunks_mut(4).for_each(<[u64]>::reverse);
        assert_eq!(rate(both), 30);
        assert_eq!(rate([0, 40, 80]), 25);
        assert_eq!((rate([0]), rate([])), (0, 0));
    }

    #[test]
    fn two_pictures_near_each_other_are_not_a_rate() {
        let film = (0..60u64).map(|number| number * 40 - 39 * u64::from(number == 31));
        assert_eq!(rate(film), 29);
    }

    #[test]
    fn runs_tell_the_same() {
        let rate = |runs: &[(u64, u32)]| Pace::of_runs(runs, 90_000).per_second().map_or(0, whole_rate);
        assert_eq!(rate(&[(1 << 40, 3000), (5, 90_000)]), 30);
        assert_eq!(rate(&[(100, 9000), (20, 1500)]), 60);
        assert_eq!(rate(&[(u64::MAX, u32::MAX), (u64::MAX, 0)]), 1);
    }

    #[test]
    fn clocks_are_told_from_rates() {
        assert!(is_clock(90_000.0, 30.0) && is_clock(1000.0, 30.0));
        assert!(!is_clock(1000.0, 960.0) && !is_clock(30.0, 0.25) && !is_clock(240.0, 30.0));
        assert_eq!([29.97, 30.07, 23.976, 59.94, 12.3, 0.2].map(whole_rate), [30, 30, 24, 60, 13, 1]);
    }
}
