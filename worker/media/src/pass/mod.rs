//! One pass: builds one pipeline from jobs, runs it, and says what became of each job.

mod audio;
mod bus;
mod clip;
pub mod counters;
mod elements;
mod file;
mod gif;
mod leaps;
mod pictures;
mod seek;
mod source;
mod video;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gst::prelude::*;
use mps_proto::worker::v1::{Failure, PlanOutput};

use crate::{
    edits::Starts,
    probe::InputFacts,
    rules::{Audio, AudioEncode, Clip, Job, Transcode, Video},
};
use clip::Window;
use counters::Counters;
use elements::broken;
use file::Output;
use pictures::Pictures;
use seek::Range;
use source::{Needs, Source};

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
    pub jobs: &'a [Job],
    pub folder: &'a Path,
    pub max_pixels: u64,
    /// What edit lists skipped before they were taken out.
    pub starts: Starts,
}

/// Media time of each picture of a job; `None`: there is none.
type PictureTimes = Result<Vec<Option<Duration>>, Failure>;

/// What became of a pass.
pub struct Outcome {
    /// By job: media time of each picture, in the order of the job's pictures.
    pub jobs: Vec<PictureTimes>,
    pub counters: Arc<Counters>,
    /// Media time at which the pass began, and whether it went on to the end of the input.
    pub base: Duration,
    pub to_the_end: bool,
}

impl Outcome {
    /// No node could start.
    fn of_failures(order: &Order, failures: &HashMap<usize, Failure>, counters: Arc<Counters>, range: &Range) -> Self {
        let failure_of = |node: usize| failures.get(&node).cloned();
        Self {
            jobs: (0..order.jobs.len())
                .map(|node| failure_of(node).map_or_else(|| Ok(Vec::new()), Err))
                .collect(),
            counters,
            base: range.start,
            to_the_end: false,
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
    /// The pass does not start because of these nodes; it does without them.
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
    let (source, feeder) = source(&pipeline, order, counters)?;
    let mut graph = Graph {
        pipeline: &pipeline,
        source: &source,
        order,
        range,
        counters,
        sound: Vec::new(),
        pictures: Vec::new(),
    };
    for (node, job) in order.jobs.iter().enumerate() {
        if unstartable.contains_key(&node) || is_idle(job) {
            counters.leave_out(node);
            continue;
        }
        if let Err(failure) = graph.add(node, job) {
            return Err(Trouble::Unstartable(HashMap::from([(node, failure)])));
        }
    }
    if unstartable.len() == order.jobs.len() {
        return Ok(Outcome::of_failures(order, unstartable, counters.clone(), range));
    }
    let sharing: bus::Sharing = graph.sound.iter().map(|sound| (sound.owner, sound.users.clone())).collect();
    let pictures = std::mem::take(&mut graph.pictures);
    let gates = seek::close(&source.gates, range);
    if let Err(error) = pipeline.set_state(gst::State::Playing) {
        return Err(bus::why_unstartable(&pipeline, &sharing).unwrap_or_else(|| broken(&error.to_string()).into()));
    }
    let ended = seek::perform(&pipeline, gates, range).and_then(|()| bus::run(&pipeline, counters, sharing, tick).map_err(Trouble::from));
    drop(guard);
    drop(feeder);
    let failures = match ended {
        Ok(failures) => failures,
        Err(trouble) => {
            // The threads that write pictures end with their senders, which went with the pipeline.
            drop(pipeline);
            return Err(trouble);
        }
    };
    let failure_of = |node: &usize| failures.get(node).or(unstartable.get(node)).cloned();
    let mut jobs: Vec<PictureTimes> = (0..order.jobs.len())
        .map(|node| failure_of(&node).map_or_else(|| Ok(Vec::new()), Err))
        .collect();
    for (node, pictures) in pictures {
        let finished = pictures.finish();
        if let Some(job) = jobs.get_mut(node).filter(|job| job.is_ok()) {
            *job = finished;
        }
    }
    Ok(Outcome {
        jobs,
        counters: counters.clone(),
        base: range.start,
        to_the_end: range.stop.is_none(),
    })
}

/// Matroska says when a packet is shown, and not when it is decoded; MP4 needs both.
fn timestamper(facts: &InputFacts) -> Option<&'static str> {
    if !["matroska", "webm"].contains(&facts.media.container.as_str()) {
        return None;
    }
    match crate::rules::film(facts)?.codec.as_str() {
        "h264" => Some("h264timestamper"),
        "hevc" => Some("h265timestamper"),
        _ => None,
    }
}

/// Whether there is nothing to do for a job in this attempt.
fn is_idle(job: &Job) -> bool {
    matches!(job, Job::Snapshots(job) if job.pictures.is_empty())
}

fn source(pipeline: &gst::Pipeline, order: &Order, counters: &Arc<Counters>) -> Result<(Source, Option<gif::Feeder>), Failure> {
    if order.facts.animated_gif {
        let (head, feeder) = gif::source(pipeline, order.input, order.max_pixels)?;
        return Ok((Source::raw_pictures(pipeline, &head, order.facts, counters)?, Some(feeder)));
    }
    let mut needs = Needs::default();
    for job in order.jobs {
        match job {
            Job::Snapshots(_) => needs.decoded_video = true,
            Job::Transcode(job) => {
                needs.decoded_video |= matches!(job.video, Some(Video::Encode(_)));
                needs.copied_video |= matches!(job.video, Some(Video::Copy));
                needs.decoded_audio |= matches!(job.audio, Some(Audio::Encode(_)));
                needs.copied_audio |= matches!(job.audio, Some(Audio::Copy));
            }
        }
    }
    Ok((Source::file(pipeline, order.input, order.facts, needs, counters)?, None))
}

/// One sound encoder and the nodes that use it.
struct Sound {
    settings: AudioEncode,
    clip: Clip,
    packets: gst::Element,
    owner: usize,
    users: Vec<usize>,
}

/// The pipeline while its branches are added.
struct Graph<'a> {
    pipeline: &'a gst::Pipeline,
    source: &'a Source,
    order: &'a Order<'a>,
    range: &'a Range,
    counters: &'a Arc<Counters>,
    sound: Vec<Sound>,
    pictures: Vec<(usize, Pictures)>,
}

impl Graph<'_> {
    fn add(&mut self, node: usize, job: &Job) -> Result<(), Failure> {
        match job {
            Job::Transcode(job) => self.transcode(node, job),
            Job::Snapshots(job) => {
                let tee = needed(self.source.decoded_video.as_ref())?;
                let files = job
                    .pictures
                    .iter()
                    .map(|picture| output_path(self.order.folder, &picture.output))
                    .collect();
                let pictures = Pictures::start(self.pipeline, tee, node, job, files, self.order.starts.video, self.counters)?;
                self.pictures.push((node, pictures));
                Ok(())
            }
        }
    }

    fn transcode(&mut self, node: usize, job: &Transcode) -> Result<(), Failure> {
        let path = output_path(self.order.folder, &job.output);
        let output = Output::new(self.pipeline, node, job.container, &path, self.counters)?;
        let window = self.window(job.clip, self.order.starts.video);
        match &job.video {
            None => {}
            Some(Video::Copy) => output.copy(
                self.pipeline,
                needed(self.source.copied_video.as_ref())?,
                "video",
                &window,
                timestamper(self.order.facts),
                self.counters,
            )?,
            Some(Video::Encode(settings)) => {
                let tee = needed(self.source.decoded_video.as_ref())?;
                let last = video::encode(self.pipeline, tee, node, settings, &window, self.counters)?;
                output.take(self.pipeline, &last, "video")?;
            }
        }
        match &job.audio {
            None => Ok(()),
            Some(Audio::Copy) => {
                let window = self.window(job.clip, self.order.starts.audio);
                let tee = needed(self.source.copied_audio.as_ref())?;
                output.copy(self.pipeline, tee, "audio", &window, None, self.counters)
            }
            Some(Audio::Encode(settings)) => {
                let packets = self.sound(node, settings, job.clip)?;
                output.take_shared(self.pipeline, &packets, "audio")
            }
        }
    }

    /// The packets of an encoder with these settings: one that is there already, or a new one.
    fn sound(&mut self, node: usize, settings: &AudioEncode, clip: Clip) -> Result<gst::Element, Failure> {
        if let Some(sound) = self
            .sound
            .iter_mut()
            .find(|sound| sound.settings == *settings && sound.clip == clip)
        {
            sound.users.push(node);
            return Ok(sound.packets.clone());
        }
        let tee = needed(self.source.decoded_audio.as_ref())?;
        let window = self.window(clip, self.order.starts.audio + self.sound_delay());
        let packets = audio::encode(self.pipeline, tee, node, settings, &window, self.counters)?;
        self.sound.push(Sound {
            settings: settings.clone(),
            clip,
            packets: packets.clone(),
            owner: node,
            users: vec![node],
        });
        Ok(packets)
    }

    fn window(&self, clip: Clip, delay: Duration) -> Window {
        // An edit list may end before its media does.
        let end = clip
            .end
            .or(self.order.facts.promised_duration.filter(|_| self.order.facts.edit_list_inside));
        let clip = Clip { end, ..clip };
        Window {
            clip,
            base: self.range.start,
            delay,
        }
    }

    /// What an MP3 decoder does not trim.
    fn sound_delay(&self) -> Duration {
        let rate = crate::rules::sound(self.order.facts)
            .and_then(|stream| stream.audio.as_ref())
            .map_or(0, |audio| audio.sample_rate_hz);
        match u64::try_from(rate) {
            Ok(rate) if rate > 0 => Duration::from_nanos(u64::from(self.order.facts.mp3_delay_samples) * 1_000_000_000 / rate),
            _ => Duration::ZERO,
        }
    }
}

fn needed(tee: Option<&gst::Element>) -> Result<&gst::Element, Failure> {
    tee.ok_or_else(|| broken("a stream was not planned for"))
}
