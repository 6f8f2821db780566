//! One pass: builds one pipeline from jobs, runs it, and says what became of each job.

pub mod audio;
mod bus;
pub mod channels;
pub mod clip;
pub mod containers;
pub mod copy;
pub mod counters;
pub mod elements;
pub mod encoders;
mod faults;
pub mod file;
mod flv;
pub mod forms;
mod gate;
pub mod keys;
mod leaps;
pub mod mp3_header;
mod own_pictures;
mod owners;
pub mod pace;
mod pacer;
mod packets;
pub mod pick;
pub mod picture;
pub mod pictures;
mod priming;
pub mod rgb;
mod seek;
mod sequence;
pub mod sheets;
mod skip;
mod source;
mod stall;
mod stamps;
pub mod streams;
mod tags;
mod unparsed;
pub mod video;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use gst::prelude::*;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{Failure, PlanOutput},
};

use crate::{
    failure,
    job::{Branch, Job, Members, Needs},
    probe::InputFacts,
    rules::Clip,
    timeline::{Timeline, Timelines, nanoseconds},
};
use audio::AudioEncode;
use bus::Bus;
use clip::Window;
use counters::Counters;
use elements::broken;
use owners::{Owners, Part};
use source::Source;

pub use seek::Range;

/// A running pipeline; stops when it drops, since dropping a playing pipeline does not stop it.
pub struct Running(pub gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// What a pass works on.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub input: &'a Path,
    pub facts: &'a InputFacts,
    pub jobs: &'a [Box<dyn Job>],
    pub folder: &'a Path,
    pub max_pixels: u64,
    /// What of each stream is shown, and when.
    pub timelines: &'a Timelines,
    /// Is told of finished members of sets.
    pub members: &'a Members,
}

/// A node's branches, one for each attempt of a pass that leapt; none: the node was idle.
type Branches = Result<Vec<Box<dyn Branch>>, Failure>;

/// What became of a pass.
pub struct Outcome {
    /// By job: its branches, stopped and not yet checked.
    pub jobs: Vec<Branches>,
    pub counters: Arc<Counters>,
}

impl Outcome {
    /// Whether each node got all that it looked for, or failed for another reason.
    fn is_complete(&self) -> bool {
        let branches = self.jobs.iter().filter_map(|branches| branches.as_ref().ok());
        branches.flatten().all(|branch| branch.is_complete())
    }

    /// No node could start.
    fn of_failures(order: &Order, failures: &HashMap<usize, Failure>, counters: Arc<Counters>) -> Self {
        let failure_of = |node: usize| failures.get(&node).cloned();
        Self {
            jobs: (0..order.jobs.len())
                .map(|node| failure_of(node).map_or_else(|| Ok(Vec::new()), Err))
                .collect(),
            counters,
        }
    }
}

/// Runs a pass; an error is one of the whole pass. `tick` is called about four times a second.
pub fn run(order: &Order, tick: &dyn Fn(&Counters)) -> Result<Outcome, Failure> {
    if let Some(outcome) = leaps::run(order, tick) {
        return Ok(outcome);
    }
    let mut range = Range::of(order.jobs, order.facts);
    let mut unstartable = HashMap::new();
    loop {
        let counters = Arc::new(Counters::for_nodes(order.jobs.len()));
        match attempt(order, &range, &unstartable, &counters, tick) {
            // A picture that stands long may lie before the part that was read.
            Ok(outcome) if range != Range::WHOLE && !outcome.is_complete() && !outcome.counters.handed_over.load(SeqCst) => {
                range = Range::WHOLE;
            }
            Ok(outcome) => return Ok(outcome),
            // A source that cannot seek is read from its beginning.
            Err(Trouble::NoSeek) if range != Range::WHOLE => range = Range::WHOLE,
            Err(Trouble::NoSeek) => return Err(broken("the source cannot seek")),
            Err(Trouble::Unstartable(nodes)) => unstartable.extend(nodes),
            Err(Trouble::Failed(failure)) => return Err(failure),
        }
    }
}

/// Why an attempt ended.
pub enum Trouble {
    NoSeek,
    /// The pass does not start, or does not go on, because of these nodes; it does without them.
    Unstartable(HashMap<usize, Failure>),
    Failed(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Path of an output's file.
pub fn output_path(folder: &Path, output: &PlanOutput) -> PathBuf {
    folder.join(format!("{}.{}", output.output_id, output.format))
}

fn attempt(
    order: &Order,
    range: &Range,
    unstartable: &HashMap<usize, Failure>,
    counters: &Arc<Counters>,
    tick: &dyn Fn(&Counters),
) -> Result<Outcome, Trouble> {
    let pipeline = gst::Pipeline::builder().name("pass").build();
    let guard = Running(pipeline.clone());
    let members = patient(order, range, counters);
    let order = &Order {
        members: &members,
        ..*order
    };
    let (mut source, feeder) = source(&pipeline, order, unstartable, counters)?;
    let owners = std::mem::take(&mut source.owners);
    let mut graph = Graph {
        pipeline: &pipeline,
        source: &source,
        order,
        range,
        counters,
        owners,
        sound: Vec::new(),
    };
    let mut branches: Vec<Option<Box<dyn Branch>>> = Vec::with_capacity(order.jobs.len());
    for (node, job) in order.jobs.iter().enumerate() {
        if unstartable.contains_key(&node) || job.is_idle() {
            counters.leave_out(node);
            branches.push(None);
            continue;
        }
        match job.build(&mut graph, node) {
            Ok(branch) => {
                branches.push(Some(branch));
                graph.owners.record(&pipeline, Part::Node(node));
            }
            Err(failure) => return Err(Trouble::Unstartable(HashMap::from([(node, failure)]))),
        }
    }
    if unstartable.len() == order.jobs.len() {
        return Ok(Outcome::of_failures(order, unstartable, counters.clone()));
    }
    let Graph { mut owners, sound, .. } = graph;
    let needs = order.jobs.iter().map(|job| job.needs());
    owners.settle(needs, sound.into_iter().map(|sound| sound.users).collect());
    let mut bus = Bus {
        pipeline: &pipeline,
        counters,
        owners,
    };
    counters.damage.begin(range);
    counters
        .shown_until
        .store(shown_until(order.facts, range), std::sync::atomic::Ordering::Relaxed);
    counters
        .to_the_end
        .store(range.stop.is_none(), std::sync::atomic::Ordering::Relaxed);
    let gates = seek::close(&source.gates, range);
    bus.start()?;
    let ended = seek::perform(&bus, gates, range, order.timelines).and_then(|()| bus.run(tick));
    drop(bus);
    drop(guard);
    drop(feeder);
    let failures = match ended {
        Ok(failures) => failures,
        Err(trouble) => {
            // The threads that write pictures end with their senders, which went with the pipeline.
            drop(pipeline);
            counters.is_abandoned.store(true, SeqCst);
            return Err(trouble);
        }
    };
    if !counters.handed_over.load(SeqCst) && seek::fell_short(range, order.facts, counters) {
        return Err(Trouble::NoSeek);
    }
    let told = |node: &usize| counters.nodes.get(*node).and_then(|counters| counters.failure());
    let failure_of = |node: &usize| failures.get(node).or(unstartable.get(node)).cloned();
    let jobs = branches
        .into_iter()
        .enumerate()
        .map(|(node, branch)| {
            let stopped = branch.map(stopped).transpose();
            // What was told of the node comes first, and a branch knows better than the bus why it failed.
            match (told(&node), stopped, failure_of(&node)) {
                (Some(failure), ..) | (None, Err(failure), _) | (None, _, Some(failure)) => Err(failure),
                (None, Ok(branch), None) => Ok(branch.into_iter().collect()),
            }
        })
        .collect();
    Ok(Outcome {
        jobs,
        counters: counters.clone(),
    })
}

/// Where the film is surely shown at the end of a pass that stops before its end.
fn shown_until(facts: &InputFacts, range: &Range) -> i64 {
    let only_film = crate::rules::sound(facts).is_none();
    let told = crate::rules::film(facts).and_then(|film| film.duration.or(facts.media.duration.filter(|_| only_film)));
    let film = told.and_then(|told| Duration::try_from(told).ok());
    range.stop.zip(film).map_or(0, |(stop, film)| nanoseconds(stop.min(film)))
}

/// How long the first member of sound waits for the film, which may tell that the pass begins in the wrong place.
const FILM_PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where uploads are slow the pass waits for them, and that is no standstill. What a pass made that begins in the wrong place is not handed
/// over: whether it does is found out once, before the first member.
fn patient(order: &Order, range: &Range, counters: &Arc<Counters>) -> Members {
    let (members, range, facts, counters) = (order.members.clone(), *range, order.facts.clone(), counters.clone());
    let uses_film = order.jobs.iter().any(|job| job.needs().decoded_video || job.needs().decoded_fields);
    let deciding = Mutex::new(());
    Arc::new(move |member| {
        let one_at_a_time = deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let has_begun = counters.handed_over.load(SeqCst);
        if uses_film && !has_begun && range != Range::WHOLE {
            wait_until(&|| counters.decoded.begin().is_some() || counters.is_abandoned.load(SeqCst));
        }
        if counters.is_abandoned.load(SeqCst) || (!has_begun && seek::fell_short(&range, &facts, &counters)) {
            counters.is_abandoned.store(true, SeqCst);
            return;
        }
        counters.handed_over.store(true, SeqCst);
        drop(one_at_a_time);
        counters.outside(|| members(member));
    })
}

fn wait_until(is_so: &dyn Fn() -> bool) {
    let ends = Instant::now() + FILM_PATIENCE;
    while !is_so() && Instant::now() < ends {
        std::thread::sleep(LOOK_EVERY);
    }
}

fn stopped(mut branch: Box<dyn Branch>) -> Result<Box<dyn Branch>, Failure> {
    branch.stop().map(|()| branch)
}

fn source(
    pipeline: &gst::Pipeline,
    order: &Order,
    unstartable: &HashMap<usize, Failure>,
    counters: &Arc<Counters>,
) -> Result<(Source, Option<own_pictures::Feeder>), Failure> {
    if order.facts.own_pictures {
        let (head, feeder) = own_pictures::source(pipeline, order, counters)?;
        return Ok((Source::raw_pictures(pipeline, &head, order, counters)?, Some(feeder)));
    }
    let jobs = order.jobs.iter().enumerate().filter(|(node, _)| !unstartable.contains_key(node));
    let needs = jobs.fold(Needs::default(), |needs, (_, job)| needs.and(job.needs()));
    let source = Source::file(pipeline, order, needs, counters)?;
    let skipped = skip::Plan::of(order.jobs, order.facts, &order.timelines.video);
    if let (Some(plan), Some(entry)) = (skipped, &source.decoder_entry) {
        plan.apply(entry, counters);
    }
    Ok((source, None))
}

/// One sound encoder and the nodes that use it.
struct Sound {
    settings: AudioEncode,
    clip: Clip,
    tracks: Vec<usize>,
    packets: gst::Element,
    users: Vec<usize>,
}

/// The pipeline while its branches are added.
pub struct Graph<'a> {
    pub pipeline: &'a gst::Pipeline,
    pub source: &'a Source,
    pub order: &'a Order<'a>,
    /// The part of the input that this attempt reads.
    pub range: &'a Range,
    pub counters: &'a Arc<Counters>,
    owners: Owners,
    sound: Vec<Sound>,
}

impl Graph<'_> {
    /// The packets of an encoder with these settings: one that is there already, or a new one. Several tracks are mixed.
    pub fn sound(&mut self, node: usize, settings: &AudioEncode, clip: Clip, tracks: &[usize]) -> Result<gst::Element, Failure> {
        if let Some(sound) = self
            .sound
            .iter_mut()
            .find(|sound| sound.settings == *settings && sound.clip == clip && sound.tracks == tracks)
        {
            sound.users.push(node);
            return Ok(sound.packets.clone());
        }
        let tees = self.tracks(tracks)?;
        let window = Window::raw(clip);
        let prefix = format!("n{node}-sound{}", self.sound.len());
        self.owners.record(self.pipeline, Part::Node(node));
        let packets = audio::encode(self.pipeline, &tees, node, &prefix, settings, &window, self.counters)?;
        self.owners.record(self.pipeline, Part::Encoder(self.sound.len()));
        self.sound.push(Sound {
            settings: settings.clone(),
            clip,
            tracks: tracks.to_vec(),
            packets: packets.clone(),
            users: vec![node],
        });
        Ok(packets)
    }

    /// The same samples without an encoder; gives the last element.
    pub fn raw_sound(&self, node: usize, settings: &AudioEncode, clip: Clip, tracks: &[usize]) -> Result<gst::Element, Failure> {
        let tees = self.tracks(tracks)?;
        audio::raw(self.pipeline, &tees, &format!("n{node}-raw-sound"), settings, &Window::raw(clip))
    }

    fn tracks(&self, tracks: &[usize]) -> Result<Vec<gst::Element>, Failure> {
        let decoded = |track: &usize| needed(self.source.decoded_tracks.get(track)).cloned();
        tracks.iter().map(decoded).collect()
    }

    /// The part of a stream's packets that a clip takes.
    pub fn packets(&self, clip: Clip, timeline: &Timeline) -> Result<Window, Failure> {
        let delay = timeline.delay().ok_or_else(|| {
            failure::data(
                ErrorReason::Unsupported,
                "the input's edit list plays several parts of its media, which a copy cannot say",
                "encode the stream instead of copying it",
            )
        })?;
        Ok(Window {
            clip: Clip {
                end: clip.end.or(timeline.end()),
                ..clip
            },
            delay,
        })
    }
}

/// A tee that the pass was planned to have.
pub fn needed(tee: Option<&gst::Element>) -> Result<&gst::Element, Failure> {
    tee.ok_or_else(|| broken("a stream was not planned for"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    /// How many members are handed over by a pass over `range` whose first picture lies at `first`, and whether it begins anew.
    fn handed_over(range: Range, first: Duration) -> (u64, bool) {
        let (facts, timelines, told) = (InputFacts::default(), Timelines::default(), Arc::new(AtomicU64::new(0)));
        let counted = told.clone();
        let members: Members = Arc::new(move |_| {
            counted.fetch_add(1, SeqCst);
        });
        let order = Order {
            input: Path::new(""),
            facts: &facts,
            jobs: &[],
            folder: Path::new(""),
            max_pixels: 0,
            timelines: &timelines,
            members: &members,
        };
        let counters = Arc::new(Counters::for_nodes(0));
        let patient = patient(&order, &range, &counters);
        counters.decoded.add(nanoseconds(first), 40_000_000);
        patient(Default::default());
        patient(Default::default());
        (told.load(SeqCst), counters.is_abandoned.load(SeqCst))
    }

    #[test]
    fn the_first_member_waits_until_the_film_has_begun() {
        let looks = AtomicU64::new(0);
        wait_until(&|| looks.fetch_add(1, SeqCst) == 3);
        assert_eq!(looks.load(SeqCst), 4);
    }

    #[test]
    fn members_of_a_pass_that_begins_too_late_are_not_handed_over() {
        let second = Duration::from_secs(1);
        let range = Range {
            start: 5 * second,
            stop: None,
        };
        assert_eq!(handed_over(range, 5 * second), (2, false));
        assert_eq!(handed_over(range, 7 * second), (0, true));
        assert_eq!(handed_over(Range::WHOLE, 7 * second), (2, false));
    }
}
