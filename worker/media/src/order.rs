//! An order from probe to checked files.

use std::{path::Path, time::Duration};

use mps_proto::{
    v1::{ErrorReason, NodeCounters, Phase},
    worker::v1::{ChildOrder, ChildProgress, ChildResult, DamagePolicy, Failure, InputLimits, MediaPlan, NodeResult, PlanNode},
};

use crate::{
    damage, edits,
    enhance::sound::Heard,
    failure,
    job::{Branch, Checking, Context, Job, Made, Members, Preparing, Resolved},
    nodes, outputs, pass,
    probe::{self, InputFacts},
    progress::Reporter,
    promises::{self, Delivered},
    timeline::{Timeline, Timelines},
};

const PROBE_DEADLINE: Duration = Duration::from_secs(20);
/// Pixels in a picture when the plan sets no limit.
const DEFAULT_MAX_PIXELS: i64 = 64 << 20;

pub fn run(order: &ChildOrder, progress: &(dyn Fn(ChildProgress) + Send + Sync), members: &Members) -> ChildResult {
    damage::install();
    let plan = order.plan.clone().unwrap_or_default();
    let limits = plan.limits.unwrap_or_default();
    let look = if order.is_partial { probe::probe_parts } else { probe::probe };
    match look(Path::new(&order.input_path), &limits, PROBE_DEADLINE) {
        Err(failure) => whole_failure(failure),
        Ok(facts) if plan.nodes.is_empty() => ChildResult {
            input: Some(facts.media),
            ..ChildResult::default()
        },
        Ok(facts) => process(order, &plan, &limits, &facts, progress, members),
    }
}

fn whole_failure(failure: Failure) -> ChildResult {
    ChildResult {
        failure: Some(failure),
        ..ChildResult::default()
    }
}

fn process(
    order: &ChildOrder,
    plan: &MediaPlan,
    limits: &InputLimits,
    facts: &InputFacts,
    progress: &(dyn Fn(ChildProgress) + Send + Sync),
    members: &Members,
) -> ChildResult {
    let mut work = Work::default();
    let context = Context {
        facts,
        side_inputs: &order.side_inputs,
        resumes: &order.sets,
    };
    for (node, job) in nodes::resolve(plan, &context) {
        work.take(node, job);
    }
    let mut counters = NodeCounters::default();
    if !work.jobs.is_empty() {
        let mut facts = facts.clone();
        let timelines = match timelines(Path::new(&order.input_path), &mut facts) {
            Ok(timelines) => timelines,
            Err(failure) => return whole_failure(failure),
        };
        let facts = &facts;
        let folder = Path::new(&order.output_folder);
        let max_pixels = max_pixels(limits);
        let reporter_ticks = |ticks| {
            progress(ChildProgress {
                ticks,
                ..ChildProgress::default()
            })
        };
        work.prepare(order, facts, &timelines, max_pixels, &reporter_ticks);
        let pass_order = pass::Order {
            timelines: &timelines,
            input: Path::new(&order.input_path),
            facts,
            jobs: &work.jobs,
            folder,
            max_pixels,
            members,
        };
        let reporter = Reporter::new(&work.nodes, &work.jobs, facts, progress);
        let outcome = match pass::run(&pass_order, &|counters| reporter.report(counters, Phase::Processing)) {
            Ok(outcome) => outcome,
            Err(failure) => return whole_failure(blame_truncation(failure, facts)),
        };
        counters.video_decoders = outcome.counters.video_decoders.load(std::sync::atomic::Ordering::Relaxed) as i32;
        counters.decoded_frames = outcome.counters.decoded.count() as i64;
        let damage = outcome.counters.damage.count();
        let delivered = Delivered::of(&outcome.counters, &timelines);
        let cut = promises::cut_nodes(&work.jobs, &delivered, facts);
        let all_cut = !cut.is_empty() && cut.len() == work.jobs.len();
        let whole = cut.values().next().filter(|_| all_cut).cloned();
        if let Some(failure) = whole.or_else(|| forbidden_damage(plan, damage)) {
            return whole_failure(failure);
        }
        reporter.report(&outcome.counters, Phase::Checking);
        let pass::Outcome { jobs, counters, .. } = outcome;
        let warnings = outputs::warnings(
            facts,
            damage,
            outputs::Lost {
                undecoded: promises::undecoded(&counters, &delivered),
                closed_up: promises::closed_up(&counters, &delivered, facts),
                alike: promises::alike(&counters, facts),
            },
        );
        let early = |job: &dyn Job| promises::early(job, &counters, &delivered, facts);
        let early: Vec<_> = work.jobs.iter().map(|job| early(job.as_ref())).collect();
        for (number, ((branches, node), of_node)) in jobs.into_iter().zip(&work.nodes).zip(&counters.nodes).enumerate() {
            let branches = match cut.get(&number) {
                Some(failure) => Err(failure.clone()),
                None => branches,
            };
            let tick = || reporter.moved(&counters);
            let checking = Checking {
                tick: &tick,
                facts,
                folder,
                counters: of_node,
            };
            let early = early.get(number).into_iter().flatten().map(outputs::early);
            let warnings: Vec<_> = warnings.iter().cloned().chain(early).collect();
            work.results.push(result(node, branches, &checking, warnings));
            reporter.checked(&counters);
        }
    }
    in_order_of(plan, &mut work.results);
    ChildResult {
        nodes: work.results,
        input: Some(facts.media.clone()),
        failure: None,
        counters: Some(counters),
    }
}

/// Nodes that can be done, with their jobs, and results of those that cannot.
#[derive(Default)]
struct Work {
    nodes: Vec<PlanNode>,
    jobs: Vec<Box<dyn Job>>,
    results: Vec<NodeResult>,
}

impl Work {
    fn take(&mut self, node: PlanNode, job: Resolved) {
        match job {
            Ok(job) => {
                self.nodes.push(node);
                self.jobs.push(job);
            }
            Err(failure) => self.results.push(failed(&node.key, failure)),
        }
    }

    /// Lets each node look at the input; those that find a reason not to go on are left out.
    fn prepare(&mut self, order: &ChildOrder, facts: &InputFacts, timelines: &Timelines, max_pixels: u64, report: &dyn Fn(i64)) {
        let ticks = std::cell::Cell::new(0);
        let tick = || {
            ticks.set(ticks.get() + 1);
            report(ticks.get());
        };
        let heard = Heard::default();
        let preparing = Preparing {
            heard: &heard,
            input: Path::new(&order.input_path),
            facts,
            timelines,
            folder: Path::new(&order.output_folder),
            max_pixels,
            tick: &tick,
        };
        let (nodes, jobs) = (std::mem::take(&mut self.nodes), std::mem::take(&mut self.jobs));
        for (node, mut job) in nodes.into_iter().zip(jobs) {
            let prepared = job.prepare(&preparing);
            self.take(node, prepared.map(|()| job));
        }
    }
}

fn max_pixels(limits: &InputLimits) -> u64 {
    let most = if limits.max_pixels > 0 {
        limits.max_pixels
    } else {
        DEFAULT_MAX_PIXELS
    };
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// What became of a node: the files of all its branches, checked.
fn result(
    node: &PlanNode,
    branches: Result<Vec<Box<dyn Branch>>, Failure>,
    checking: &Checking,
    warnings: Vec<mps_proto::rpc::Status>,
) -> NodeResult {
    let mut made = Made::default();
    let checked = branches.and_then(|branches| {
        for branch in branches {
            made.join(branch.check(checking)?);
        }
        Ok(())
    });
    match checked {
        Ok(()) => {
            made.warnings.extend(warnings);
            made.into_result(node)
        }
        Err(failure) => failed(&node.key, failure),
    }
}

/// What of each stream is shown, and when. Edit lists are hidden from the demuxer where it cannot follow them.
fn timelines(input: &Path, facts: &mut InputFacts) -> Result<Timelines, Failure> {
    let from_zero = Timeline::from_zero(facts.zero);
    let handlers: &[&[u8; 4]] = match (facts.edit_list_inside, facts.sound_edit) {
        (true, _) => &[b"vide", b"soun"],
        (false, true) => &[b"soun"],
        (false, false) => &[],
    };
    let mut edits = edits::Edits::default();
    if !handlers.is_empty() {
        edits = edits::read(input, handlers).map_err(|error| probe::unreadable(&error))?;
    }
    facts.reading.patches.bytes.append(&mut edits.patches);
    if edits.out_of_order {
        return Err(failure::data(
            ErrorReason::Unsupported,
            "the input's edit list plays parts of its media twice or out of order",
            "export the film from the program that edited it",
        ));
    }
    let audio = edits.audio.unwrap_or_else(|| from_zero.clone());
    Ok(Timelines {
        video: edits.video.unwrap_or(from_zero),
        heard: audio.delayed(facts.trim.start).ending(facts.trim.length),
        audio,
    })
}

fn failed(key: &str, failure: Failure) -> NodeResult {
    NodeResult {
        key: key.to_owned(),
        failure: Some(failure),
        ..NodeResult::default()
    }
}

fn in_order_of(plan: &MediaPlan, results: &mut [NodeResult]) {
    results.sort_by_key(|result| plan.nodes.iter().position(|node| node.key == result.key));
}

/// A file that was cut fails in many ways; the cut is what its owner must hear of.
fn blame_truncation(failure: Failure, facts: &InputFacts) -> Failure {
    let is_data = failure.kind() == mps_proto::worker::v1::FailureKind::Data;
    if is_data && facts.truncated_bytes > 0 {
        return promises::truncated(format!("{} bytes are missing at its end", facts.truncated_bytes));
    }
    failure
}

fn forbidden_damage(plan: &MediaPlan, count: u64) -> Option<Failure> {
    (count > 0 && plan.damage_policy() == DamagePolicy::Fail).then(|| {
        failure::data(
            ErrorReason::InputDamaged,
            format!("the input is damaged in {count} places"),
            "make the file anew from its source, or allow damage",
        )
    })
}
