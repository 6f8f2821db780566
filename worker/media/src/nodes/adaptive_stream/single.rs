//! Transcodes whose container is HLS: a stream of one film, encoded or as it is.

use mps_proto::{
    v1::{SegmentFormat, TranscodeSettings},
    worker::v1::{PlanNode, PlanSet},
};

use super::{AdaptiveStream, SEGMENT, Sound};
use crate::{
    job::{Context, Resolved},
    nodes::{
        improve,
        transcode::{Audio, Film, Video},
    },
    pass::{containers, copy},
    rules,
    segments::TrackPlan,
};

pub(in crate::nodes) fn resolve(node: &PlanNode, set: &PlanSet, settings: &TranscodeSettings, context: &Context) -> Resolved {
    let film = Film::resolve(node, settings, containers::hls(set.segment_format()), context)?;
    let span = set.segment_duration.and_then(|span| span.try_into().ok()).unwrap_or(SEGMENT);
    let sounds = sounds(&film, context);
    let mut videos: Vec<Video> = film.video.into_iter().collect();
    let mut pictures = Vec::new();
    for video in &mut videos {
        if let (Video::Encode(encode), Some(stream)) = (video, rules::film(context.facts)) {
            encode.cut_every(span, stream)?;
            let picture = film.extras.picture.clone();
            pictures.extend(picture.map(|picture| (picture, improve::scales(&encode.look, context.facts))));
        }
    }
    let resume = context.resumes.iter().find(|resume| resume.set_id == set.set_id).cloned();
    let stream = AdaptiveStream {
        is_ts: set.segment_format() == SegmentFormat::Ts,
        is_ladder: false,
        // One playlist: picture and sound are in the same segments.
        muxed: set.sub_stream_path.is_empty() && !videos.is_empty() && !sounds.is_empty(),
        set: set.clone(),
        span,
        videos,
        sounds,
        texts: film.extras.subtitles,
        clip: film.clip,
        resume: resume.unwrap_or_default(),
        common: u32::MAX,
        lead: copy::Lead::default(),
        left_out: 0,
        pictures,
        applied: Vec::new(),
        warnings: film.extras.warnings,
    };
    Ok(Box::new(stream))
}

fn sounds(film: &Film, context: &Context) -> Vec<Sound> {
    let Some(sound) = &film.sound else { return Vec::new() };
    let streams = rules::sounds(context.facts);
    let made = sound.outputs().into_iter().enumerate().map(|(number, tracks)| {
        let first = tracks.first().and_then(|track| streams.get(*track));
        let language = first.map(|stream| stream.language.clone()).unwrap_or_default();
        let title = first
            .and_then(|stream| context.facts.of_stream(stream.index))
            .map_or("", |stream| stream.title.as_str());
        let name = [title, language.as_str(), "Audio"].into_iter().find(|name| !name.is_empty());
        Sound {
            how: match &sound.how {
                Audio::Copy => Audio::Copy,
                Audio::Encode(settings) => Audio::Encode(settings.filled()),
            },
            asked: film.extras.sound,
            plan: TrackPlan {
                display_name: name.unwrap_or_default().to_owned(),
                language,
                is_default: number == 0,
                ..TrackPlan::default()
            },
            tracks,
        }
    });
    made.collect()
}
