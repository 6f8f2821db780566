//! The WebVTT file of a sprite: which tile of which sheet shows which time.

use std::{fmt::Write, time::Duration};

/// A tile: the sheet's name, and left, top, width, height on it.
pub struct Cue<'a> {
    pub start: Duration,
    pub end: Duration,
    pub sheet: &'a str,
    pub area: [usize; 4],
}

/// The file's text.
pub fn text<'a>(cues: impl Iterator<Item = Cue<'a>>) -> String {
    let mut text = String::from("WEBVTT\n");
    for cue in cues {
        let [left, top, width, height] = cue.area;
        let _ = write!(
            text,
            "\n{} --> {}\n{}#xywh={left},{top},{width},{height}\n",
            stamp(cue.start),
            stamp(cue.end),
            escaped(cue.sheet)
        );
    }
    text
}

fn stamp(time: Duration) -> String {
    let milliseconds = (time.as_micros() + 500) / 1000;
    let seconds = milliseconds / 1000;
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        milliseconds % 1000
    )
}

/// A relative path as a URL. A colon in its first part would make a scheme of it.
fn escaped(path: &str) -> String {
    let mut url = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => url.push(char::from(byte)),
            _ => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_name_their_area_of_the_sheet() {
        let cue = Cue {
            start: Duration::from_millis(3_600_500),
            end: Duration::from_secs(3601),
            sheet: "a é#1.jpg",
            area: [160, 0, 160, 90],
        };
        assert_eq!(
            text([cue].into_iter()),
            "WEBVTT\n\n01:00:00.500 --> 01:00:01.000\na%20%C3%A9%231.jpg#xywh=160,0,160,90\n"
        );
    }
}
