//! Pictures far apart: a seek to each group of them, instead of decoding all that lies between.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Branches, Order, Outcome, attempt, counters::Counters, seek::Range};
use crate::{job::Job, probe::InputFacts};

/// Pictures closer than this are decoded in one go: opening the file again and decoding from the last key frame costs about as much.
const WORTH_A_LEAP: Duration = Duration::from_secs(6);

/// Takes the pictures by leaps; `None` when the pass is of another kind, or a leap missed: then it is read in one go.
pub fn run(order: &Order, tick: &dyn Fn(&Counters)) -> Option<Outcome> {
    let groups = groups(order.jobs, order.facts)?;
    let counters = Arc::new(Counters::for_nodes(order.jobs.len()));
    let mut all: Vec<Vec<_>> = order.jobs.iter().map(|_| Vec::new()).collect();
    for jobs in groups {
        counters.begin();
        let range = Range::of(&jobs, order.facts);
        let part = Order { jobs: &jobs, ..*order };
        let outcome = attempt(&part, &range, &HashMap::new(), &counters, tick).ok()?;
        for (branches, found) in all.iter_mut().zip(outcome.jobs) {
            branches.extend(complete(found)?);
        }
    }
    // One after the other: never more than one at a time.
    counters.video_decoders.fetch_min(1, Relaxed);
    Some(Outcome {
        jobs: all.into_iter().map(Ok).collect(),
        counters,
    })
}

/// A job's branches when each got what it looked for.
fn complete(found: Branches) -> Option<Vec<Box<dyn crate::job::Branch>>> {
    found.ok().filter(|branches| branches.iter().all(|branch| branch.is_complete()))
}

/// The jobs once per group, each with what the group looks at only; `None` unless there are several groups and nothing but such jobs.
fn groups(jobs: &[Box<dyn Job>], facts: &InputFacts) -> Option<Vec<Vec<Box<dyn Job>>>> {
    if Range::of(jobs, facts) == Range::WHOLE {
        return None;
    }
    let each = jobs.iter().map(|job| job.looks_at()).collect::<Option<Vec<_>>>()?;
    let mut offsets: Vec<Duration> = each.into_iter().flatten().collect();
    offsets.sort_unstable();
    let ends: Vec<Duration> = offsets
        .windows(2)
        .filter_map(|pair| match pair {
            [before, after] if *after - *before > WORTH_A_LEAP => Some(*after),
            _ => None,
        })
        .collect();
    if ends.is_empty() {
        return None;
    }
    let starts = std::iter::once(Duration::ZERO).chain(ends.iter().copied());
    let ends = ends.iter().copied().chain([Duration::MAX]);
    starts
        .zip(ends)
        .map(|(start, end)| jobs.iter().map(|job| job.between(start, end)).collect())
        .collect()
}
