//! Which nodes run in one pass over the input.
//!
//! Nodes share a decoder unless their clips lie so far apart that one pass would decode more than three times what passes of
//! their own would. How long the input is nobody knows when a task is accepted, so only offsets from its beginning count: a
//! node whose end is not known shares its pass with all.

use prost_types::Duration;

use super::Ready;
use crate::kinds::{Draft, nanos, seconds_of};

/// Seconds that are decoded for one picture: from the key frame before it.
const SECONDS_OF_PICTURE: f64 = 2.0;
/// How much more a pass may decode than passes apart.
const MOST_RATIO: f64 = 3.0;

/// Part of the input in seconds from its beginning.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    start: f64,
    end: f64,
    /// Seconds that are decoded for it alone.
    decoded: f64,
}

impl Span {
    /// What one pass over both decodes.
    fn joined(self, other: Self) -> Self {
        let (start, end) = (self.start.min(other.start), self.end.max(other.end));
        Self {
            start,
            end,
            decoded: end - start,
        }
    }
}

/// Groups of nodes that run in one pass each, in order of their first nodes.
pub(super) fn split(nodes: Vec<Ready>) -> Vec<Vec<Ready>> {
    let spans: Option<Vec<Span>> = nodes.iter().map(|node| span_of(&node.draft)).collect();
    let Some(spans) = spans else {
        return vec![nodes];
    };
    let pass_of = passes(&spans);
    let count = pass_of.iter().max().map_or(0, |last| last + 1);
    let mut groups: Vec<Vec<Ready>> = (0..count).map(|_| Vec::new()).collect();
    for (node, pass) in nodes.into_iter().zip(pass_of) {
        if let Some(group) = groups.get_mut(pass) {
            group.push(node);
        }
    }
    groups
}

/// Pass of each node, numbered by their first nodes.
fn passes(spans: &[Span]) -> Vec<usize> {
    let mut order: Vec<(usize, Span)> = spans.iter().copied().enumerate().collect();
    order.sort_by(|(_, one), (_, other)| one.start.total_cmp(&other.start));
    let mut groups: Vec<(Span, Vec<usize>)> = Vec::new();
    for (index, span) in order {
        let is_near = |group: &&mut (Span, Vec<usize>)| {
            let apart = group.0.decoded + span.decoded;
            group.0.joined(span).decoded <= MOST_RATIO * apart
        };
        match groups.iter_mut().find(is_near) {
            Some(group) => {
                group.0 = group.0.joined(span);
                group.1.push(index);
            }
            None => groups.push((span, vec![index])),
        }
    }
    groups.sort_by_key(|(_, members)| members.iter().min().copied());
    let pass_of = |index: usize| groups.iter().position(|(_, members)| members.contains(&index));
    (0..spans.len()).map(|index| pass_of(index).unwrap_or(0)).collect()
}

/// The part of the input that a node needs, where its offsets tell.
fn span_of(draft: &Draft) -> Option<Span> {
    if !draft.offsets.is_empty() {
        return pictures(&draft.offsets);
    }
    let start = draft.start_offset.as_ref().map_or(Some(0.0), seconds)?;
    let end = seconds(draft.end_offset.as_ref()?)?;
    Some(Span {
        start,
        end,
        decoded: end - start,
    })
}

fn pictures(offsets: &[String]) -> Option<Span> {
    let seconds: Option<Vec<f64>> = offsets.iter().map(|offset| seconds_of(offset)).collect();
    let seconds = seconds?;
    let start = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let end = seconds.iter().copied().fold(0.0, f64::max) + SECONDS_OF_PICTURE;
    let each = seconds.iter().map(|_| SECONDS_OF_PICTURE).sum::<f64>();
    Some(Span {
        start,
        end,
        decoded: each.min(end - start),
    })
}

/// Seconds of an offset that counts from the beginning.
fn seconds(offset: &Duration) -> Option<f64> {
    let nanos = nanos(offset).ok().filter(|nanos| *nanos >= 0)?;
    let milliseconds = i64::try_from(nanos / 1_000_000).ok()?;
    // Exact far beyond the length of any film.
    Some(std::time::Duration::from_millis(milliseconds.unsigned_abs()).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(start: f64, end: f64) -> Span {
        Span {
            start,
            end,
            decoded: end - start,
        }
    }

    #[test]
    fn clips_share_a_pass_unless_it_would_decode_far_more() {
        for (spans, passes_of) in [
            (vec![clip(0.0, 10.0)], vec![0]),
            (vec![clip(0.0, 10.0), clip(5.0, 15.0)], vec![0, 0]),
            (vec![clip(0.0, 60.0), clip(120.0, 180.0)], vec![0, 0]),
            (vec![clip(0.0, 10.0), clip(50.0, 60.0)], vec![0, 0]),
            (vec![clip(0.0, 10.0), clip(51.0, 61.0)], vec![0, 1]),
            (vec![clip(3600.0, 3610.0), clip(0.0, 10.0)], vec![0, 1]),
            (
                vec![clip(3600.0, 3610.0), clip(0.0, 10.0), clip(3605.0, 3615.0), clip(12.0, 20.0)],
                vec![0, 1, 0, 1],
            ),
            (vec![clip(0.0, 7200.0), clip(100.0, 101.0)], vec![0, 0]),
        ] {
            assert_eq!(passes(&spans), passes_of, "{spans:?}");
        }
    }

    #[test]
    fn pictures_need_little_and_reach_far() {
        let offsets = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let span = pictures(&offsets(&["10s", "0s", "3600s"])).expect("every offset counts from the beginning");
        assert_eq!((span.start, span.end, span.decoded), (0.0, 3602.0, 6.0));
        assert_eq!(pictures(&offsets(&["1s", "10%"])), None);
        assert_eq!(pictures(&offsets(&["-1s"])), None);
    }
}
