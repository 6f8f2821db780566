//! Improvements of the picture, as a step of the chain, and what became of each.

use mps_proto::{
    v1::{AppliedEnhancement, VideoEnhancement, video_enhancement::Strength},
    worker::v1::Failure,
};

use super::filter::{self, Work};
use crate::pass::{
    elements::{caps_filter, make},
    picture::Step,
};

/// The improvements that a node asks for.
#[derive(Debug, Clone)]
pub struct PictureEnhancement {
    work: Work,
    lanczos: bool,
}

impl PictureEnhancement {
    /// `None`: nothing is asked for.
    pub fn resolve(settings: Option<&VideoEnhancement>) -> Option<Self> {
        let settings = settings?;
        let strength = |strength: Option<i32>| {
            let strength = Strength::try_from(strength?).unwrap_or(Strength::Normal);
            (strength != Strength::Unspecified).then_some(strength)
        };
        let enhancement = Self {
            work: Work {
                denoise: strength(settings.denoise),
                sharpen: settings.sharpen.filter(|amount| *amount > 0.0),
                color: strength(settings.color),
                low_light: settings.low_light(),
                ..Work::default()
            },
            lanczos: settings.lanczos(),
        };
        (enhancement.changes_pixels() || enhancement.lanczos).then_some(enhancement)
    }

    /// Whether it needs a step of its own.
    pub fn changes_pixels(&self) -> bool {
        let work = &self.work;
        work.denoise.is_some() || work.sharpen.is_some() || work.color.is_some() || work.low_light
    }

    /// What became of each, once the pass is over. `scaled`: whether the picture's size changed.
    pub fn applied(&self, scaled: bool) -> Vec<AppliedEnhancement> {
        let entry = |name: &str, applied: bool, detail: String| AppliedEnhancement {
            name: format!("video.enhancement.{name}"),
            applied,
            detail,
        };
        let by = |strength: Strength| strength.as_str_name().trim_start_matches("STRENGTH_").to_ascii_lowercase();
        let work = &self.work;
        let mut applied = Vec::new();
        applied.extend(work.denoise.map(|strength| entry("denoise", true, by(strength))));
        applied.extend(work.sharpen.map(|amount| entry("sharpen", true, format!("{amount}"))));
        applied.extend(work.color.map(|strength| entry("color", true, by(strength))));
        if work.low_light {
            let seen = work.seen.lock().map(|seen| *seen).unwrap_or_default();
            let luma = seen.luma / seen.pictures.max(1) as f64 * 100.0;
            let detail = match seen.lifted {
                0 => format!("the picture is bright enough: mean luma {luma:.1} %"),
                lifted => format!("{lifted} of {} pictures lifted; mean luma {luma:.1} % before", seen.pictures),
            };
            applied.push(entry("low_light", seen.lifted > 0, detail));
        }
        if self.lanczos {
            let detail = if scaled { "" } else { "the picture keeps its size" };
            applied.push(entry("lanczos", scaled, detail.to_owned()));
        }
        applied
    }
}

impl Step for PictureEnhancement {
    fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        // An attempt that is made again counts from the beginning.
        if let Ok(mut seen) = self.work.seen.lock() {
            *seen = filter::Seen::default();
        }
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", gst::List::new(["I420", "I420_10LE"]))
            .build();
        Ok(vec![
            make(pipeline, "videoconvert", &format!("{prefix}-enhance-convert"))?,
            caps_filter(pipeline, &format!("{prefix}-enhance-format"), &caps)?,
            filter::element(pipeline, &format!("{prefix}-enhance"), self.work.clone())?,
        ])
    }
}
