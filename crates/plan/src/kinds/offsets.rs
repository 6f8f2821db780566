//! Positions in media: clips by start and end, pictures by seconds or percent.

use prost_types::Duration;

use crate::{faults::Faults, overrides::SettingsFaults};

/// Most seconds of a `google.protobuf.Duration`: 10,000 years.
const MAX_SECONDS: i64 = 315_576_000_000;
const NANOS: i128 = 1_000_000_000;

/// Nanoseconds of a well-formed duration.
pub(crate) fn nanos(duration: &Duration) -> Result<i128, &'static str> {
    let (seconds, nanos) = (duration.seconds, duration.nanos);
    let opposed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if opposed || nanos.unsigned_abs() > 999_999_999 {
        return Err("is no valid duration: nanos must be under 1,000,000,000 and of the sign of seconds");
    }
    if seconds.unsigned_abs() > MAX_SECONDS.unsigned_abs() {
        return Err("is longer than 10,000 years");
    }
    Ok(i128::from(seconds) * NANOS + i128::from(nanos))
}

/// Start and end of a clip. What lies on different sides (one from the start, one from the end) only the child can compare.
pub(super) fn check_clip(start: Option<&Duration>, end: Option<&Duration>, field: &str, faults: &mut Faults) {
    let mut checked =
        |name: &str, offset: Option<&Duration>| nanos(offset?).map_err(|fault| faults.add(format!("{field}.{name}"), fault)).ok();
    let start = checked("start_offset", start);
    let end = checked("end_offset", end);
    let Some(end) = end else {
        return;
    };
    let end_field = format!("{field}.end_offset");
    match start {
        _ if end == 0 => faults.add(end_field, "must not be 0: the clip would be empty; leave it unset for the end"),
        Some(start) if (start < 0) == (end < 0) && start >= end => {
            faults.add(end_field, "must lie after start_offset");
        }
        _ => {}
    }
}

/// Length of a clip in nanoseconds where both ends count from the same side.
pub(super) fn known_length(start: Option<&Duration>, end: Option<&Duration>) -> Option<i128> {
    let start = start.map_or(Some(0), |start| nanos(start).ok())?;
    let end = end.map_or(Some(0), |end| nanos(end).ok())?;
    match (start, end) {
        // From the beginning, or from the end up to it.
        (0.., 1..) | (..0, ..=0) if end > start => Some(end - start),
        _ => None,
    }
}

/// Length of something in a setting, in milliseconds from `least` to `most`.
pub(super) fn check_length(setting: &str, length: &Duration, least_ms: i128, most_ms: i128, faults: &mut SettingsFaults) {
    const NANOS_PER_MS: i128 = 1_000_000;
    let shown = |milliseconds: i128| match (milliseconds / 1000, milliseconds % 1000) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, rest) => format!("{seconds}.{}s", format!("{rest:03}").trim_end_matches('0')),
    };
    match nanos(length) {
        Ok(nanos) if (least_ms * NANOS_PER_MS..=most_ms * NANOS_PER_MS).contains(&nanos) => {}
        Ok(_) => faults.add(setting, format!("must be {} to {}", shown(least_ms), shown(most_ms))),
        Err(fault) => faults.add(setting, fault),
    }
}

/// `3.5s`, `-1s` (from the end) or `10%`.
pub(super) fn check_offset(text: &str) -> Result<(), &'static str> {
    const SYNTAX: &str = "must be seconds such as \"3.5s\" (\"-1s\" counts from the end) or percent such as \"10%\"";
    if let Some(percent) = text.strip_suffix('%') {
        let percent = decimal(percent).ok_or(SYNTAX)?;
        return if percent <= 100.0 { Ok(()) } else { Err("must be 0% to 100%") };
    }
    let seconds = text.strip_suffix('s').ok_or(SYNTAX)?;
    let seconds = decimal(seconds.strip_prefix('-').unwrap_or(seconds)).ok_or(SYNTAX)?;
    if seconds > 315_576_000_000.0 {
        return Err("is longer than 10,000 years");
    }
    Ok(())
}

/// Seconds of a picture's offset that counts from the beginning.
pub(crate) fn seconds_of(text: &str) -> Option<f64> {
    decimal(text.strip_suffix('s')?)
}

/// Digits with at most 9 decimal places; no sign, no exponent.
fn decimal(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits(whole, 15) && is_digits(fraction, 9) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: i64) -> Option<Duration> {
        Some(Duration { seconds, nanos: 0 })
    }

    #[test]
    fn picture_offsets_are_seconds_or_percent() {
        for good in ["0s", "3.5s", "-1s", "-0.25s", "10%", "0%", "100%", "99.999999999%", "007s"] {
            assert_eq!(check_offset(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "s",
            "%",
            "5",
            "5 s",
            "5 apples",
            "-5%",
            "101%",
            "100.1%",
            "1e3s",
            "+1s",
            ".5s",
            "5.s",
            "--1s",
            "NaNs",
            "infs",
            "1,5s",
            "1.0123456789s",
            "9999999999999s",
            "１s",
        ] {
            assert!(check_offset(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clips_end_after_they_start() {
        for (start, end, fields) in [
            (None, None, 0),
            (seconds(0), None, 0),
            (seconds(1), seconds(2), 0),
            (seconds(-2), seconds(-1), 0),
            (seconds(5), seconds(-5), 0),
            (seconds(-5), seconds(5), 0),
            (seconds(2), seconds(2), 1),
            (seconds(3), seconds(2), 1),
            (seconds(-1), seconds(-2), 1),
            (seconds(-1), seconds(-1), 1),
            (None, seconds(0), 1),
            (seconds(0), seconds(0), 1),
            (
                Some(Duration { seconds: 1, nanos: -1 }),
                Some(Duration {
                    seconds: 0,
                    nanos: 1_000_000_000,
                }),
                2,
            ),
            (seconds(i64::MIN), seconds(i64::MAX), 2),
        ] {
            let mut faults = Faults::default();
            check_clip(start.as_ref(), end.as_ref(), "n", &mut faults);
            assert_eq!(faults.fields().len(), fields, "{start:?} {end:?} {faults:?}");
        }
    }
}
