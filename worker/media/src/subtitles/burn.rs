//! SubRip and WebVTT drawn into the picture: each cue is text that lies at the bottom while it lasts.

use std::{
    collections::{BTreeSet, HashMap},
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
/// Most cues that are drawn together; there is no room for more.
const MOST_AT_ONCE: usize = 16;
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

/// Times at which other cues are seen, with those cues. One walk over beginnings and ends, so that a cue that lasts the whole film costs no
/// more than another.
fn moments(cues: &[Cue]) -> Vec<(Duration, Vec<usize>)> {
    let mut changes: Vec<(Duration, bool, usize)> = Vec::with_capacity(cues.len() * 2);
    for (number, cue) in cues.iter().enumerate() {
        changes.extend([(cue.start, true, number), (cue.end, false, number)]);
    }
    changes.sort_unstable();
    let mut seen = BTreeSet::new();
    let mut moments: Vec<(Duration, Vec<usize>)> = Vec::new();
    for at_once in changes.chunk_by(|a, b| a.0 == b.0) {
        for (_, begins, number) in at_once {
            if *begins {
                seen.insert(*number);
            } else {
                seen.remove(number);
            }
        }
        if let Some((time, ..)) = at_once.first() {
            moments.push((*time, seen.iter().copied().take(MOST_AT_ONCE).collect()));
        }
    }
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(start: u64, end: u64) -> Cue {
        Cue {
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            text: "x".into(),
            settings: String::new(),
        }
    }

    #[test]
    fn a_cue_as_long_as_the_film_is_seen_with_each_other() {
        let found = moments(&[cue(0, 9000), cue(1000, 2000), cue(2000, 3000)]);
        let expected: [(u64, &[usize]); 5] = [(0, &[0]), (1000, &[0, 1]), (2000, &[0, 2]), (3000, &[0]), (9000, &[])];
        let expected = expected.map(|(time, cues)| (Duration::from_millis(time), cues.to_vec()));
        assert_eq!(found, expected);
    }

    #[test]
    fn many_cues_below_a_long_one_take_no_time() {
        let mut cues = vec![cue(0, 1_000_000_000)];
        cues.extend((0..20_000).map(|number| cue(number * 10, number * 10 + 100_000)));
        assert_eq!(moments(&cues).len(), 30_001);
    }
}
