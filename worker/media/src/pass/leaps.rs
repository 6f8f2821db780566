//! Pictures far apart: a seek to each group of them, instead of decoding all that lies between.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{Order, Outcome, PictureTimes, attempt, counters::Counters, seek::Range};
use crate::{
    probe::InputFacts,
    rules::{Job, Snapshots},
};

/// Pictures closer than this are decoded in one go: opening the file again and decoding from the last key frame costs about as much.
const WORTH_A_LEAP: Duration = Duration::from_secs(6);

/// Takes the pictures by leaps; `None` when the pass is of another kind, or a leap missed: then it is read in one go.
pub fn run(order: &Order, tick: &dyn Fn(&Counters)) -> Option<Outcome> {
    let groups = groups(order.jobs, order.facts)?;
    let counters = Arc::new(Counters::for_nodes(order.jobs.len()));
    let mut times: Vec<Vec<Option<Duration>>> = vec![Vec::new(); order.jobs.len()];
    for jobs in groups {
        counters.begin();
        let range = Range::of(&jobs, order.facts);
        let part = Order { jobs: &jobs, ..*order };
        let outcome = attempt(&part, &range, &HashMap::new(), &counters, tick).ok()?;
        for ((all, found), job) in times.iter_mut().zip(outcome.jobs).zip(&jobs) {
            all.extend(complete(found, job)?);
        }
    }
    // One after the other: never more than one at a time.
    counters.video_decoders.fetch_min(1, Relaxed);
    Some(Outcome {
        jobs: times.into_iter().map(Ok).collect(),
        counters,
        base: Duration::ZERO,
        to_the_end: false,
    })
}

/// The times of a job's pictures when it made each of them.
fn complete(found: PictureTimes, job: &Job) -> Option<Vec<Option<Duration>>> {
    let wanted = match job {
        Job::Snapshots(job) => job.pictures.len(),
        Job::Transcode(_) => 0,
    };
    let found = found.ok()?;
    (found.len() == wanted && found.iter().all(Option::is_some)).then_some(found)
}

/// The jobs once per group, each with the group's pictures only; `None` unless there are several groups and nothing but pictures.
fn groups(jobs: &[Job], facts: &InputFacts) -> Option<Vec<Vec<Job>>> {
    if Range::of(jobs, facts) == Range::WHOLE {
        return None;
    }
    let snapshots = jobs
        .iter()
        .map(|job| match job {
            Job::Snapshots(job) => Some(job),
            Job::Transcode(_) => None,
        })
        .collect::<Option<Vec<&Snapshots>>>()?;
    let mut offsets: Vec<Duration> = snapshots
        .iter()
        .flat_map(|job| job.pictures.iter().map(|picture| picture.offset))
        .collect();
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
    Some(starts.zip(ends).map(|range| taken_between(&snapshots, range)).collect())
}

fn taken_between(snapshots: &[&Snapshots], (start, end): (Duration, Duration)) -> Vec<Job> {
    let part = |job: &&Snapshots| {
        let mut job = (*job).clone();
        job.pictures.retain(|picture| picture.offset >= start && picture.offset < end);
        Job::Snapshots(job)
    };
    snapshots.iter().map(part).collect()
}
