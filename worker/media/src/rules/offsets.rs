//! Offsets: percent, negative ones, and clips on the frame grid.

use std::time::Duration;

use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use crate::failure;

/// A part of the input in media time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clip {
    pub start: Duration,
    /// Exclusive; `None`: the end of the input.
    pub end: Option<Duration>,
}

impl Clip {
    /// The whole input.
    pub const WHOLE: Self = Self {
        start: Duration::ZERO,
        end: None,
    };

    /// Resolves offsets; negative ones count from the end. Both are moved to the frame grid where the frame rate is constant.
    pub fn resolve(
        start: Option<&prost_types::Duration>,
        end: Option<&prost_types::Duration>,
        duration: Option<Duration>,
        frame_rate: Option<(i32, i32)>,
    ) -> Result<Self, Failure> {
        let start = start.map_or(Ok(Duration::ZERO), |offset| absolute(seconds(offset), duration, "start_offset"))?;
        let end = end.map(|offset| absolute(seconds(offset), duration, "end_offset")).transpose()?;
        let clip = Self {
            start: on_grid(start, frame_rate),
            end: end
                .map(|end| on_grid(end, frame_rate))
                .filter(|end| duration.is_none_or(|duration| *end < duration)),
        };
        let limit = clip.end.or(duration);
        if limit.is_some_and(|limit| clip.start >= limit) {
            return Err(out_of_range(format!(
                "the clip starts at {:.3} s, and there is nothing between that and its end",
                clip.start.as_secs_f64()
            )));
        }
        Ok(clip)
    }

    /// Of a still picture that is shown so long.
    pub fn of_still(start: Option<&prost_types::Duration>, end: Option<&prost_types::Duration>, length: Duration) -> Result<Self, Failure> {
        let clip = Self::resolve(start, end, Some(length), None)?;
        Ok(Self {
            end: clip.end.or(Some(length)),
            ..clip
        })
    }

    /// How long the clip is, where that is known.
    pub fn length(&self, duration: Option<Duration>) -> Option<Duration> {
        self.end.or(duration).map(|end| end.saturating_sub(self.start))
    }
}

/// The offset of a picture: `"3.5s"`, `"-1s"` or `"10%"`. A still picture has no duration; every offset shows it.
pub fn picture(text: &str, duration: Option<Duration>, is_still: bool) -> Result<Duration, Failure> {
    let malformed = || out_of_range(format!("{text} is no offset: write seconds (\"3.5s\") or percent (\"10%\")"));
    if let Some(percent) = text.strip_suffix('%') {
        let percent: f64 = percent.trim().parse().map_err(|_| malformed())?;
        let unknown = || {
            out_of_range(format!(
                "{text} is a share of the input's duration, and nobody knows how long it is"
            ))
        };
        let whole = if is_still { Duration::ZERO } else { duration.ok_or_else(unknown)? };
        return Duration::try_from_secs_f64(whole.as_secs_f64() * percent / 100.0).map_err(|_| malformed());
    }
    let number: f64 = text.strip_suffix('s').unwrap_or(text).trim().parse().map_err(|_| malformed())?;
    if is_still {
        return Ok(Duration::try_from_secs_f64(number).unwrap_or_default());
    }
    let offset = absolute(number, duration, "offsets")?;
    match duration {
        Some(whole) if offset > whole => Err(out_of_range(format!(
            "{text} lies behind the end of the input, at {:.3} s",
            whole.as_secs_f64()
        ))),
        _ => Ok(offset),
    }
}

fn seconds(offset: &prost_types::Duration) -> f64 {
    offset.seconds as f64 + f64::from(offset.nanos) / 1e9
}

fn absolute(seconds: f64, duration: Option<Duration>, field: &str) -> Result<Duration, Failure> {
    let from_start = if seconds < 0.0 {
        let whole =
            duration.ok_or_else(|| out_of_range(format!("{field} counts from the end, and the input does not say how long it is")))?;
        whole.as_secs_f64() + seconds
    } else {
        seconds
    };
    Duration::try_from_secs_f64(from_start)
        .map_err(|_| out_of_range(format!("{field}: {seconds} s lies before the beginning of the input")))
}

fn on_grid(offset: Duration, frame_rate: Option<(i32, i32)>) -> Duration {
    let Some((num, den)) = frame_rate else { return offset };
    let frame = f64::from(den) / f64::from(num);
    Duration::from_secs_f64((offset.as_secs_f64() / frame).round() * frame)
}

fn out_of_range(message: String) -> Failure {
    failure::data(ErrorReason::OffsetOutOfRange, message, "`mps probe` shows how long the input is")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Option<Duration> = Some(Duration::from_secs(10));

    fn span(milliseconds: i64) -> prost_types::Duration {
        prost_types::Duration {
            seconds: milliseconds / 1000,
            nanos: (milliseconds % 1000) as i32 * 1_000_000,
        }
    }

    #[test]
    fn pictures_are_found_by_seconds_percent_and_from_the_end() {
        for (text, milliseconds) in [("3.5s", 3500), ("10%", 1000), ("-1s", 9000), ("100%", 10_000), ("0s", 0)] {
            assert_eq!(picture(text, TEN, false), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["11s", "-11s", "x%", "s"] {
            assert!(picture(bad, TEN, false).is_err(), "{bad}");
        }
        assert_eq!(picture("50%", None, true), Ok(Duration::ZERO));
    }

    #[test]
    fn what_counts_from_an_unknown_end_is_refused() {
        assert!(picture("50%", None, false).is_err());
        assert!(picture("-1s", None, false).is_err());
        assert_eq!(picture("1s", None, false), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn clips_lie_on_the_frame_grid_and_inside_the_input() {
        let clip = Clip::resolve(Some(&span(510)), Some(&span(-1000)), TEN, Some((25, 1))).unwrap();
        assert_eq!(clip.start, Duration::from_millis(520));
        assert_eq!(clip.end, Some(Duration::from_secs(9)));
        assert_eq!(Clip::resolve(None, Some(&span(99_000)), TEN, None), Ok(Clip::WHOLE));
        assert!(Clip::resolve(Some(&span(10_000)), None, TEN, None).is_err());
        assert!(Clip::resolve(Some(&span(5000)), Some(&span(-6000)), TEN, None).is_err());
        assert!(Clip::resolve(Some(&span(-1000)), None, None, None).is_err());
    }
}
