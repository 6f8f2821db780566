//! What nodes with film have in common beyond encoding: improvements, marks and burnt-in subtitles, loudness.

use mps_proto::{
    rpc::Status,
    v1::{AppliedEnhancement, AudioEnhancement, ErrorReason, VideoSettings, subtitle::Mode},
    worker::v1::{Failure, PlanNode},
};

use super::{Context, Preparing};
use crate::{
    enhance::{PictureEnhancement, sound},
    failure, overlay,
    pass::{audio::AudioEncode, picture::Look},
    probe::InputFacts,
    rules::{self, Clip, Frame},
    subtitles,
};

/// Adds to a look what its node wants besides. `None`: no improvement is asked for.
pub fn dress(
    look: &mut Look,
    settings: &VideoSettings,
    node: &PlanNode,
    context: &Context,
    clip: Clip,
) -> Result<Option<PictureEnhancement>, Failure> {
    let size = (look.geometry.width, look.geometry.height);
    let enhancement = PictureEnhancement::resolve(settings.enhancement.as_ref());
    if let Some(enhancement) = enhancement.clone().filter(PictureEnhancement::changes_pixels) {
        look.before.push(std::sync::Arc::new(enhancement));
    }
    look.after.extend(subtitles::burnt(&node.subtitles, context, size, clip)?);
    let length = clip.length(rules::duration(context.facts));
    look.after.extend(overlay::watermarks(&node.watermarks, context, size, length)?);
    Ok(enhancement)
}

/// What a film's node does besides encoding, and what became of it.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    pub picture: Option<PictureEnhancement>,
    pub sound: Option<AudioEnhancement>,
    /// By track of sound of the output, once loudness is known.
    pub treatments: Vec<sound::Treatment>,
    pub applied: Vec<AppliedEnhancement>,
    pub subtitles: Vec<subtitles::Track>,
    /// What is to be said of the node's inputs.
    pub warnings: Vec<Status>,
}

impl Extras {
    /// Settings of a track of sound with its own treatment.
    pub fn treated(&self, settings: &AudioEncode, number: usize) -> AudioEncode {
        let treatment = self.treatments.get(number).copied().unwrap_or(settings.treatment);
        AudioEncode {
            treatment,
            ..settings.clone()
        }
    }

    /// What became of everything that was asked for. `scaled`: whether the picture has another size.
    pub fn report(&self, scaled: bool) -> Vec<AppliedEnhancement> {
        let mut report = self.picture.as_ref().map_or_else(Vec::new, |picture| picture.applied(scaled));
        report.extend(self.applied.iter().cloned());
        report
    }
}

/// Whether a look gives the picture another size.
pub fn scales(look: &Look, facts: &InputFacts) -> bool {
    let shown = rules::film(facts).and_then(|stream| match &look.crop {
        Some(cut) => Frame::of(stream).cut_to(stream, &cut.area),
        None => Some(Frame::of(stream)),
    });
    let (across, down) = look.geometry.crop;
    let (width, height) = look.geometry.inner.unwrap_or((look.geometry.width, look.geometry.height));
    shown.map(|frame| frame.turned(look.rotation_deg)).is_none_or(|frame| {
        let near = |shown: f64, share: f64, side: i32| (shown * (1.0 - 2.0 * share) - f64::from(side)).abs() < 1.0;
        !near(frame.width, across, width) || !near(frame.height, down, height)
    })
}

/// A picture that is not encoded takes nothing on it.
pub fn unless_undrawable(node: &PlanNode) -> Result<(), Failure> {
    let burns = node.subtitles.iter().filter_map(|planned| planned.subtitle.as_ref());
    if node.watermarks.is_empty() && burns.filter(|subtitle| subtitle.mode() == Mode::BurnIn).count() == 0 {
        return Ok(());
    }
    Err(failure::data(
        ErrorReason::Unsupported,
        "watermarks and burnt-in subtitles need a picture that is encoded",
        "choose a video codec other than COPY, or leave them out",
    ))
}

/// The treatment of each track of sound that a node makes, with the loudness that it asks for reached; and what became of that.
/// `outputs`: for each track of the output, the tracks of the input that become it.
pub fn treat(
    asked: Option<&AudioEnhancement>,
    settings: &AudioEncode,
    outputs: &[Vec<usize>],
    clip: Clip,
    preparing: &Preparing,
) -> Result<(Vec<sound::Treatment>, Vec<AppliedEnhancement>), Failure> {
    let (treatment, target) = sound::asked_for(asked);
    let mut treatments = vec![treatment; outputs.len()];
    let mut applied = Vec::new();
    if treatment.denoise {
        applied.push(sound::denoised());
    }
    if let Some(target) = target {
        let (mut details, mut any) = (Vec::new(), false);
        for (place, tracks) in treatments.iter_mut().zip(outputs) {
            let settled = sound::reach(target, settings, tracks, clip, preparing)?;
            *place = settled.treatment;
            any |= settled.applied;
            details.push(settled.detail);
        }
        applied.push(sound::applied("loudness_lufs", any, details.join("; ")));
    }
    Ok((treatments, applied))
}
