//! Transcodes whose container is HLS: a stream of one film, encoded or as it is.

use mps_proto::{v1::SegmentFormat, worker::v1::PlanSet};

use super::{AdaptiveStream, SEGMENT, Sound};
use crate::{
    job::{Context, Resolved},
    nodes::{
        improve::{self, Extras},
        transcode::{self, Audio, Video},
    },
    rules::{self, Clip},
    segments::TrackPlan,
};

/// What a transcode makes, whatever it is written to.
pub(in crate::nodes) struct SingleStream {
    pub video: Option<Video>,
    pub sound: Option<transcode::Sound>,
    pub clip: Clip,
    pub extras: Extras,
}

impl SingleStream {
    pub fn resolve(self, set: &PlanSet, context: &Context) -> Resolved {
        let span = set.segment_duration.and_then(|span| span.try_into().ok()).unwrap_or(SEGMENT);
        let sounds = self.sounds(context);
        let mut videos: Vec<Video> = self.video.into_iter().collect();
        let mut pictures = Vec::new();
        for video in &mut videos {
            if let (Video::Encode(encode), Some(film)) = (video, rules::film(context.facts)) {
                encode.cut_every(span, film)?;
                let picture = self.extras.picture.clone();
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
            texts: self.extras.subtitles,
            clip: self.clip,
            resume: resume.unwrap_or_default(),
            left_out: 0,
            pictures,
            applied: Vec::new(),
        };
        Ok(Box::new(stream.begun()))
    }

    fn sounds(&self, context: &Context) -> Vec<Sound> {
        let Some(sound) = &self.sound else { return Vec::new() };
        let streams = rules::sounds(context.facts);
        let groups: Vec<Vec<usize>> = match sound.mix {
            true => vec![sound.tracks.clone()],
            false => sound.tracks.iter().map(|track| vec![*track]).collect(),
        };
        let made = groups.into_iter().enumerate().map(|(number, tracks)| {
            let first = tracks.first().and_then(|track| streams.get(*track));
            let language = first.map(|stream| stream.language.clone()).unwrap_or_default();
            Sound {
                how: match &sound.how {
                    Audio::Copy => Audio::Copy,
                    Audio::Encode(settings) => Audio::Encode(settings.filled()),
                },
                asked: self.extras.sound,
                plan: TrackPlan {
                    display_name: if language.is_empty() {
                        "Audio".to_owned()
                    } else {
                        language.clone()
                    },
                    language,
                    is_default: number == 0,
                    ..TrackPlan::default()
                },
                tracks,
            }
        });
        made.collect()
    }
}
