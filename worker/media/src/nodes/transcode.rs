//! Transcodes: one film or sound file, encoded or as it is.

use std::time::Duration;

use mps_proto::{
    v1::{AudioCodec, Container, EncoderSpeed, ErrorReason, MediaStream, RateControl, TranscodeSettings, VideoCodec},
    worker::v1::{Failure, FileResult, PlanNode, PlanOutput},
};

use super::{Branch, Checking, Context, Job, Made, Needs, Resolved, first_output};
use crate::{
    check::{Expectation, check_output},
    failure, faststart,
    outputs::{CHECK_DEADLINE, described},
    pass::{Graph, Range, counters::NodeCounters, file::Output, needed, output_path, timestamper, video},
    probe::InputFacts,
    rules::{self, Clip, Frame, Geometry, duration, film as film_of, frame_rate, sound, stream_missing, unless_undecodable},
};

/// What one packet of sound lasts at most, and a little.
const PACKET: Duration = Duration::from_millis(80);

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

/// Sample rates that encoders take, in Hz.
const SAMPLE_RATES: [i32; 6] = [16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

pub(super) fn resolve(node: &PlanNode, settings: &TranscodeSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let video = film_of(facts);
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
    let output = first_output(node)?;
    let container = settings.container();
    let clip = Clip::resolve(
        node.start_offset.as_ref(),
        node.end_offset.as_ref(),
        duration(facts),
        frame_rate(video),
    )?;
    Ok(Box::new(Transcode {
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
    }))
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

impl Job for Transcode {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: matches!(self.video, Some(Video::Encode(_))),
            copied_video: matches!(self.video, Some(Video::Copy)),
            decoded_audio: matches!(self.audio, Some(Audio::Encode(_))),
            copied_audio: matches!(self.audio, Some(Audio::Copy)),
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

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let path = output_path(graph.order.folder, &self.output);
        let output = Output::new(graph.pipeline, node, self.container, &path, graph.counters)?;
        let window = graph.window(self.clip, graph.order.starts.video);
        match &self.video {
            None => {}
            Some(Video::Copy) => output.copy(
                graph.pipeline,
                needed(graph.source.copied_video.as_ref())?,
                "video",
                &window,
                timestamper(graph.order.facts),
                graph.counters,
            )?,
            Some(Video::Encode(settings)) => {
                let tee = needed(graph.source.decoded_video.as_ref())?;
                let last = video::encode(graph.pipeline, tee, node, settings, &window, graph.counters)?;
                output.take(graph.pipeline, &last, "video")?;
            }
        }
        match &self.audio {
            None => {}
            Some(Audio::Copy) => {
                let window = graph.window(self.clip, graph.order.starts.audio);
                let tee = needed(graph.source.copied_audio.as_ref())?;
                output.copy(graph.pipeline, tee, "audio", &window, None, graph.counters)?;
            }
            Some(Audio::Encode(settings)) => {
                let packets = graph.sound(node, settings, self.clip)?;
                output.take_shared(graph.pipeline, &packets, "audio")?;
            }
        }
        Ok(Box::new(File(self.clone())))
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

/// The file of a transcode.
struct File(Transcode);

impl Branch for File {
    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        Ok(Made {
            files: vec![film(&self.0, checking)?],
            ..Made::default()
        })
    }
}

fn film(job: &Transcode, checking: &Checking) -> Result<FileResult, Failure> {
    let path = output_path(checking.folder, &job.output);
    if matches!(job.container, Container::Mp4 | Container::M4a | Container::Unspecified) {
        faststart::move_index_first(&path).map_err(|error| {
            failure::node(
                ErrorReason::DiskFull,
                format!("the index could not be moved to the front: {error}"),
                "give the worker more scratch space",
            )
        })?;
    }
    let media = check_output(&path, &expectation(job, checking.counters, checking.facts), CHECK_DEADLINE)?;
    Ok(described(&job.output, &path, media, None))
}

fn expectation(job: &Transcode, counters: &NodeCounters, facts: &InputFacts) -> Expectation {
    let copied = matches!(job.video, Some(Video::Copy)) || matches!(job.audio, Some(Audio::Copy));
    let counted = counters.video.end().max(counters.audio.end());
    let frame = rules::frame_rate(rules::film(facts)).map_or(Duration::from_millis(100), |(num, den)| {
        Duration::from_secs_f64(f64::from(den) / f64::from(num))
    });
    let mut expected = Expectation {
        // Nodes that share a sound encoder have its counters at the first of them.
        duration: (!counted.is_zero())
            .then_some(counted)
            .or_else(|| job.clip.length(rules::duration(facts))),
        duration_tolerance: frame.max(PACKET) + if copied { Duration::from_secs(1) } else { Duration::ZERO },
        copied,
        ..Expectation::default()
    };
    match &job.video {
        Some(Video::Encode(video)) => {
            expected.video_codec = Some(codec_name(video.codec).to_owned());
            expected.width_px = video.geometry.width;
            expected.height_px = video.geometry.height;
            expected.video_frames = Some(counters.video.count());
        }
        Some(Video::Copy) => {
            let stream = rules::film(facts);
            expected.video_codec = stream.map(|stream| stream.codec.clone());
            if let Some(video) = stream.and_then(|stream| stream.video.as_ref()) {
                (expected.width_px, expected.height_px) = (video.width_px, video.height_px);
            }
        }
        None => {}
    }
    expected.audio_codec = match &job.audio {
        Some(Audio::Encode(audio)) => Some(if audio.codec == AudioCodec::Mp3 { "mp3" } else { "aac" }.to_owned()),
        Some(Audio::Copy) => rules::sound(facts).map(|stream| stream.codec.clone()),
        None => None,
    };
    let sound = counters.audio.end();
    expected.audio_duration = (expected.audio_codec.is_some() && !copied && !sound.is_zero()).then_some(sound);
    expected
}

fn codec_name(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H265 => "hevc",
        _ => "h264",
    }
}
