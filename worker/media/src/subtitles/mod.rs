//! Subtitles: drawn into the picture, or as tracks of their own.

mod ass;
mod burn;
mod cues;
mod feed;
mod place;
mod read;
pub mod soft;
mod text;

use std::{sync::Arc, time::Duration};

use mps_proto::{
    rpc::Status,
    v1::{ErrorReason, Subtitle, subtitle::Mode},
    worker::v1::{Failure, PlanSubtitle},
};

pub use cues::{Cue, as_webvtt};

use crate::{
    failure,
    job::Context,
    overlay::{self, Layer, Overlay},
    pass::picture::Step,
    rules::{Clip, unsupported},
};

fn read_text(planned: &PlanSubtitle, subtitle: &Subtitle, context: &Context) -> Result<text::Text, Failure> {
    text::decoded(&overlay::side_input(&planned.side_input_id, context)?, &subtitle.language)
}

/// What is to be said of a node's subtitles: encodings that had to be recognised. Files that cannot be read say nothing here.
pub fn warnings(subtitles: &[PlanSubtitle], context: &Context) -> Vec<Status> {
    let mut found = Vec::new();
    for (number, planned) in subtitles.iter().enumerate() {
        let subtitle = planned.subtitle.clone().unwrap_or_default();
        if let Ok(text::Text { guessed: Some(name), .. }) = read_text(planned, &subtitle, context) {
            found.push(failure::warning(
                ErrorReason::Unsupported,
                format!("subtitles[{number}] do not say how they are encoded and were read as {name}"),
                &[("hint", "send them as UTF-8".to_owned()), ("encoding", name.to_owned())],
            ));
        }
    }
    found
}

/// The subtitles of a node that are drawn into pictures of a size.
pub fn burnt(subtitles: &[PlanSubtitle], context: &Context, size: (i32, i32), clip: Clip) -> Result<Vec<Arc<dyn Step>>, Failure> {
    let mut steps: Vec<Arc<dyn Step>> = Vec::new();
    for planned in subtitles {
        let Some(subtitle) = planned.subtitle.as_ref().filter(|subtitle| subtitle.mode() == Mode::BurnIn) else {
            continue;
        };
        let text = read_text(planned, subtitle, context)?.text;
        if cues::is_ass(&text) {
            steps.push(Arc::new(ass::Script::parse(&text, clip)?));
            continue;
        }
        let cues = cues::within(&read::parse(&text)?, clip);
        let layer: Arc<dyn Layer> = Arc::new(burn::BurntCues::new(subtitle, cues, size)?);
        steps.push(Arc::new(Overlay {
            layers: vec![layer],
            begin: Duration::ZERO,
        }));
    }
    Ok(steps)
}

/// A track of subtitles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub language: String,
    pub title: String,
    pub is_default: bool,
    /// From the beginning of the output.
    pub cues: Vec<Cue>,
}

impl Track {
    /// The same, shown later.
    pub fn later(&self, by: Duration) -> Self {
        let mut track = self.clone();
        for cue in &mut track.cues {
            cue.start += by;
            cue.end += by;
        }
        track
    }
}

/// The subtitles of a node that become tracks, in their order.
pub fn tracks(subtitles: &[PlanSubtitle], context: &Context, clip: Clip) -> Result<Vec<Track>, Failure> {
    let mut tracks = Vec::new();
    for planned in subtitles {
        let Some(subtitle) = planned.subtitle.as_ref().filter(|subtitle| subtitle.mode() != Mode::BurnIn) else {
            continue;
        };
        let text = read_text(planned, subtitle, context)?.text;
        if cues::is_ass(&text) {
            return Err(unsupported("ASS can only be burnt in: a track of its own takes SubRip or WebVTT"));
        }
        let title = if subtitle.display_name.is_empty() {
            &subtitle.language
        } else {
            &subtitle.display_name
        };
        tracks.push(Track {
            language: subtitle.language.clone(),
            title: title.clone(),
            is_default: subtitle.is_default,
            cues: cues::within(&read::parse(&text)?, clip),
        });
    }
    Ok(tracks)
}
