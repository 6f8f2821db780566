//! SubRip and WebVTT drawn into the picture: each cue is text that lies at the bottom while it lasts.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mps_proto::{v1::Subtitle, worker::v1::Failure};

use super::cues::{self, Cue};
use crate::overlay::{self, Layer, Raster, Rendered, TextStyle};

/// Share of the picture that text may be wide, and its distance from the bottom.
const WIDTH: f64 = 0.9;
const BOTTOM: f64 = 0.05;
const DEFAULT_PERCENT: f64 = 5.0;
/// Size below which text that finds no room is left out.
const SMALLEST_PX: i32 = 4;

/// Cues and how they look.
#[derive(Debug)]
pub struct BurntCues {
    cues: Vec<Cue>,
    style: TextStyle,
    size: (i32, i32),
    /// The texts of now: drawn when they are first seen.
    drawn: Mutex<HashMap<usize, Arc<Raster>>>,
    /// Moments at which other cues are seen: when, and the positions of those cues.
    moments: Vec<(Duration, Vec<usize>)>,
}

impl BurntCues {
    pub fn new(subtitle: &Subtitle, cues: Vec<Cue>, size: (i32, i32)) -> Result<Self, Failure> {
        let percent = subtitle.font_size_percent.unwrap_or(DEFAULT_PERCENT);
        let size_px = ((percent / 100.0 * f64::from(size.1)).round() as i32).max(4);
        let style = TextStyle {
            font: subtitle.font.clone().unwrap_or_else(|| "Sans".to_owned()),
            size_px,
            color: overlay::color(subtitle.color.as_deref(), [255; 3])?,
            outline_px: (size_px / 14).max(1),
            outline_color: [0; 3],
            opacity: 1.0,
            wraps: true,
        };
        Ok(Self {
            moments: moments(&cues),
            cues,
            style,
            size,
            drawn: Mutex::default(),
        })
    }

    /// The texts that are seen together, one below the other.
    fn draw(&self, moment: usize) -> Result<Arc<Raster>, Failure> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(raster) = drawn.get(&moment) {
            return Ok(raster.clone());
        }
        let seen = self.moments.get(moment).map(|(_, cues)| cues.as_slice()).unwrap_or_default();
        let texts: Vec<String> = seen
            .iter()
            .filter_map(|cue| self.cues.get(*cue))
            .map(|cue| cues::markup(&cue.text))
            .collect();
        let room = (
            (f64::from(self.size.0) * WIDTH) as i32,
            (f64::from(self.size.1) * (1.0 - 2.0 * BOTTOM)) as i32,
        );
        let raster = Arc::new(self.fitting(&texts.join("\n"), room)?);
        // Time goes on: what was seen before is not seen again.
        drawn.clear();
        drawn.insert(moment, raster.clone());
        Ok(raster)
    }

    /// As large as it is wanted, or as there is room for: one long cue must not end the pass.
    fn fitting(&self, markup: &str, room: (i32, i32)) -> Result<Raster, Failure> {
        let mut style = self.style.clone();
        while style.size_px >= SMALLEST_PX {
            match overlay::rendered(markup, &style, room)? {
                Rendered::Drawn(raster) => return Ok(raster),
                Rendered::Invisible => break,
                Rendered::TooLarge => style.size_px = style.size_px * 3 / 4,
            }
        }
        Ok(Raster::of_straight(1, 1, &[0; 4], 0.0))
    }
}

impl Layer for BurntCues {
    fn shows(&self, time: Duration) -> Option<usize> {
        let after = self.moments.partition_point(|(start, _)| *start <= time);
        let moment = after.checked_sub(1)?;
        self.moments.get(moment).filter(|(_, cues)| !cues.is_empty()).map(|_| moment)
    }

    fn picture(&self, number: usize) -> Result<(Arc<Raster>, i32, i32), Failure> {
        let raster = self.draw(number)?;
        let x = (self.size.0 - raster.width as i32) / 2;
        let y = self.size.1 - raster.height as i32 - (f64::from(self.size.1) * BOTTOM) as i32;
        Ok((raster, x, y.max(0)))
    }
}

fn moments(cues: &[Cue]) -> Vec<(Duration, Vec<usize>)> {
    let mut times: Vec<Duration> = cues.iter().flat_map(|cue| [cue.start, cue.end]).collect();
    times.sort_unstable();
    times.dedup();
    let mut first = 0;
    let longest = cues.iter().map(|cue| cue.end - cue.start).max().unwrap_or_default();
    times
        .into_iter()
        .map(|time| {
            while cues.get(first).is_some_and(|cue| cue.start + longest <= time) {
                first += 1;
            }
            let begun = cues.iter().enumerate().skip(first).take_while(|(_, cue)| cue.start <= time);
            (time, begun.filter(|(_, cue)| time < cue.end).map(|(number, _)| number).collect())
        })
        .collect()
}
