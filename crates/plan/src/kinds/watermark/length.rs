//! Lengths in settings of watermarks: `10px` or `5%`.

use crate::overrides::SettingsFaults;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Length {
    Pixels(f64),
    Percent(f64),
}

impl Length {
    /// Pixels from `least` to `most`; percent from `least_percent` (exclusive unless 0) to 100.
    pub fn is_within(self, least: f64, most: f64, least_percent: f64) -> bool {
        match self {
            Self::Pixels(pixels) => (least..=most).contains(&pixels),
            Self::Percent(percent) => (least_percent..=100.0).contains(&percent),
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Self::Pixels(0.0))
    }
}

/// Decimal digits, with at most 3 decimal places in percent, and a unit.
pub(super) fn parse(text: &str) -> Option<Length> {
    if let Some(pixels) = text.strip_suffix("px") {
        let is_whole = (1..=5).contains(&pixels.len()) && pixels.bytes().all(|byte| byte.is_ascii_digit());
        return is_whole.then(|| pixels.parse().ok().map(Length::Pixels))?;
    }
    let percent = text.strip_suffix('%')?;
    let (whole, fraction) = percent.split_once('.').unwrap_or((percent, "0"));
    let is_digits = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then(|| percent.parse().ok().map(Length::Percent))?
}

const LEAST_PERCENT: f64 = 0.001;

/// A side of a mark: 8 to 4096 pixels or above 0 % to 100 %; "0px", where allowed, follows from the other side.
pub(super) fn side(name: &str, asked: Option<String>, default: &str, may_follow: bool, faults: &mut SettingsFaults) -> String {
    let text = asked.unwrap_or_else(|| default.to_owned());
    let is_right = parse(&text).is_some_and(|length| (may_follow && length.is_zero()) || length.is_within(8.0, 4096.0, LEAST_PERCENT));
    if !is_right {
        let follows = if may_follow { "0px, " } else { "" };
        faults.add(name, format!("must be {follows}8px to 4096px, or above 0% to 100%"));
    }
    text
}

pub(super) fn follows(text: &str) -> bool {
    parse(text).is_some_and(Length::is_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_pixels_or_percent() {
        for (text, length) in [
            ("0px", Some(Length::Pixels(0.0))),
            ("120px", Some(Length::Pixels(120.0))),
            ("5%", Some(Length::Percent(5.0))),
            ("12.5%", Some(Length::Percent(12.5))),
        ] {
            assert_eq!(parse(text), length, "{text}");
        }
        for bad in [
            "", "px", "%", "10", "-1px", "1.5px", "10 px", "1e2%", "1234%", "1.2345%", "999999px", "NaN%", "+1%", ".5%",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
