//! Cues of SubRip and WebVTT: cut to a clip, written again. They are read in `read`.

use std::{fmt::Write, time::Duration};

use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use crate::{failure, rules::Clip};

/// A text and when it is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    pub start: Duration,
    pub end: Duration,
    /// Lines of text as WebVTT writes them; tags other than b, i and u are taken out.
    pub text: String,
    /// Where it lies, as settings of WebVTT; empty: at the bottom.
    pub settings: String,
}

/// Whether a text is of the ASS or SSA family.
pub fn is_ass(text: &str) -> bool {
    text.lines().any(|line| line.trim().eq_ignore_ascii_case("[script info]")) && text.contains("[Events]")
}

/// What is seen within a clip, from its beginning.
pub fn within(cues: &[Cue], clip: Clip) -> Vec<Cue> {
    let seen = |cue: &&Cue| cue.end > clip.start && clip.end.is_none_or(|end| cue.start < end);
    let moved = |cue: &Cue| Cue {
        start: cue.start.saturating_sub(clip.start),
        end: clip.end.map_or(cue.end, |end| cue.end.min(end)).saturating_sub(clip.start),
        text: cue.text.clone(),
        settings: cue.settings.clone(),
    };
    cues.iter().filter(seen).map(moved).collect()
}

/// As a WebVTT segment. `zero_90k`: the stamp of the film's beginning, in units of 90 kHz.
pub fn as_webvtt(cues: &[Cue], zero_90k: i64) -> String {
    let mut text = format!("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:{zero_90k},LOCAL:00:00:00.000\n");
    for cue in cues {
        let lines: Vec<_> = cue.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let (start, end) = (clock(cue.start), clock(cue.end));
        let space = if cue.settings.is_empty() { "" } else { " " };
        let _ = write!(text, "\n{start} --> {end}{space}{}\n{}\n", cue.settings, lines.join("\n"));
    }
    // Some players read the segments of a track as one file.
    text.push('\n');
    text
}

fn clock(time: Duration) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
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
    let others = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", "\u{a0}"),
        ("&lrm;", "\u{200e}"),
        ("&rlm;", "\u{200f}"),
    ];
    let text = others
        .iter()
        .fold(text.to_owned(), |text, (written, meant)| text.replace(written, meant));
    text.replace("&amp;", "&")
}

/// Without any tags, for tracks whose players show them as they are.
pub fn plain(text: &str) -> String {
    let mut plain = text.to_owned();
    for tag in ["<b>", "</b>", "<i>", "</i>", "<u>", "</u>"] {
        plain = plain.replace(tag, "");
    }
    unescaped(&plain)
}

/// Subtitles that cannot be used.
pub fn refused(why: &str) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!("the subtitles cannot be used: {why}"),
        "send SubRip, WebVTT or (to burn in) ASS, best as UTF-8",
    )
}

#[cfg(test)]
mod tests {
    use super::{super::read::parse, *};

    #[test]
    fn both_forms_read_alike_and_are_cut_to_the_clip() {
        let srt = parse("1\n00:00:01,000 --> 00:00:02,500\nA <font color=red><i>b</i></font> < c\n\n2\n00:00:03,000 --> 00:00:04,000\nD\n")
            .unwrap();
        let vtt = parse("WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.500\nA <c.x><i>b</i></c> &lt; c\n\n00:03.000 --> 00:04.000\nD\n").unwrap();
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
        let placed = parse("WEBVTT\n\n00:01.000 --> 00:02.000 line:0 align:start\nUp\n").unwrap();
        assert!(as_webvtt(&placed, 0).contains("00:00:02.000 line:0 align:start\nUp\n"));
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
