//! Streams: renditions of one film and of its sound, cut at the same times, told of segment by segment. Adaptive streams, and transcodes
//! whose container is HLS.

mod copies;
mod films;
mod renditions;
mod resume;
mod single;

use std::{sync::Arc, time::Duration};

use gst::prelude::*;
use mps_proto::{
    rpc::Status,
    v1::{AppliedEnhancement, AudioEnhancement, ErrorReason},
    worker::v1::{Failure, PlanSet, SetResume},
};

use super::{
    Branch, Checking, Job, Made, Needs, Preparing, improve,
    transcode::{Audio, Video, begins_early, turned},
};
use crate::{
    enhance::PictureEnhancement,
    failure,
    finish::Turn,
    pass::{
        Graph, Range, copy,
        counters::NodeCounters,
        elements::{branch, link, make, mux_queue, pad},
    },
    rules::{Clip, turn},
    segments::{Feed, Finished, SetPlan, SetWriter, TrackPlan, Tracks},
    subtitles,
};

pub(super) use renditions::resolve;
pub(super) use single::resolve as resolve_single;

/// Segments of this length where the settings name none.
const SEGMENT: Duration = Duration::from_secs(4);

/// Improvements of renditions, with what they saw once the pass is over, and whether the rendition is scaled.
type Improvements = Vec<(PictureEnhancement, bool)>;

/// A stream with nothing left open.
#[derive(Debug, Clone)]
pub struct AdaptiveStream {
    set: PlanSet,
    is_ts: bool,
    span: Duration,
    /// From the largest to the smallest.
    videos: Vec<Video>,
    sounds: Vec<Sound>,
    /// Whether its parts are named by the rendition that they belong to.
    is_ladder: bool,
    /// Whether segments of the film hold the sound too.
    muxed: bool,
    texts: Vec<subtitles::Track>,
    clip: Clip,
    resume: SetResume,
    /// How many whole segments every stream has something in.
    common: u32,
    /// Where a copy of the picture begins; known once the input was looked at.
    lead: copy::Lead,
    /// Renditions that are larger than the input.
    left_out: usize,
    pictures: Improvements,
    /// What became of improvements of sound.
    applied: Vec<AppliedEnhancement>,
    /// What is to be said of the node's inputs.
    warnings: Vec<Status>,
}

#[derive(Debug, Clone)]
struct Sound {
    how: Audio,
    asked: Option<AudioEnhancement>,
    /// Of the input; several are mixed.
    tracks: Vec<usize>,
    plan: TrackPlan,
}

impl AdaptiveStream {
    fn part_from(&self, begin: Duration) -> Clip {
        Clip {
            start: self.clip.start + begin,
            ..self.clip
        }
    }

    fn copies(&self) -> bool {
        let film = self.videos.iter().any(|video| matches!(video, Video::Copy));
        film || self.sounds.iter().any(|sound| sound.how == Audio::Copy)
    }

    fn plan(&self, number: usize, plan: &TrackPlan) -> TrackPlan {
        TrackPlan {
            committed: self.resume.segments.get(number).copied().unwrap_or(0),
            init_sha256: self.resume.init_sha256.get(number).cloned().unwrap_or_default(),
            ..plan.clone()
        }
    }

    fn build_sound(&self, graph: &mut Graph, node: usize, number: usize, sound: &Sound) -> Result<Feed, Failure> {
        let Audio::Encode(settings) = &sound.how else {
            let track = sound.tracks.first().copied().unwrap_or(0);
            return self.build_copy(graph, node, copies::Kind::Sound { number, track });
        };
        let prefix = format!("n{node}-audio-mux{number}");
        let begin = self.sound_begin(sound);
        let (clip, late) = copy::led(self.part_from(begin), self.lead.whole());
        let packets = graph.sound(node, settings, clip, &sound.tracks)?;
        let (_, guard) = branch(graph.pipeline, &packets, &format!("{prefix}-guard"))?;
        let chain = vec![guard, mux_queue(graph.pipeline, &format!("{prefix}-queue"))?];
        Ok(Feed {
            entry: ended(graph.pipeline, &prefix, chain)?,
            begin: begin + late,
            copied: false,
        })
    }

    /// Tracks that are cut together. A copied film is cut at key frames of its own, and its sound where it is.
    fn tracks(&self, graph: &mut Graph, node: usize) -> Result<Vec<Tracks>, Failure> {
        let mut groups = Vec::new();
        let copied = self.videos.iter().any(|video| matches!(video, Video::Copy));
        let film = TrackPlan {
            turn: if copied { turn(graph.order.facts) } else { Turn::default() },
            ..TrackPlan::default()
        };
        for (number, feed) in self.build_films(graph, node)?.into_iter().enumerate() {
            groups.push(Tracks {
                feeds: vec![feed],
                plans: vec![self.plan(number, &film)],
            });
        }
        let follows_film = self.muxed || copied;
        for (number, sound) in (self.videos.len()..).zip(&self.sounds) {
            let feed = self.build_sound(graph, node, number, sound)?;
            match groups.last_mut().filter(|_| follows_film) {
                Some(group) if self.muxed => {
                    group.feeds.push(feed);
                    group.plans = vec![self.plan(0, &sound.plan)];
                }
                Some(group) => {
                    group.feeds.push(feed);
                    group.plans.push(self.plan(number, &sound.plan));
                }
                None => groups.push(Tracks {
                    feeds: vec![feed],
                    plans: vec![self.plan(number, &sound.plan)],
                }),
            }
        }
        Ok(groups)
    }

    /// Tracks of subtitles behind the others.
    fn text_tracks(&self) -> Vec<(TrackPlan, Vec<subtitles::Cue>)> {
        let media = if self.muxed {
            self.videos.len()
        } else {
            self.videos.len() + self.sounds.len()
        };
        let planned = |(number, text): (usize, &subtitles::Track)| {
            let plan = TrackPlan {
                language: text.language.clone(),
                display_name: text.title.clone(),
                is_default: text.is_default,
                ..TrackPlan::default()
            };
            (self.plan(number, &plan), text.later(self.lead.whole()).cues)
        };
        (media..).zip(&self.texts).map(planned).collect()
    }
}

/// Links a chain to its end; gives the pad where packets come.
fn ended(pipeline: &gst::Pipeline, prefix: &str, mut chain: Vec<gst::Element>) -> Result<gst::Pad, Failure> {
    let sink = make(pipeline, "fakesink", &format!("{prefix}-end"))?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    chain.push(sink.clone());
    link(&chain.iter().collect::<Vec<_>>())?;
    pad(&sink, "sink")
}

impl Job for AdaptiveStream {
    fn needs(&self) -> Needs {
        let fields = |video: &Video| matches!(video, Video::Encode(settings) if settings.fields);
        let frames = |video: &Video| matches!(video, Video::Encode(settings) if !settings.fields);
        let tracks = |copied: bool| {
            let sounds = self.sounds.iter().filter(move |sound| (sound.how == Audio::Copy) == copied);
            sounds.flat_map(|sound| sound.tracks.iter().copied()).collect()
        };
        Needs {
            decoded_video: self.videos.iter().any(frames),
            decoded_fields: self.videos.iter().any(fields),
            copied_video: self.videos.iter().any(|video| matches!(video, Video::Copy)),
            decoded_tracks: tracks(false),
            copied_tracks: tracks(true),
        }
    }

    fn part(&self) -> Range {
        Range {
            start: self.clip.start + if self.videos.is_empty() { self.begin() } else { self.video_begin() },
            stop: self.clip.end,
        }
    }

    fn reads_all(&self) -> bool {
        self.videos.iter().any(|video| matches!(video, Video::Copy))
    }

    fn prepare(&mut self, preparing: &Preparing) -> Result<(), Failure> {
        self.find_begin(preparing);
        if self.reads_all() {
            self.lead = copy::lead(preparing, self.clip)?;
            self.warnings.extend(begins_early(self.clip.start, self.lead, "encode the picture"));
        }
        let named = self.is_ladder || self.sounds.len() > 1;
        for (number, sound) in self.sounds.iter_mut().enumerate() {
            let Audio::Encode(settings) = &mut sound.how else { continue };
            // Of the whole stream, also where an attempt goes on: every attempt must come to one gain.
            let tracks = [sound.tracks.clone()];
            let (treatments, applied) = improve::treat(sound.asked.as_ref(), settings, &tracks, self.clip, preparing)?;
            if let Some(treatment) = treatments.first() {
                settings.treatment = *treatment;
            }
            self.applied.extend(applied.into_iter().map(|mut applied| {
                if named {
                    applied.name = format!("audio[{number}].{}", applied.name);
                }
                applied
            }));
        }
        Ok(())
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let plan = SetPlan {
            set_id: self.set.set_id.clone(),
            folder: graph.order.folder.to_owned(),
            span: self.span,
            is_ts: self.is_ts,
            whole_texts: self.set.manifests.iter().any(|manifest| manifest.format == "mpd"),
            has_film: !self.videos.is_empty(),
            members: graph.order.members.clone(),
            node,
            counters: graph.counters.clone(),
        };
        let tracks = self.tracks(graph, node)?;
        let set = SetWriter::start(plan, tracks, self.text_tracks())?;
        Ok(Box::new(Streamed {
            set,
            finished: Finished::default(),
            set_id: self.set.set_id.clone(),
            is_ladder: self.is_ladder,
            left_out: self.left_out,
            pictures: self.pictures.clone(),
            applied: self.applied.clone(),
            warnings: self.warnings.clone(),
            turned: self.is_ts && self.reads_all() && !turn(graph.order.facts).is_none(),
        }))
    }

    fn position(&self, counters: &NodeCounters, duration: Option<Duration>) -> (Option<f64>, u64) {
        let begin = if self.videos.is_empty() { self.begin() } else { self.video_begin() };
        let begin = begin.as_secs_f64();
        let length = self
            .clip
            .length(duration)
            .map(|length| length.as_secs_f64())
            .filter(|length| *length > 0.0);
        let counted = if self.videos.is_empty() { &counters.audio } else { &counters.video };
        (length.map(|length| (begin + counted.end().as_secs_f64()) / length), counted.count())
    }
}

/// The branches of a stream.
struct Streamed {
    set: Arc<SetWriter>,
    finished: Finished,
    set_id: String,
    is_ladder: bool,
    left_out: usize,
    pictures: Improvements,
    applied: Vec<AppliedEnhancement>,
    warnings: Vec<Status>,
    /// Whether copied pictures are turned for display, and segments cannot say it.
    turned: bool,
}

impl Streamed {
    /// What became of improvements; those of a ladder's rendition begin with its number, from the largest.
    fn enhancements(&self) -> Vec<AppliedEnhancement> {
        let of_rendition = |(number, (picture, scaled)): (usize, &(PictureEnhancement, bool))| {
            let named = move |mut applied: AppliedEnhancement| {
                if self.is_ladder {
                    applied.name = format!("renditions[{number}].{}", applied.name);
                }
                applied
            };
            picture.applied(*scaled).into_iter().map(named)
        };
        let pictures = self.pictures.iter().enumerate().flat_map(of_rendition);
        pictures.chain(self.applied.iter().cloned()).collect()
    }
}

impl Branch for Streamed {
    fn stop(&mut self) -> Result<(), Failure> {
        self.finished = self.set.finish()?;
        Ok(())
    }

    fn check(self: Box<Self>, _checking: &Checking) -> Result<Made, Failure> {
        let mut warnings = self.warnings.clone();
        if self.left_out > 0 {
            let message = format!("{} renditions are larger than the input and were left out", self.left_out);
            let hint = "set allow_upscale to make them all the same";
            warnings.push(warning(ErrorReason::Unsupported, message, self.left_out as u64, hint));
        }
        if self.turned {
            let message = turned("an MPEG-TS segment");
            let hint = ("hint", "encode the picture, or choose segments of fragmented MP4".to_owned());
            warnings.push(failure::warning(ErrorReason::Unsupported, message, &[hint]));
        }
        if self.finished.orphans > 0 {
            let message = format!(
                "{} copied pictures need parameter sets that the input does not have",
                self.finished.orphans
            );
            let hint = "encode the film instead of copying it";
            warnings.push(warning(ErrorReason::InputDamaged, message, self.finished.orphans, hint));
        }
        Ok(Made {
            enhancements: self.enhancements(),
            complete_sets: vec![self.set_id],
            warnings,
            ..Made::default()
        })
    }
}

fn warning(reason: ErrorReason, message: String, count: u64, hint: &str) -> Status {
    failure::warning(reason, message, &[("count", count.to_string()), ("hint", hint.to_owned())])
}
