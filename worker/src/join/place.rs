//! Where a run of segments goes on the clock of the joined file. A run is what lies between two discontinuities: within it all renditions share
//! one clock, and that clock says nothing of the run before. No I/O.

/// One stream at the joint of two runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Joint {
    /// Where it ended so far, on the joined file's clock.
    pub ended: Option<i64>,
    /// Where it begins in the run, on the run's own clock.
    pub begins: Option<i64>,
    /// How much of its beginning may be cut off where the end before it covers it.
    pub may_cut: i64,
}

/// What is added to the times of a run; streams are given with the film first. `zero` is where the earliest stream of the first run begins.
///
/// The first stream that both runs have goes on without a gap; the others keep their distance to it, since the run's clock is one. Where one of
/// them would cover more of its own end than may be cut, the whole run begins later.
pub fn offset(joints: &[Joint], zero: i64) -> i64 {
    let both = || {
        joints
            .iter()
            .filter_map(|joint| Some((joint, joint.ended?.saturating_sub(joint.begins?))))
    };
    let Some((_, seamless)) = both().next() else {
        let earliest = joints.iter().filter_map(|joint| joint.begins).min().unwrap_or_default();
        let ended = joints.iter().filter_map(|joint| joint.ended).max().unwrap_or(zero);
        return ended.saturating_sub(earliest);
    };
    both()
        .map(|(joint, offset)| offset.saturating_sub(joint.may_cut))
        .fold(seamless, i64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joint(ended: impl Into<Option<i64>>, begins: impl Into<Option<i64>>) -> Joint {
        Joint {
            ended: ended.into(),
            begins: begins.into(),
            may_cut: 9_000,
        }
    }

    #[test]
    fn film_goes_on_without_a_gap_and_sound_keeps_its_distance() {
        assert_eq!(offset(&[joint(900_000, 6_000), joint(902_000, 4_080)], 0), 894_000);
        assert_eq!(offset(&[joint(900_000, 6_000), joint(700_000, 6_000)], 0), 894_000);
    }

    #[test]
    fn sound_that_lasts_much_longer_holds_the_next_run_back() {
        assert_eq!(offset(&[joint(900_000, 0), joint(950_000, 0)], 0), 941_000);
    }

    #[test]
    fn first_run_begins_where_it_is_told_and_streams_may_be_missing() {
        assert_eq!(offset(&[joint(None, 500), joint(None, 400)], 1_000), 600);
        assert_eq!(offset(&[joint(800, None), joint(None, 100)], 0), 700);
        assert_eq!(offset(&[joint(800, None), joint(790, 100)], 0), 690);
    }
}
