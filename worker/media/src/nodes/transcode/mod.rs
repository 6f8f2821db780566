//! Transcodes: one film or sound file, encoded or as it is.

mod audio;
mod expect;
mod finish;
mod tracks;
mod video;

use std::time::Duration;

use mps_proto::{
    v1::{AudioCodec, Container, ErrorReason, MetadataPolicy, TranscodeSettings, VideoCodec, VideoSettings},
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use super::{
    Branch, Checking, Context, Job, Made, Needs, Preparing, Resolved, Tracks, first_output,
    improve::{self, Extras},
};
use crate::{
    failure,
    pass::{
        Graph, Range,
        clip::Window,
        containers::{self, ContainerRule},
        copy::{self, Copy},
        counters::NodeCounters,
        encoders::VideoEncode,
        file::{Entered, Kept, Output},
        needed, output_path, video as video_branch,
    },
    probe::InputFacts,
    rules::{
        Clip, duration, film as film_of, frame_rate, idle_still_length, sounds, still_length, stream_missing, unless_undecodable,
        unsupported,
    },
    subtitles,
};

pub use audio::{Audio, Sound, silent};
pub use finish::{begins_early, turned};
pub use tracks::{Selected, select};

/// One film or sound file.
#[derive(Debug, Clone)]
pub struct Transcode {
    pub output: PlanOutput,
    pub container: Container,
    pub video: Option<Video>,
    pub sound: Option<Sound>,
    pub clip: Clip,
    pub kept: Kept,
    pub extras: Extras,
    /// Where a copy of the picture begins; known once the input was looked at.
    pub lead: copy::Lead,
    /// How long a copy of the picture is to be seen; `None`: to its end.
    pub length: Option<Duration>,
}

/// The video stream of a file.
#[derive(Debug, Clone)]
// A pass has few of them.
pub enum Video {
    Copy,
    Encode(Box<VideoEncode>),
}

/// What a transcode makes, whatever it is written to.
pub struct Film {
    pub video: Option<Video>,
    pub sound: Option<Sound>,
    pub clip: Clip,
    pub extras: Extras,
}

pub(super) fn resolve(node: &PlanNode, settings: &TranscodeSettings, context: &Context) -> Resolved {
    let film = Film::resolve(node, settings, container_rule(settings.container())?, context)?;
    subtitles::soft::unless_held(settings.container(), &film.extras.subtitles)?;
    Ok(Box::new(Transcode {
        output: first_output(node)?,
        container: settings.container(),
        video: film.video,
        sound: film.sound,
        clip: film.clip,
        kept: kept(settings),
        extras: film.extras,
        lead: copy::Lead::default(),
        length: None,
    }))
}

fn kept(settings: &TranscodeSettings) -> Kept {
    Kept {
        tags: settings.metadata() != MetadataPolicy::Strip,
        cover: settings.cover_art() != MetadataPolicy::Strip,
    }
}

impl Film {
    /// `rule`: that of what it is written to.
    pub fn resolve(node: &PlanNode, settings: &TranscodeSettings, rule: &ContainerRule, context: &Context) -> Result<Self, Failure> {
        let facts = context.facts;
        let film = film_of(facts);
        if settings.video.is_some() && film.is_none() {
            return Err(stream_missing(
                "the input has no picture",
                "use an audio preset, such as preset-m4a-96k",
            ));
        }
        let mut warnings = subtitles::warnings(&node.subtitles, context);
        let mut sound = match &settings.audio {
            Some(audio) => {
                let (mut sound, left_out) = Sound::resolve(audio, &node.audio_tracks, node.mix_audio_tracks, facts)?;
                warnings.extend(left_out);
                if let Some(Audio::Encode(encode)) = sound.as_mut().map(|sound| &mut sound.how) {
                    audio::fit(encode, audio.sample_rate_hz, rule)?;
                    encode.own_tags = audio::own_tags(encode.codec, kept(settings));
                }
                sound
            }
            None => None,
        };
        if settings.video.is_none() && sound.is_none() {
            return Err(stream_missing(
                "the input has no sound",
                "use a node with video, or an input with sound",
            ));
        }
        if let Some(sound) = &sound {
            unless_held(rule, sound, facts)?;
        }
        let asked = settings.video.as_ref();
        let still = asked.map(|video| still_length(video, facts)).transpose()?.flatten();
        warnings.extend(asked.and_then(|video| idle_still_length(video, facts)));
        let (start, end) = (node.start_offset.as_ref(), node.end_offset.as_ref());
        let clip = match still {
            Some(length) => Clip::of_still(start, end, length)?,
            None => Clip::resolve(start, end, duration(facts), frame_rate(film))?,
        };
        let copies_all = |settings: &TranscodeSettings| {
            let sound = settings.audio.as_ref().is_none_or(|audio| audio.codec() == AudioCodec::Copy);
            settings.video.as_ref().is_some_and(|video| video.codec() == VideoCodec::Copy) && sound
        };
        if copies_all(settings) {
            warnings.extend(expect::left_out(facts));
        }
        if let (Some(found), true) = (&mut sound, asked.is_some()) {
            warnings.extend(found.leave_silent_out(clip, facts));
            sound = sound.filter(|sound| !sound.tracks.is_empty());
        }
        let mut video = asked.map(|video| video_job(video, rule, still, facts)).transpose()?;
        let mut extras = Extras {
            sound: settings.audio.as_ref().and_then(|audio| audio.enhancement),
            subtitles: subtitles::tracks(&node.subtitles, context, clip)?,
            warnings,
            ..Extras::default()
        };
        match (&mut video, &settings.video) {
            (Some(Video::Encode(video)), Some(settings)) => {
                extras.picture = improve::dress(&mut video.look, settings, node, context, clip)?;
            }
            _ => improve::unless_undrawable(node)?,
        }
        Ok(Self {
            video,
            sound,
            clip,
            extras,
        })
    }
}

fn container_rule(container: Container) -> Result<&'static ContainerRule, Failure> {
    containers::rule(container).ok_or_else(|| unsupported(&format!("this worker does not write {}", container.as_str_name())))
}

/// `still`: how long a still picture is shown.
fn video_job(settings: &VideoSettings, rule: &ContainerRule, still: Option<Duration>, facts: &InputFacts) -> Result<Video, Failure> {
    let stream = film_of(facts).ok_or_else(|| stream_missing("the input has no picture", "leave the video out"))?;
    if settings.codec() == VideoCodec::Copy {
        return audio::unless_copyable(stream, rule.copied_video).map(|()| Video::Copy);
    }
    unless_undecodable(stream, facts)?;
    VideoEncode::resolve(settings, stream, facts, still).map(|encode| Video::Encode(Box::new(encode)))
}

fn unless_held(rule: &ContainerRule, sound: &Sound, facts: &InputFacts) -> Result<(), Failure> {
    let streams = sounds(facts);
    if sound.how == Audio::Copy {
        for stream in sound.tracks.iter().filter_map(|track| streams.get(*track)) {
            audio::unless_copyable(stream, rule.copied_audio)?;
        }
    }
    if sound.tracks.len() > 1 && !sound.mix && !rule.many_tracks {
        return Err(failure::data(
            ErrorReason::Unsupported,
            format!(
                "{} holds one track of sound, not {}",
                rule.container.as_str_name(),
                sound.tracks.len()
            ),
            "select one track, set mix_audio_tracks, or choose another container",
        ));
    }
    Ok(())
}

impl Job for Transcode {
    fn needs(&self) -> Needs {
        let tracks = self
            .sound
            .as_ref()
            .map_or_else(Tracks::default, |sound| sound.tracks.iter().copied().collect());
        let copies_sound = self.sound.as_ref().is_some_and(|sound| sound.how == Audio::Copy);
        let takes_fields = |video: &Video| matches!(video, Video::Encode(settings) if settings.fields);
        let fields = self.video.as_ref().is_some_and(takes_fields);
        Needs {
            decoded_video: matches!(self.video, Some(Video::Encode(_))) && !fields,
            decoded_fields: fields,
            copied_video: matches!(self.video, Some(Video::Copy)),
            decoded_tracks: if copies_sound { Tracks::default() } else { tracks },
            copied_tracks: if copies_sound { tracks } else { Tracks::default() },
        }
    }

    fn part(&self) -> Range {
        Range {
            start: self.clip.start,
            stop: self.clip.end,
        }
    }

    fn reads_all(&self) -> bool {
        matches!(self.video, Some(Video::Copy))
    }

    fn prepare(&mut self, preparing: &Preparing) -> Result<(), Failure> {
        if matches!(self.video, Some(Video::Copy)) {
            self.lead = copy::lead(preparing, self.clip)?;
            let end = self.clip.end.or(preparing.timelines.video.end());
            self.length = end.map(|end| (end + self.lead.picture).saturating_sub(self.clip.start));
        }
        let Some(sound) = &self.sound else { return Ok(()) };
        let Audio::Encode(settings) = &sound.how else { return Ok(()) };
        let (asked, outputs) = (self.extras.sound.as_ref(), sound.outputs());
        (self.extras.treatments, self.extras.applied) = improve::treat(asked, settings, &outputs, self.clip, preparing)?;
        Ok(())
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let path = output_path(graph.order.folder, &self.output);
        let rule = container_rule(self.container)?;
        let mut output = Output::new(graph.pipeline, node, rule, &path, self.kept, graph.counters)?;
        output.name_sound(finish::sound_titles(self, graph.order.facts));
        if let Some(video) = &self.video {
            self.build_video(graph, node, &mut output, video)?;
        }
        if let Some(sound) = &self.sound {
            self.build_sound(graph, node, &mut output, sound)?;
        }
        for (number, track) in self.extras.subtitles.iter().enumerate() {
            output.take_subtitles(graph.pipeline, &track.later(self.lead.whole()), number)?;
        }
        Ok(Box::new(File {
            job: self.clone(),
            entered: output.entered(),
        }))
    }

    fn position(&self, counters: &NodeCounters, duration: Option<Duration>) -> (Option<f64>, u64) {
        let length = self
            .clip
            .length(duration)
            .map(|length| length.as_secs_f64())
            .filter(|length| *length > 0.0);
        let counted = if self.video.is_some() { &counters.video } else { &counters.audio };
        (length.map(|length| counted.end().as_secs_f64() / length), counted.count())
    }
}

impl Transcode {
    fn build_video(&self, graph: &Graph, node: usize, output: &mut Output, video: &Video) -> Result<(), Failure> {
        match video {
            Video::Copy => {
                let copy = Copy {
                    tee: needed(graph.source.copied_video.as_ref())?,
                    kind: "video",
                    codec: film_of(graph.order.facts).map_or("", |stream| stream.codec.as_str()),
                    window: graph.packets(self.clip, &graph.order.timelines.video)?.led(self.lead.whole()),
                    facts: graph.order.facts,
                };
                output.copy(graph.pipeline, &copy, graph.counters)
            }
            Video::Encode(settings) => {
                let fields = graph.source.decoded_fields.as_ref().filter(|_| settings.fields);
                let tee = needed(fields.or(graph.source.decoded_video.as_ref()))?;
                let byte_stream = container_rule(self.container)?.byte_stream;
                let last = video_branch::encode(
                    graph.pipeline,
                    tee,
                    node,
                    settings,
                    byte_stream,
                    &Window::raw(self.clip),
                    graph.counters,
                )?;
                output.take(graph.pipeline, &last, "video")
            }
        }
    }

    fn build_sound(&self, graph: &mut Graph, node: usize, output: &mut Output, sound: &Sound) -> Result<(), Failure> {
        match &sound.how {
            Audio::Copy => {
                let streams = sounds(graph.order.facts);
                for (number, track) in sound.tracks.iter().enumerate() {
                    let copy = Copy {
                        tee: needed(graph.source.copied_tracks.get(track))?,
                        kind: &kind(number),
                        codec: streams.get(*track).map_or("", |stream| stream.codec.as_str()),
                        window: graph.packets(self.clip, &graph.order.timelines.audio)?.led(self.lead.whole()),
                        facts: graph.order.facts,
                    };
                    output.copy(graph.pipeline, &copy, graph.counters)?;
                }
            }
            Audio::Encode(settings) => {
                let (clip, late) = copy::led(self.clip, self.lead.whole());
                for (number, tracks) in sound.outputs().iter().enumerate() {
                    let packets = graph.sound(node, &self.extras.treated(settings, number), clip, tracks)?;
                    output.take_shared(graph.pipeline, &packets, &kind(number), late)?;
                }
            }
        }
        Ok(())
    }
}

/// Name of a stream of sound within the node.
fn kind(number: usize) -> String {
    if number == 0 {
        "audio".to_owned()
    } else {
        format!("audio{number}")
    }
}

/// The file of a transcode.
struct File {
    job: Transcode,
    entered: Entered,
}

impl Branch for File {
    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let scaled = match &self.job.video {
            Some(Video::Encode(video)) => improve::scales(&video.look, checking.facts),
            _ => false,
        };
        finish::made(&self.job, &self.entered, checking, scaled)
    }
}
