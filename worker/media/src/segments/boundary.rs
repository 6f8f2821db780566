//! Why a segment ends, and what players must be told where the next one begins. Pure.

/// Why a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is as long as segments are.
    Span,
    /// What follows needs another initialisation section.
    Configuration,
    /// What follows was made by another clock: sound and picture may stand otherwise to each other.
    Epoch,
    /// Nothing follows.
    Stop,
}

/// What a packet must have in common with those of its segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of its stream's configuration, from 0 in the order in which they were met.
    pub config: u32,
    /// Number of the clock.
    pub epoch: u32,
}

impl Mark {
    /// Why a packet cannot be in the segment of the one before it; `None`: it can.
    pub fn parts_from(self, before: Self) -> Option<Why> {
        if self.epoch != before.epoch {
            return Some(Why::Epoch);
        }
        (self.config != before.config).then_some(Why::Configuration)
    }
}

/// What of a track is told where a segment begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Boundary {
    /// Whether decoders begin anew: the segment does not go on where the one before ended.
    pub discontinuity: bool,
    /// Number of the initialisation section that the segment needs.
    pub init: u32,
}

/// The boundaries of the segments of streams that are cut together.
#[derive(Debug, Default)]
pub struct Boundaries {
    /// By stream: that of its last packet.
    last: Vec<Option<Mark>>,
}

impl Boundaries {
    /// By stream: what is told of a segment that has packets with these marks; `None`: it has none of the stream. What breaks off in one
    /// stream breaks off in all, since players keep the parts of a timeline by number.
    pub fn next(&mut self, marks: &[Option<Mark>]) -> Vec<Boundary> {
        self.last.resize(self.last.len().max(marks.len()), None);
        let pairs = || self.last.iter().zip(marks);
        let discontinuity = pairs().any(|(last, mark)| match (last, mark) {
            (Some(last), Some(mark)) => mark.parts_from(*last).is_some(),
            _ => false,
        });
        let boundary = |(last, mark): (&Option<Mark>, &Option<Mark>)| Boundary {
            discontinuity,
            init: mark.or(*last).map_or(0, |mark| mark.config),
        };
        let boundaries = pairs().map(boundary).collect();
        for (last, mark) in self.last.iter_mut().zip(marks) {
            *last = mark.or(*last);
        }
        boundaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(config: u32, epoch: u32) -> Option<Mark> {
        Some(Mark { config, epoch })
    }

    #[test]
    fn a_change_of_one_stream_is_told_of_all() {
        let mut boundaries = Boundaries::default();
        let told = |discontinuity, inits: [u32; 2]| inits.map(|init| Boundary { discontinuity, init }).to_vec();
        assert_eq!(boundaries.next(&[mark(0, 0), mark(0, 0)]), told(false, [0, 0]));
        assert_eq!(boundaries.next(&[mark(0, 0), None]), told(false, [0, 0]));
        assert_eq!(boundaries.next(&[mark(1, 0), mark(0, 0)]), told(true, [1, 0]));
        assert_eq!(boundaries.next(&[mark(1, 0), mark(0, 0)]), told(false, [1, 0]));
        assert_eq!(boundaries.next(&[mark(0, 0), mark(2, 0)]), told(true, [0, 2]));
        assert_eq!(boundaries.next(&[None, mark(2, 1)]), told(true, [0, 2]));
    }

    #[test]
    fn a_new_clock_weighs_more_than_a_new_configuration() {
        let before = Mark::default();
        assert_eq!(before.parts_from(before), None);
        assert_eq!(Mark { config: 1, epoch: 0 }.parts_from(before), Some(Why::Configuration));
        assert_eq!(Mark { config: 1, epoch: 1 }.parts_from(before), Some(Why::Epoch));
    }
}
