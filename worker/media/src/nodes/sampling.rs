//! At which times a node samples: every n seconds or percent of the input, from a start to an end.

use std::time::Duration;

use mps_proto::{
    v1::{ErrorReason, MediaStream},
    worker::v1::Failure,
};

use crate::{
    failure,
    pass::{Range, pick::Times},
    probe::InputFacts,
    rules::{self, Clip},
};

const DEFAULT_PERCENT: f64 = 10.0;
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// What remains of a film of unknown pace behind a sample that floating point put there.
const NOTHING: Duration = Duration::from_micros(10);

/// Distance of two samples, as the settings say.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    pub interval: Option<prost_types::Duration>,
    pub percent: Option<f64>,
}

impl Distance {
    /// `None`: percent of an input that does not say how long it is.
    pub fn resolve(&self, duration: Option<Duration>) -> Option<Duration> {
        let interval = self.interval.and_then(|interval| Duration::try_from(interval).ok());
        let distance = match interval {
            Some(interval) => interval,
            None => duration?.mul_f64(self.percent.unwrap_or(DEFAULT_PERCENT) / 100.0),
        };
        Some(distance.max(LEAST_INTERVAL))
    }
}

/// Sampling with nothing left open.
#[derive(Debug, Clone)]
pub struct Sampling {
    pub times: Times,
    pub distance: Duration,
}

impl Sampling {
    /// Samples of a clip; at most `most` of them.
    pub fn resolve(distance: &Distance, clip: Clip, facts: &InputFacts, stream: &MediaStream, most: usize) -> Result<Self, Failure> {
        let duration = rules::duration(facts);
        if facts.still_picture {
            return Ok(Self::once());
        }
        let distance = distance.resolve(duration).ok_or_else(length_unknown)?;
        let film_end = rules::stream_end(facts, stream);
        let end = clip.end.map_or(film_end, |end| Some(film_end.map_or(end, |film| film.min(end))));
        let Some(end) = end else {
            return Ok(Self {
                times: Times {
                    at: vec![clip.start],
                    then_every: Some(distance),
                },
                distance,
            });
        };
        let length = end.saturating_sub(clip.start).saturating_sub(no_picture(stream));
        let count = (length.as_nanos().div_ceil(distance.as_nanos().max(1))).max(1);
        if count > most as u128 {
            return Err(too_many(most));
        }
        let at = (0..count as u32).map(|number| clip.start + distance * number).collect();
        Ok(Self {
            times: Times { at, then_every: None },
            distance,
        })
    }

    /// The one picture of a still.
    fn once() -> Self {
        Self {
            times: Times {
                at: vec![Duration::ZERO],
                then_every: None,
            },
            distance: Duration::ZERO,
        }
    }

    /// The part of the input that it reads.
    pub fn part(&self) -> Range {
        let range = Range::around_pictures(self.times.at.iter().copied());
        match self.times.then_every {
            Some(_) => Range { stop: None, ..range },
            None => range,
        }
    }

    /// Times in order, where they are known.
    pub fn looks_at(&self) -> Option<Vec<Duration>> {
        self.times.then_every.is_none().then(|| self.times.at.clone())
    }

    /// The part with times in [start, end), and how many come before it.
    pub fn between(&self, start: Duration, end: Duration) -> (usize, Self) {
        let before = self.times.at.iter().filter(|time| **time < start).count();
        let part = Self {
            times: self.times.between(start, end),
            ..self.clone()
        };
        (before, part)
    }

    /// Share that is done after so many pictures.
    pub fn share(&self, taken: u64, duration: Option<Duration>) -> Option<f64> {
        let expected = match (self.times.then_every, duration) {
            (None, _) => self.times.at.len() as f64,
            (Some(distance), Some(duration)) => duration.as_secs_f64() / distance.as_secs_f64(),
            (Some(_), None) => return None,
        };
        Some((taken as f64 / expected.max(1.0)).min(1.0))
    }
}

/// The last picture of slides may be shown for no longer than this.
const SHORTEST: Duration = Duration::from_millis(20);

/// What is left of a film and too short for a picture: half of one.
fn no_picture(stream: &MediaStream) -> Duration {
    let rate = rules::frame_rate(Some(stream)).map(|(num, den)| f64::from(num) / f64::from(den));
    rate.map_or(NOTHING, |rate| Duration::from_secs_f64(0.5 / rate).min(SHORTEST))
}

/// More pictures than a node may make.
pub fn too_many(most: usize) -> Failure {
    failure::data(
        ErrorReason::LimitExceeded,
        format!("the input gives more than {most} pictures"),
        "choose a longer interval or a shorter part",
    )
}

fn length_unknown() -> Failure {
    failure::data(
        ErrorReason::OffsetOutOfRange,
        "the input does not say how long it is, so nothing can be told in percent of it",
        "give an interval in seconds",
    )
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::{MediaInfo, VideoProperties};

    use super::*;

    /// Samples each second of a film of 25 pictures per second.
    fn samples(milliseconds: u64) -> usize {
        let film = MediaStream {
            kind: "video".into(),
            video: Some(VideoProperties {
                frame_rate_num: 25,
                frame_rate_den: 1,
                ..VideoProperties::default()
            }),
            ..MediaStream::default()
        };
        let facts = InputFacts {
            media: MediaInfo {
                duration: Duration::from_millis(milliseconds).try_into().ok(),
                streams: vec![film.clone()],
                ..MediaInfo::default()
            },
            ..InputFacts::default()
        };
        let distance = Distance {
            interval: Duration::from_secs(1).try_into().ok(),
            percent: None,
        };
        let sampling = Sampling::resolve(&distance, Clip::WHOLE, &facts, &film, 100).unwrap();
        sampling.times.at.len()
    }

    #[test]
    fn what_is_no_picture_gets_no_sample() {
        assert_eq!(samples(6000), 6);
        assert_eq!(samples(6001), 6);
        assert_eq!(samples(6040), 7);
        assert_eq!(samples(10), 1);
    }
}
