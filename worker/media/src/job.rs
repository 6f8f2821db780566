//! What a node is to a pass: the streams and the part of the input that it needs, its branches, and what it made. The kinds are in `nodes`.

use std::{collections::BTreeMap, fmt::Debug, path::Path, sync::Arc, time::Duration};

use mps_proto::worker::v1::{ChildMember, Failure, FileResult, NodeResult, PlanNode, SetResume};

use crate::{
    enhance::sound::Heard,
    pass::{Graph, Range, counters::NodeCounters},
    probe::InputFacts,
    timeline::Timelines,
};

/// Which streams of the input a node needs, decoded or as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// Upright and progressive.
    pub decoded_video: bool,
    /// Upright, and interlaced where the input is.
    pub decoded_fields: bool,
    pub copied_video: bool,
    /// Tracks of sound by their position among those of the input.
    pub decoded_tracks: Tracks,
    pub copied_tracks: Tracks,
}

impl Needs {
    /// What both need.
    pub fn and(self, other: Self) -> Self {
        Self {
            decoded_video: self.decoded_video || other.decoded_video,
            decoded_fields: self.decoded_fields || other.decoded_fields,
            copied_video: self.copied_video || other.copied_video,
            decoded_tracks: self.decoded_tracks.and(other.decoded_tracks),
            copied_tracks: self.copied_tracks.and(other.copied_tracks),
        }
    }
}

/// A set of tracks of sound, by position; those behind the 64th are not reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tracks(u64);

impl Tracks {
    /// The first track alone.
    pub const FIRST: Self = Self(1);

    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn contains(self, track: usize) -> bool {
        track < 64 && self.0 >> track & 1 == 1
    }

    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..64).filter(move |track| self.contains(*track))
    }
}

impl FromIterator<usize> for Tracks {
    fn from_iter<T: IntoIterator<Item = usize>>(tracks: T) -> Self {
        let bits = tracks.into_iter().filter(|track| *track < 64).map(|track| 1u64 << track);
        Self(bits.fold(0, |all, bit| all | bit))
    }
}

/// What resolving knows besides the node.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub facts: &'a InputFacts,
    /// Paths of fetched side inputs by id.
    pub side_inputs: &'a BTreeMap<String, String>,
    /// Where sets of earlier attempts go on.
    pub resumes: &'a [SetResume],
}

/// What a node may look at before the pass, such as how loud the sound is.
#[derive(Clone, Copy)]
pub struct Preparing<'a> {
    pub input: &'a Path,
    pub facts: &'a InputFacts,
    pub timelines: &'a Timelines,
    pub folder: &'a Path,
    pub max_pixels: u64,
    /// How loud sounds are that other nodes measured.
    pub heard: &'a Heard,
    /// To be called while something moves, several times a second.
    pub tick: &'a dyn Fn(),
}

/// What one node makes, with nothing left open.
pub trait Job: Debug + Send + Sync {
    /// Streams that the pass must offer.
    fn needs(&self) -> Needs;

    /// The part of the input that it reads.
    fn part(&self) -> Range;

    /// Whether a pass with it must read the input from its beginning to its end, since a copied stream cannot be sought in exactly.
    fn reads_all(&self) -> bool {
        false
    }

    /// Whether there is nothing to do in this attempt.
    fn is_idle(&self) -> bool {
        false
    }

    /// Looks at the input before the pass. Most nodes need not.
    fn prepare(&mut self, _preparing: &Preparing) -> Result<(), Failure> {
        Ok(())
    }

    /// Adds the node's branches. Names of its elements begin with `n{node}-`, so that errors find their node.
    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure>;

    /// Share that is done, if it can be said, and frames. `duration`: that of the input.
    fn position(&self, counters: &NodeCounters, duration: Option<Duration>) -> (Option<f64>, u64);

    /// Media times at which it looks, in order, where it needs nothing between them: a pass of such nodes only may leap. Must be the
    /// same length whenever it is asked.
    fn looks_at(&self) -> Option<Vec<Duration>> {
        None
    }

    /// The part of the node that looks at times in [start, end); only asked of nodes that say what they look at.
    fn between(&self, _start: Duration, _end: Duration) -> Option<Box<dyn Job>> {
        None
    }
}

/// A node's branches in a pass.
pub trait Branch: Send {
    /// Waits for what runs beside the pipeline. Called once, after the pipeline has stopped.
    fn stop(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether it got all that it looked for; where not, a pass that leapt is made again in one go.
    fn is_complete(&self) -> bool {
        true
    }

    /// Checks and describes what it made.
    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure>;
}

/// What checking knows.
#[derive(Clone, Copy)]
pub struct Checking<'a> {
    pub facts: &'a InputFacts,
    pub folder: &'a Path,
    pub counters: &'a NodeCounters,
    /// To be called while something moves.
    pub tick: &'a dyn Fn(),
}

/// What a node made.
#[derive(Debug, Default)]
pub struct Made {
    pub files: Vec<FileResult>,
    pub series: Vec<mps_proto::worker::v1::SeriesFile>,
    pub enhancements: Vec<mps_proto::v1::AppliedEnhancement>,
    pub complete_sets: Vec<String>,
    pub warnings: Vec<mps_proto::rpc::Status>,
}

impl Made {
    /// Adds what another part of the node made.
    pub fn join(&mut self, other: Self) {
        self.files.extend(other.files);
        self.series.extend(other.series);
        self.enhancements.extend(other.enhancements);
        self.complete_sets.extend(other.complete_sets);
        self.warnings.extend(other.warnings);
    }

    /// As the supervisor is told, files in the order of the plan.
    pub fn into_result(mut self, node: &PlanNode) -> NodeResult {
        self.files
            .sort_by_key(|file| node.outputs.iter().position(|output| output.output_id == file.output_id));
        NodeResult {
            key: node.key.clone(),
            files: self.files,
            failure: None,
            warnings: self.warnings,
            series: self.series,
            enhancements: self.enhancements,
            complete_sets: self.complete_sets,
        }
    }
}

/// Tells that a member of a set is finished.
pub type Members = Arc<dyn Fn(ChildMember) + Send + Sync>;

/// What a node is to do, or why it cannot be done.
pub type Resolved = Result<Box<dyn Job>, Failure>;
