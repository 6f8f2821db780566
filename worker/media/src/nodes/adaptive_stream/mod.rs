//! Adaptive streams: renditions of one film and of its sound, cut at the same times, told of segment by segment.

mod renditions;
mod resume;

use std::{sync::Arc, time::Duration};

use gst::prelude::*;
use mps_proto::{
    v1::{AppliedEnhancement, AudioEnhancement, ErrorReason},
    worker::v1::{Failure, PlanSet, SetResume},
};

use super::{Branch, Checking, Job, Made, Needs, Preparing, improve};
use crate::{
    enhance::PictureEnhancement,
    failure,
    pass::{
        Graph, Range,
        audio::AudioEncode,
        counters::{self, NodeCounters},
        elements::{branch, link, make, mux_queue, pad, raw_queue},
        encoders::{self, VideoEncode},
        needed, video,
    },
    rules::{Clip, unsupported},
    segments::{SetWriter, TrackPlan},
    subtitles,
};

pub(super) use renditions::resolve;

/// Improvements of renditions, with what they saw once the pass is over, and whether the rendition is scaled.
type Improvements = Vec<(PictureEnhancement, bool)>;

/// A stream with nothing left open.
#[derive(Debug, Clone)]
pub struct AdaptiveStream {
    set: PlanSet,
    is_ts: bool,
    span: Duration,
    /// From the largest to the smallest.
    videos: Vec<VideoEncode>,
    sounds: Vec<Sound>,
    texts: Vec<subtitles::Track>,
    clip: Clip,
    resume: SetResume,
    /// Renditions that are larger than the input.
    left_out: usize,
    pictures: Improvements,
    /// What became of improvements of sound.
    applied: Vec<AppliedEnhancement>,
}

#[derive(Debug, Clone)]
struct Sound {
    settings: AudioEncode,
    asked: Option<AudioEnhancement>,
    track: usize,
    plan: TrackPlan,
}

impl AdaptiveStream {
    fn part_from(&self, begin: Duration) -> Clip {
        Clip {
            start: self.clip.start + begin,
            ..self.clip
        }
    }

    fn plan(&self, number: usize, plan: &TrackPlan, begin: Duration) -> TrackPlan {
        TrackPlan {
            begin,
            committed: self.resume.segments.get(number).copied().unwrap_or(0),
            init_sha256: self.resume.init_sha256.get(number).cloned().unwrap_or_default(),
            ..plan.clone()
        }
    }

    fn build_video(&self, graph: &Graph, node: usize, number: usize, settings: &VideoEncode) -> Result<gst::Pad, Failure> {
        let prefix = format!("n{node}-v{number}");
        let tee = needed(graph.source.decoded_video.as_ref())?;
        let window = graph.window(self.part_from(self.video_begin()), graph.order.starts.video);
        let (branch_pad, guard) = branch(graph.pipeline, tee, &format!("{prefix}-guard"))?;
        window.apply_to_video(tee, &branch_pad);
        let mut chain = vec![guard, raw_queue(graph.pipeline, &format!("{prefix}-queue"))?];
        chain.extend(video::pictures(graph.pipeline, &prefix, settings)?);
        if let Some(last) = chain.last() {
            resume::drop_before(&pad(last, "src")?, self.begin() - self.video_begin());
        }
        let encoder = encoders::chain(graph.pipeline, &prefix, settings, false)?;
        if let Some(entry) = encoder.first().filter(|_| number == 0) {
            counters::count(&pad(entry, "sink")?, graph.counters, move |counters| {
                counters.nodes.get(node).map(|node| &node.video)
            });
        }
        chain.extend(encoder);
        chain.push(end(graph.pipeline, &prefix)?);
        link(&chain.iter().collect::<Vec<_>>())?;
        last_pad(&chain)
    }

    fn build_sound(&self, graph: &mut Graph, node: usize, number: usize, sound: &Sound) -> Result<gst::Pad, Failure> {
        let prefix = format!("n{node}-audio-mux{number}");
        let clip = self.part_from(self.sound_begin(&sound.settings));
        let packets = graph.sound(node, &sound.settings, clip, &[sound.track])?;
        let (_, guard) = branch(graph.pipeline, &packets, &format!("{prefix}-guard"))?;
        let chain = [
            guard,
            mux_queue(graph.pipeline, &format!("{prefix}-queue"))?,
            end(graph.pipeline, &prefix)?,
        ];
        link(&chain.iter().collect::<Vec<_>>())?;
        last_pad(&chain)
    }
}

fn end(pipeline: &gst::Pipeline, prefix: &str) -> Result<gst::Element, Failure> {
    let sink = make(pipeline, "fakesink", &format!("{prefix}-end"))?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    Ok(sink)
}

fn last_pad(chain: &[gst::Element]) -> Result<gst::Pad, Failure> {
    let last = chain.last().ok_or_else(|| unsupported("an empty branch"))?;
    pad(last, "sink")
}

impl Job for AdaptiveStream {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: !self.videos.is_empty(),
            decoded_tracks: self.sounds.iter().map(|sound| sound.track).collect(),
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range {
            start: self.clip.start + if self.videos.is_empty() { self.begin() } else { self.video_begin() },
            stop: self.clip.end,
        }
    }

    fn prepare(&mut self, preparing: &Preparing) -> Result<(), Failure> {
        for (number, sound) in self.sounds.iter_mut().enumerate() {
            // Of the whole stream, also where an attempt goes on: every attempt must come to one gain.
            let tracks = [vec![sound.track]];
            let (treatments, applied) = improve::treat(sound.asked.as_ref(), &sound.settings, &tracks, self.clip, preparing)?;
            if let Some(treatment) = treatments.first() {
                sound.settings.treatment = *treatment;
            }
            self.applied.extend(applied.into_iter().map(|mut applied| {
                applied.name = format!("audio[{number}].{}", applied.name);
                applied
            }));
        }
        Ok(())
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let set = Arc::new(SetWriter::new(
            &self.set.set_id,
            graph.order.folder.to_owned(),
            self.span,
            self.is_ts,
            graph.order.members.clone(),
            node,
            graph.counters.clone(),
        ));
        let mut entries = Vec::new();
        for (number, settings) in self.videos.iter().enumerate() {
            let entry = self.build_video(graph, node, number, settings)?;
            entries.push((entry, self.plan(number, &TrackPlan::default(), self.video_begin())));
        }
        for (number, sound) in (self.videos.len()..).zip(&self.sounds) {
            let entry = self.build_sound(graph, node, number, sound)?;
            let begin = self.sound_begin(&sound.settings);
            entries.push((entry, self.plan(number, &sound.plan, begin)));
        }
        for (entry, plan) in entries {
            set.take(&entry, plan);
        }
        for (number, text) in (self.videos.len() + self.sounds.len()..).zip(&self.texts) {
            let plan = TrackPlan {
                language: text.language.clone(),
                display_name: text.title.clone(),
                is_default: text.is_default,
                ..TrackPlan::default()
            };
            set.add_text(self.plan(number, &plan, self.begin()), text.cues.clone());
        }
        Ok(Box::new(Streamed {
            set,
            set_id: self.set.set_id.clone(),
            left_out: self.left_out,
            pictures: self.pictures.clone(),
            applied: self.applied.clone(),
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
    set_id: String,
    left_out: usize,
    pictures: Improvements,
    applied: Vec<AppliedEnhancement>,
}

impl Streamed {
    /// What became of improvements; those of a rendition begin with its number, from the largest.
    fn enhancements(&self) -> Vec<AppliedEnhancement> {
        let of_rendition = |(number, (picture, scaled)): (usize, &(PictureEnhancement, bool))| {
            let named = move |mut applied: AppliedEnhancement| {
                applied.name = format!("renditions[{number}].{}", applied.name);
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
        self.set.finish()
    }

    fn check(self: Box<Self>, _checking: &Checking) -> Result<Made, Failure> {
        let count = self.left_out;
        let message = format!("{count} renditions are larger than the input and were left out");
        let details = [
            ("count", count.to_string()),
            ("hint", "set allow_upscale to make them all the same".to_owned()),
        ];
        let warnings = (count > 0).then(|| failure::warning(ErrorReason::Unsupported, message, &details));
        Ok(Made {
            enhancements: self.enhancements(),
            complete_sets: vec![self.set_id],
            warnings: warnings.into_iter().collect(),
            ..Made::default()
        })
    }
}
