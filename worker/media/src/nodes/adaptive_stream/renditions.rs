//! From settings to renditions: which are made, of which track, and how.

use std::time::Duration;

use mps_proto::{
    rpc::Status,
    v1::{AdaptiveStreamSettings, AudioRendition, MediaStream, SegmentFormat, VideoSettings},
    worker::v1::{Failure, PlanNode},
};

use super::{AdaptiveStream, Improvements, SEGMENT, Sound};
use crate::{
    nodes::{
        Context, Resolved, improve,
        transcode::{Audio, Selected, Video, select, silent},
    },
    pass::{
        audio::AudioEncode,
        copy,
        encoders::{Gop, VideoEncode},
    },
    probe::InputFacts,
    rules::{self, Clip, Frame, frame_rate, stream_missing, unless_undecodable, unsupported},
    segments::TrackPlan,
    subtitles,
};

pub(in crate::nodes) fn resolve(node: &PlanNode, settings: &AdaptiveStreamSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let set = node.set.clone().ok_or_else(|| unsupported("the plan names no set"))?;
    let film = rules::film(facts);
    let asked = settings.renditions.first().and_then(|rendition| rendition.video.as_ref());
    let still = asked.map(|video| rules::still_length(video, facts)).transpose()?.flatten();
    let (start, end) = (node.start_offset.as_ref(), node.end_offset.as_ref());
    let clip = match still {
        Some(length) => Clip::of_still(start, end, length)?,
        None => Clip::resolve(start, end, rules::duration(facts), frame_rate(film))?,
    };
    let span = settings.segment_duration.and_then(|span| span.try_into().ok()).unwrap_or(SEGMENT);
    let (videos, pictures, left_out) = videos(node, settings, context, (clip, still), span)?;
    let mut warnings = subtitles::warnings(&node.subtitles, context);
    warnings.extend(asked.and_then(|video| rules::idle_still_length(video, facts)));
    let heard_in = (!videos.is_empty()).then_some(clip);
    let sounds = sounds(&settings.audio, facts, heard_in, &mut warnings)?;
    if videos.is_empty() && sounds.is_empty() {
        return Err(stream_missing(
            "the input has no sound",
            "add a rendition with video, or take an input with sound",
        ));
    }
    let resume = context.resumes.iter().find(|resume| resume.set_id == set.set_id).cloned();
    let stream = AdaptiveStream {
        is_ts: settings.segment_format() == SegmentFormat::Ts,
        is_ladder: true,
        muxed: false,
        set,
        span,
        videos,
        sounds,
        texts: subtitles::tracks(&node.subtitles, context, clip)?,
        clip,
        resume: resume.unwrap_or_default(),
        common: u32::MAX,
        lead: copy::Lead::default(),
        left_out,
        pictures,
        applied: Vec::new(),
        warnings,
    };
    Ok(Box::new(stream))
}

/// Renditions that are made, from the largest, and how many are left out. `still`: how long a still picture is shown.
fn videos(
    node: &PlanNode,
    settings: &AdaptiveStreamSettings,
    context: &Context,
    (clip, still): (Clip, Option<Duration>),
    span: Duration,
) -> Result<(Vec<Video>, Improvements, usize), Failure> {
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
        let mut encode = VideoEncode::resolve(video, film, context.facts, still)?;
        // Renditions are aligned: no key frames but where segments begin.
        encode.gop = Gop::Time(span);
        encode.scene_cuts = false;
        encode.cut_every(span, film)?;
        let picture = improve::dress(&mut encode.look, video, node, context, clip)?;
        pictures.extend(picture.map(|picture| (picture, improve::scales(&encode.look, context.facts))));
        made.push(Video::Encode(Box::new(encode)));
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

/// `heard_in`: tracks without sound in it are passed over. `warnings` gets what is to be said of tracks that were.
fn sounds(asked: &[AudioRendition], facts: &InputFacts, heard_in: Option<Clip>, warnings: &mut Vec<Status>) -> Result<Vec<Sound>, Failure> {
    let streams = rules::sounds(facts);
    let mut made = Vec::new();
    // An input without sound gives a stream without sound.
    for rendition in asked.iter().filter(|_| !streams.is_empty()) {
        let Some(settings) = &rendition.audio else { continue };
        let selectors: Vec<_> = rendition.track.iter().cloned().collect();
        let Selected { tracks, left_out } = select(&selectors, facts)?;
        warnings.extend(left_out.into_iter().filter(|said| !warnings.contains(said)).collect::<Vec<_>>());
        let Some(track) = tracks.first().copied() else { continue };
        let Some(stream) = streams.get(track) else { continue };
        unless_undecodable(stream, facts)?;
        if heard_in.is_some_and(|clip| !rules::reaches(facts, stream, clip)) {
            warnings.push(silent());
            continue;
        }
        let language = if rendition.language.is_empty() {
            &stream.language
        } else {
            &rendition.language
        };
        let title = facts.of_stream(stream.index).map_or("", |stream| stream.title.as_str());
        let name = [rendition.display_name.as_str(), title, language.as_str(), "Audio"];
        made.push(Sound {
            how: Audio::Encode(AudioEncode::resolve(settings, stream).filled()),
            asked: settings.enhancement,
            tracks: vec![track],
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
