//! Adaptive streams: renditions of one film and of its sound, cut at the same times, told of segment by segment.

use std::{sync::Arc, time::Duration};

use gst::prelude::*;
use mps_proto::{
    v1::{
        AdaptiveStreamSettings, AppliedEnhancement, AudioCodec, AudioEnhancement, AudioRendition, ErrorReason, MediaStream, SegmentFormat,
        VideoSettings,
    },
    worker::v1::{Failure, PlanNode, PlanSet, SetResume},
};

use super::{
    Branch, Checking, Context, Job, Made, Needs, Preparing, Resolved,
    improve::{self},
    transcode::{AudioEncode, Gop, VideoEncode, select},
};
use crate::{
    enhance::PictureEnhancement,
    failure,
    pass::{
        Graph, Range, clip,
        counters::{self, NodeCounters},
        elements::{branch, link, make, mux_queue, pad, raw_queue},
        encoders, needed, video,
    },
    probe::InputFacts,
    rules::{self, Clip, Frame, frame_rate, stream_missing, unless_undecodable, unsupported},
    segments::{SetWriter, TrackPlan},
    subtitles,
};

/// Segments of this length where the settings name none.
const SEGMENT: Duration = Duration::from_secs(4);
/// Samples of one packet: sound begins again at one of its packets.
fn packet_samples(codec: AudioCodec) -> u64 {
    match codec {
        AudioCodec::Ac3 | AudioCodec::Eac3 => 1536,
        _ => 1024,
    }
}

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

pub(super) fn resolve(node: &PlanNode, settings: &AdaptiveStreamSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let set = node.set.clone().ok_or_else(|| unsupported("the plan names no set"))?;
    let film = rules::film(facts);
    let clip = Clip::resolve(
        node.start_offset.as_ref(),
        node.end_offset.as_ref(),
        rules::duration(facts),
        frame_rate(film),
    )?;
    let span = settings.segment_duration.and_then(|span| span.try_into().ok()).unwrap_or(SEGMENT);
    let (videos, pictures, left_out) = videos(node, settings, context, clip, span)?;
    let sounds = sounds(&settings.audio, facts)?;
    if videos.is_empty() && sounds.is_empty() {
        return Err(stream_missing(
            "the input has no sound",
            "add a rendition with video, or take an input with sound",
        ));
    }
    let resume = context.resumes.iter().find(|resume| resume.set_id == set.set_id).cloned();
    let mut stream = AdaptiveStream {
        is_ts: settings.segment_format() == SegmentFormat::Ts,
        set,
        span,
        videos,
        sounds,
        texts: subtitles::tracks(&node.subtitles, context, clip)?,
        clip,
        resume: resume.unwrap_or_default(),
        left_out,
        pictures,
        applied: Vec::new(),
    };
    let begin = stream.video_begin();
    stream.videos.iter_mut().for_each(|video| video.look.begin_at(begin));
    Ok(Box::new(stream))
}

/// Renditions that are made, from the largest, and how many are left out.
fn videos(
    node: &PlanNode,
    settings: &AdaptiveStreamSettings,
    context: &Context,
    clip: Clip,
    span: Duration,
) -> Result<(Vec<VideoEncode>, Improvements, usize), Failure> {
    if settings.renditions.is_empty() {
        return Ok((Vec::new(), Vec::new(), 0));
    }
    let film = rules::film(context.facts).ok_or_else(|| {
        stream_missing(
            "the input has no picture",
            "leave the renditions out: the stream is of sound only then",
        )
    })?;
    unless_undecodable(film, context.facts)?;
    let mut asked: Vec<&VideoSettings> = settings
        .renditions
        .iter()
        .filter_map(|rendition| rendition.video.as_ref())
        .collect();
    asked.sort_by_key(|video| std::cmp::Reverse(area(video)));
    let all = asked.len();
    if !settings.allow_upscale() {
        let smallest = asked.last().copied();
        asked.retain(|video| !is_larger(video, film));
        asked.extend(smallest.filter(|_| asked.is_empty()));
    }
    let left_out = all - asked.len();
    let (mut made, mut pictures) = (Vec::with_capacity(asked.len()), Vec::new());
    for video in asked {
        let mut encode = VideoEncode::resolve(video, film)?;
        encode.gop = Gop::Time(span);
        encode.scene_cuts = false;
        let picture = improve::dress(&mut encode.look, video, node, context, clip)?;
        pictures.extend(picture.map(|picture| (picture, improve::scales(&encode.look, context.facts))));
        made.push(encode);
    }
    Ok((made, pictures, left_out))
}

/// Pixels of a rendition, as far as its settings tell them; those of the input come first.
fn area(video: &VideoSettings) -> i64 {
    match (video.width_px, video.height_px) {
        (Some(width), Some(height)) => i64::from(width) * i64::from(height),
        (Some(width), None) => i64::from(width) * i64::from(width) * 9 / 16,
        (None, Some(height)) => i64::from(height) * i64::from(height) * 16 / 9,
        (None, None) => i64::MAX,
    }
}

fn is_larger(video: &VideoSettings, film: &MediaStream) -> bool {
    let frame = Frame::of(film);
    let (long, short) = (frame.width.max(frame.height), frame.width.min(frame.height));
    let sides = [video.width_px, video.height_px].map(|side| side.map_or(0.0, f64::from));
    match sides {
        [width, 0.0] => width > frame.width,
        [0.0, height] => height > frame.height,
        // A box holds the input whole when neither side of it is larger.
        [width, height] => width.max(height) > long && width.min(height) > short,
    }
}

fn sounds(asked: &[AudioRendition], facts: &InputFacts) -> Result<Vec<Sound>, Failure> {
    let streams = rules::sounds(facts);
    let mut made = Vec::new();
    // An input without sound gives a stream without sound.
    for rendition in asked.iter().filter(|_| !streams.is_empty()) {
        let Some(settings) = &rendition.audio else { continue };
        let selectors: Vec<_> = rendition.track.iter().cloned().collect();
        let Some(track) = select(&selectors, facts)?.first().copied() else {
            continue;
        };
        let Some(stream) = streams.get(track) else { continue };
        unless_undecodable(stream, facts)?;
        let language = if rendition.language.is_empty() {
            &stream.language
        } else {
            &rendition.language
        };
        let name = [rendition.display_name.as_str(), language.as_str(), "Audio"];
        made.push(Sound {
            settings: AudioEncode::resolve(settings, stream),
            asked: settings.enhancement,
            track,
            plan: TrackPlan {
                language: language.clone(),
                display_name: name.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned(),
                is_default: rendition.is_default,
                ..TrackPlan::default()
            },
        });
    }
    if !made.iter().any(|sound| sound.plan.is_default)
        && let Some(first) = made.first_mut()
    {
        first.plan.is_default = true;
    }
    Ok(made)
}

impl AdaptiveStream {
    /// The first segment that some track lacks.
    fn first_segment(&self) -> u32 {
        let tracks = self.videos.len() + self.sounds.len() + self.texts.len();
        let committed = (0..tracks).map(|track| self.resume.segments.get(track).copied().unwrap_or(0));
        u32::try_from(committed.min().unwrap_or(0)).unwrap_or(0)
    }

    /// Where this attempt begins, from the beginning of the output.
    fn begin(&self) -> Duration {
        self.span * self.first_segment()
    }

    /// Where pictures are read from: a span before those that are encoded, so that the first one keeps its time wherever it lies beside the
    /// boundary; from the beginning where a frame rate is made whose frames would lie otherwise.
    fn video_begin(&self) -> Duration {
        let before = self.begin().saturating_sub(self.span);
        let on_grid = |video: &VideoEncode| {
            video.frame_rate.is_none_or(|(num, den)| {
                let (num, den) = (u128::try_from(num).unwrap_or(0), u128::try_from(den).unwrap_or(1).max(1));
                (before.as_nanos() * num).is_multiple_of(den * 1_000_000_000)
            })
        };
        if self.videos.iter().all(on_grid) { before } else { Duration::ZERO }
    }

    /// Sound begins at the packet that an attempt without a break would begin the segment with.
    fn sound_begin(&self, settings: &AudioEncode) -> Duration {
        let packet = packet_samples(settings.codec);
        let rate = u64::try_from(settings.sample_rate_hz).unwrap_or(0).max(1);
        let samples = self.begin().as_nanos() * u128::from(rate) / 1_000_000_000;
        let packets = (u64::try_from(samples).unwrap_or(0) + packet / 2 - 1) / packet;
        let packets = if self.first_segment() == 0 { 0 } else { packets };
        Duration::from_nanos(packets * packet * 1_000_000_000 / rate)
    }

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
            drop_before(&pad(last, "src")?, self.begin() - self.video_begin());
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

/// Drops pictures whose middle lies before a running time.
fn drop_before(pad: &gst::Pad, time: Duration) {
    if time.is_zero() {
        return;
    }
    let time = clip::clock(time);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let running = segment
            .as_ref()
            .and_then(|event| event.segment().downcast_ref::<gst::ClockTime>())
            .and_then(|segment| segment.to_running_time(info.buffer()?.pts()?));
        let half = info
            .buffer()
            .and_then(|buffer| buffer.duration())
            .map_or(gst::ClockTime::MSECOND, |length| length / 2);
        match running {
            Some(running) if running + half >= time => gst::PadProbeReturn::Ok,
            _ => gst::PadProbeReturn::Drop,
        }
    });
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
