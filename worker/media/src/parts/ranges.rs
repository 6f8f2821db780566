//! A set of ranges of bytes.

use std::ops::Range;

/// Ranges that neither touch nor overlap, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>>);

impl Ranges {
    /// Adds a range; what it touches becomes one with it.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let mut joined = range;
        self.0.retain(|known| {
            let apart = known.end < joined.start || known.start > joined.end;
            if !apart {
                joined = known.start.min(joined.start)..known.end.max(joined.end);
            }
            apart
        });
        let place = self.0.partition_point(|known| known.start < joined.start);
        self.0.insert(place, joined);
    }

    /// What lies in a range and not in the set, in order.
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for known in self.0.iter().filter(|known| known.end > range.start && known.start < range.end) {
            if known.start > at {
                gaps.push(at..known.start);
            }
            at = at.max(known.end);
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    pub fn contain(&self, range: Range<u64>) -> bool {
        self.missing(range).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[Range<u64>]) -> Ranges {
        let mut set = Ranges::default();
        for range in ranges {
            set.add(range.clone());
        }
        set
    }

    #[test]
    fn ranges_that_touch_become_one_in_any_order() {
        assert_eq!(set(&[8..9, 0..2, 2..4, 6..8]), set(&[0..4, 6..9]));
        assert_eq!(set(&[4..6, 0..1, 0..10]), set(&[0..5, 5..10]));
        assert_eq!(set(&[3..3, 0..0]), Ranges::default());
    }

    #[test]
    fn gaps_are_what_is_asked_for_and_not_there() {
        let have = set(&[2..4, 6..8]);
        assert_eq!(have.missing(0..10), [0..2, 4..6, 8..10]);
        assert_eq!(have.missing(3..9), [4..6, 8..9]);
        assert!(have.contain(6..8) && have.contain(5..5) && !have.contain(7..9));
    }
}
