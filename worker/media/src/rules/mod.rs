//! From a plan's rules to jobs, once the input is known: percent, negative offsets, sizes, frame rates, missing streams. Pure.

mod geometry;
mod offsets;

use std::time::Duration;

use mps_proto::{
    v1::{
        AudioCodec, Container, EncoderSpeed, ErrorReason, Fit, ImageFormat, MediaStream, RateControl, TranscodeSettings, VideoCodec,
        node_settings::Settings,
    },
    worker::v1::{Failure, MediaPlan, PlanNode, PlanOutput},
};

use crate::{failure, probe::InputFacts};

pub use geometry::{Frame, Geometry};
pub use offsets::Clip;

/// What one node makes, with nothing left open.
#[derive(Debug, Clone)]
pub enum Job {
    Transcode(Transcode),
    Snapshots(Snapshots),
}

/// One film or sound file.
#[derive(Debug, Clone)]
pub struct Transcode {
    pub output: PlanOutput,
    pub container: Container,
    pub video: Option<Video>,
    pub audio: Option<Audio>,
    pub clip: Clip,
}

/// The video stream of a file.
#[derive(Debug, Clone)]
pub enum Video {
    Copy,
    Encode(VideoEncode),
}

#[derive(Debug, Clone)]
pub struct VideoEncode {
    pub codec: VideoCodec,
    pub rate: Rate,
    pub geometry: Geometry,
    /// Constant frame rate; `None`: time stamps are kept.
    pub frame_rate: Option<(i32, i32)>,
    pub gop_frames: i32,
    pub profile: String,
    pub speed: EncoderSpeed,
}

/// How bits are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    Crf(i32),
    AverageBps(i64),
}

/// The audio stream of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audio {
    Copy,
    Encode(AudioEncode),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioEncode {
    pub codec: AudioCodec,
    pub bitrate_bps: i64,
    pub sample_rate_hz: i32,
    pub channels: i32,
}

/// Pictures at offsets.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub format: ImageFormat,
    pub quality: i32,
    pub geometry: Geometry,
    /// In order of their offsets.
    pub pictures: Vec<Picture>,
}

#[derive(Debug, Clone)]
pub struct Picture {
    pub output: PlanOutput,
    pub offset: Duration,
}

/// Sample rates that encoders take, in Hz.
const SAMPLE_RATES: [i32; 6] = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// The job of each node, or why it cannot be done.
pub fn resolve(plan: &MediaPlan, facts: &InputFacts) -> Vec<(PlanNode, Result<Job, Failure>)> {
    plan.nodes.iter().map(|node| (node.clone(), resolve_node(node, facts))).collect()
}

fn resolve_node(node: &PlanNode, facts: &InputFacts) -> Result<Job, Failure> {
    match node.settings.as_ref().and_then(|settings| settings.settings.as_ref()) {
        Some(Settings::Transcode(settings)) => transcode(node, settings, facts).map(Job::Transcode),
        Some(Settings::Snapshot(settings)) => snapshots(node, settings, facts).map(Job::Snapshots),
        _ => Err(unsupported("the node has no settings that this worker knows")),
    }
}

fn transcode(node: &PlanNode, settings: &TranscodeSettings, facts: &InputFacts) -> Result<Transcode, Failure> {
    let video = film(facts);
    let audio = sound(facts);
    if settings.video.is_some() && video.is_none() {
        return Err(stream_missing(
            "the input has no picture",
            "use an audio preset, such as preset-m4a-96k",
        ));
    }
    if settings.video.is_none() && audio.is_none() {
        return Err(stream_missing(
            "the input has no sound",
            "use a node with video, or an input with sound",
        ));
    }
    let output = node
        .outputs
        .first()
        .cloned()
        .ok_or_else(|| unsupported("the plan names no output"))?;
    let container = settings.container();
    let clip = Clip::resolve(
        node.start_offset.as_ref(),
        node.end_offset.as_ref(),
        duration(facts),
        frame_rate(video),
    )?;
    Ok(Transcode {
        output,
        container,
        video: match (&settings.video, video) {
            (Some(settings), Some(stream)) => Some(video_job(settings, stream, facts)?),
            _ => None,
        },
        audio: match (&settings.audio, audio) {
            (Some(settings), Some(stream)) => Some(audio_job(settings, stream, container, facts)?),
            _ => None,
        },
        clip,
    })
}

/// Codecs that the muxers take as they are.
const COPIED_VIDEO: [&str; 4] = ["h264", "hevc", "mpeg4", "av1"];
const COPIED_AUDIO: [&str; 5] = ["aac", "mp3", "ac3", "alac", "opus"];

fn unless_copyable(stream: &MediaStream, codecs: &[&str]) -> Result<(), Failure> {
    if codecs.contains(&stream.codec.as_str()) {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        format!("the container cannot hold {} as it is", stream.codec),
        "encode the stream instead of copying it, or choose another container",
    ))
}

fn unless_undecodable(stream: &MediaStream, facts: &InputFacts) -> Result<(), Failure> {
    if !facts.undecodable.contains(&stream.index) {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::DecoderMissing,
        format!("no decoder for {} ({}) is installed", stream.codec, stream.kind),
        "install the GStreamer plugin that decodes it, or convert the input",
    ))
}

fn video_job(settings: &mps_proto::v1::VideoSettings, stream: &MediaStream, facts: &InputFacts) -> Result<Video, Failure> {
    if settings.codec() == VideoCodec::Copy {
        return unless_copyable(stream, &COPIED_VIDEO).map(|()| Video::Copy);
    }
    unless_undecodable(stream, facts)?;
    let frame_rate = settings
        .frame_rate_num
        .map(|num| (num, settings.frame_rate_den.unwrap_or(1).max(1)));
    let rate = match settings.rate_control() {
        RateControl::Vbr => Rate::AverageBps(settings.bitrate_bps()),
        _ => Rate::Crf(settings.crf.unwrap_or(if settings.codec() == VideoCodec::H265 { 28 } else { 23 })),
    };
    Ok(Video::Encode(VideoEncode {
        codec: settings.codec(),
        rate,
        geometry: Geometry::resolve(
            Frame::of(stream),
            settings.width_px,
            settings.height_px,
            settings.fit(),
            settings.allow_upscale(),
            2,
        ),
        frame_rate,
        gop_frames: gop_frames(settings, frame_rate),
        profile: settings.profile().to_owned(),
        speed: settings.speed(),
    }))
}

fn gop_frames(settings: &mps_proto::v1::VideoSettings, frame_rate: Option<(i32, i32)>) -> i32 {
    match (&settings.gop_duration, frame_rate) {
        (Some(span), Some((num, den))) => {
            let seconds = span.seconds as f64 + f64::from(span.nanos) / 1e9;
            ((seconds * f64::from(num) / f64::from(den)).round() as i32).max(1)
        }
        _ => settings.gop_frames.unwrap_or(250),
    }
}

fn audio_job(
    settings: &mps_proto::v1::AudioSettings,
    stream: &MediaStream,
    container: Container,
    facts: &InputFacts,
) -> Result<Audio, Failure> {
    if settings.codec() == AudioCodec::Copy {
        let codecs: &[&str] = if container == Container::Mp3 { &["mp3"] } else { &COPIED_AUDIO };
        return unless_copyable(stream, codecs).map(|()| Audio::Copy);
    }
    unless_undecodable(stream, facts)?;
    let properties = stream.audio.unwrap_or_default();
    Ok(Audio::Encode(AudioEncode {
        codec: settings.codec(),
        bitrate_bps: settings.bitrate_bps.unwrap_or(128_000),
        sample_rate_hz: settings.sample_rate_hz.unwrap_or_else(|| nearest_rate(properties.sample_rate_hz)),
        channels: settings.channels.unwrap_or_else(|| properties.channels.clamp(1, 2)),
    }))
}

fn nearest_rate(input_hz: i32) -> i32 {
    if input_hz <= 0 {
        return 48_000;
    }
    SAMPLE_RATES
        .into_iter()
        .min_by_key(|rate| (rate - input_hz).abs())
        .unwrap_or(48_000)
}

fn snapshots(node: &PlanNode, settings: &mps_proto::v1::SnapshotSettings, facts: &InputFacts) -> Result<Snapshots, Failure> {
    let stream = film(facts).ok_or_else(|| stream_missing("the input has no picture", "leave the snapshots out"))?;
    unless_undecodable(stream, facts)?;
    let mut pictures = Vec::with_capacity(node.offsets.len());
    for (text, output) in node.offsets.iter().zip(&node.outputs) {
        pictures.push(Picture {
            output: output.clone(),
            offset: offsets::picture(text, duration(facts))?,
        });
    }
    pictures.sort_by_key(|picture| picture.offset);
    Ok(Snapshots {
        format: settings.format(),
        quality: settings.quality.unwrap_or(85),
        geometry: Geometry::resolve(Frame::of(stream), settings.width_px, settings.height_px, settings.fit(), false, 1),
        pictures,
    })
}

/// The film, or the still picture: never an attached picture.
pub fn film(facts: &InputFacts) -> Option<&MediaStream> {
    facts.media.streams.iter().find(|stream| stream.kind == "video").or_else(|| {
        let pictures_are_all = facts.still_picture || facts.animated_gif;
        facts.media.streams.iter().find(|stream| pictures_are_all && stream.kind == "image")
    })
}

/// The first track of sound.
pub fn sound(facts: &InputFacts) -> Option<&MediaStream> {
    facts.media.streams.iter().find(|stream| stream.kind == "audio")
}

/// What the input lasts; `None` when nobody knows before it is read.
pub fn duration(facts: &InputFacts) -> Option<Duration> {
    let span = facts.media.duration.as_ref()?;
    let duration = Duration::try_from(*span).ok()?;
    (!duration.is_zero()).then_some(duration)
}

/// Frames per second of the film; `None` when variable or unknown.
pub fn frame_rate(stream: Option<&MediaStream>) -> Option<(i32, i32)> {
    let video = stream?.video.as_ref()?;
    (video.frame_rate_num > 0 && video.frame_rate_den > 0).then_some((video.frame_rate_num, video.frame_rate_den))
}

/// Whether a fit asks for bars.
pub fn wants_bars(fit: Fit) -> bool {
    fit == Fit::Pad
}

fn stream_missing(message: &str, hint: &str) -> Failure {
    failure::data(ErrorReason::StreamMissing, message, hint)
}

fn unsupported(message: &str) -> Failure {
    failure::data(ErrorReason::Unsupported, message, "upgrade the worker to the server's version")
}
