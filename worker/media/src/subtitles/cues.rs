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

/// As a WebVTT segment. `zero_90k`: the stamp of the film's beginning, in units of 90 kHz.
pub fn as_webvtt(cues: &[Cue], zero_90k: i64) -> String {
    let mut text = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{zero_90k},LOCAL:00:00:00.000\n");
    for cue in cues {
        let lines: Vec<_> = cue.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let _ = write!(text, "\n{} --> {}\n{}\n", clock(cue.start), clock(cue.end), lines.join("\n"));
    }
    // Some players read the segments of a track as one file.
    text.push('\n');
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
    let keep = fits(text);
    let mut markup = String::with_capacity(text.len());
    for (number, piece) in text.split('<').enumerate() {
        let (tag, rest) = match piece.split_once('>').filter(|_| number > 0) {
            Some((tag, rest)) => (Some(tag), rest),
            None => (None, piece),
        };
        if let Some(tag) = tag.filter(|_| keep) {
            let _ = write!(markup, "<{tag}>");
        }
        markup.push_str(&crate::overlay::escaped(&unescaped(rest)));
    }
    markup
}

/// Whether every tag that is opened is closed, in order.
fn fits(text: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    for tag in text.split('<').skip(1).filter_map(|piece| piece.split('>').next()) {
        match tag.strip_prefix('/') {
            Some(closed) if open.pop() != Some(closed) => return false,
            Some(_) => {}
            None => open.push(tag),
        }
    }
    open.is_empty()
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&nbsp;", "\u{a0}")
        .replace("&amp;", "&")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_alike_and_are_cut_to_the_clip() {
        let srt = parse("1\n00:00:01,000 --> 00:00:02,500\nA <font color=red><i>b</i></font> < c\n\n2\n00:00:03,000 --> 00:00:04,000\nD\n")
            .unwrap();
        let vtt = parse("WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.500 line:0\nA <c.x><i>b</i></c> &lt; c\n\n00:03.000 --> 00:04.000\nD\n")
            .unwrap();
        assert_eq!(srt, vtt);
        let clip = Clip {
            start: Duration::from_secs(2),
            end: Some(Duration::from_millis(3500)),
        };
        let cut: Vec<_> = within(&srt, clip)
            .iter()
            .map(|cue| (cue.start.as_millis(), cue.end.as_millis()))
            .collect();
        assert_eq!(cut, [(0, 500), (1000, 1500)]);
        assert_eq!(parse(&as_webvtt(&srt, 0)).unwrap(), srt);
    }

    #[test]
    fn markup_keeps_what_fits_and_escapes_the_rest() {
        assert_eq!(
            markup("<i>a</i> &lt; &amp;lt; b"),
            "<i>a</i> &lt; &lt; b".replace("&lt; b", "&amp;lt; b")
        );
        assert_eq!(markup("<i>a</b>"), "a");
        assert_eq!(plain("<b>x</b> &amp; y"), "x & y");
    }
}
