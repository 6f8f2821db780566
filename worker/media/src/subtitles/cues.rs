//! Cues of SubRip and WebVTT: read, cut to a clip, written again.

use std::{fmt::Write, time::Duration};

use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use crate::{failure, rules::Clip};

/// Most cues of a file.
const MAX_CUES: usize = 100_000;

/// A text and when it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    pub start: Duration,
    pub end: Duration,
    /// Lines of text; tags other than b, i and u are taken out.
    pub text: String,
}

/// Whether a text is of the ASS or SSA family.
pub fn is_ass(text: &str) -> bool {
    text.lines().any(|line| line.trim().eq_ignore_ascii_case("[script info]")) && text.contains("[Events]")
}

/// The text of a file: UTF-8, with or without a mark.
pub fn decoded(bytes: Vec<u8>) -> Result<String, Failure> {
    let text = String::from_utf8(bytes).map_err(|_| refused("they are not UTF-8"))?;
    if text.contains('\0') {
        return Err(refused("they hold zero bytes"));
    }
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n"))
}

/// Cues in order of their beginnings.
pub fn parse(text: &str) -> Result<Vec<Cue>, Failure> {
    let mut cues = Vec::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines().skip_while(|line| !line.contains("-->"));
        let Some(times) = lines.next() else { continue };
        let Some((start, end)) = span(times) else {
            return Err(refused(&format!(
                "\"{}\" is no span of time",
                times.chars().take(60).collect::<String>()
            )));
        };
        let text = tidy(&lines.collect::<Vec<_>>().join("\n"));
        if end > start && !text.trim().is_empty() {
            cues.push(Cue { start, end, text });
        }
        if cues.len() > MAX_CUES {
            return Err(refused("they have more than 100,000 cues"));
        }
    }
    if cues.is_empty() {
        return Err(refused("they have no cue of SubRip or WebVTT"));
    }
    cues.sort_by_key(|cue| (cue.start, cue.end));
    Ok(cues)
}

/// What is seen within a clip, from its beginning.
pub fn within(cues: &[Cue], clip: Clip) -> Vec<Cue> {
    let seen = |cue: &&Cue| cue.end > clip.start && clip.end.is_none_or(|end| cue.start < end);
    let moved = |cue: &Cue| Cue {
        start: cue.start.saturating_sub(clip.start),
        end: clip.end.map_or(cue.end, |end| cue.end.min(end)).saturating_sub(clip.start),
        text: cue.text.clone(),
    };
    cues.iter().filter(seen).map(moved).collect()
}

/// As a WebVTT file.
pub fn as_webvtt(cues: &[Cue]) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for cue in cues {
        let lines: Vec<_> = cue.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let _ = write!(text, "\n{} --> {}\n{}\n", clock(cue.start), clock(cue.end), lines.join("\n"));
    }
    text
}

fn clock(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// "00:01:02,500 --> 00:01:04,000", with what WebVTT may write behind it.
fn span(line: &str) -> Option<(Duration, Duration)> {
    let (start, rest) = line.split_once("-->")?;
    Some((time(start.trim())?, time(rest.split_whitespace().next()?)?))
}

fn time(text: &str) -> Option<Duration> {
    let text = text.replace(',', ".");
    let mut seconds = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    for part in parts {
        let value: f64 = part.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
        seconds = seconds * 60.0 + value;
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|time| Duration::from_millis((time.as_secs_f64() * 1000.0).round() as u64))
}

/// Keeps b, i and u, which all players and Pango know.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        tidy.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('>') else {
            tidy.push_str("&lt;");
            rest = &rest[at + 1..];
            continue;
        };
        let tag = &rest[at..=at + end];
        if ["<b>", "</b>", "<i>", "</i>", "<u>", "</u>"].contains(&tag) {
            tidy.push_str(tag);
        }
        rest = &rest[at + end + 1..];
    }
    tidy.push_str(rest);
    tidy
}

/// As Pango's markup: everything but b, i and u is text; where those do not fit together, they go.
pub fn markup(text: &str) -> String {
    let plain = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&");
    let mut markup = crate::overlay::escaped(&plain);
    let mut open: Vec<&str> = Vec::new();
    let mut fits = true;
    for piece in text.split('<').skip(1) {
        match piece.split('>').next() {
            Some(tag @ ("b" | "i" | "u")) => open.push(tag),
            Some("/b") => fits &= open.pop() == Some("b"),
            Some("/i") => fits &= open.pop() == Some("i"),
            Some("/u") => fits &= open.pop() == Some("u"),
            _ => {}
        }
    }
    for tag in ["b", "i", "u", "/b", "/i", "/u"] {
        let with = if fits && open.is_empty() {
            format!("<{tag}>")
        } else {
            String::new()
        };
        markup = markup.replace(&format!("&lt;{tag}&gt;"), &with);
    }
    markup
}

/// Without any tags, for tracks whose players show them as they are.
pub fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for tag in ["<b>", "</b>", "<i>", "</i>", "<u>", "</u>"] {
        plain = plain.replace(tag, "");
    }
    plain
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&")
}

/// Subtitles that cannot be used.
pub fn refused(why: &str) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!("the subtitles cannot be used: {why}"),
        "send SubRip, WebVTT or (to burn in) ASS as UTF-8",
    )
}
