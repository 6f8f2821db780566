//! Reads SubRip and WebVTT: where a cue begins and ends, its times, its place and its text. Files are seldom written as the formats ask.

use std::time::Duration;

use mps_proto::worker::v1::Failure;

use super::{
    cues::{Cue, refused},
    place,
};

/// Most cues of a file.
const MAX_CUES: usize = 100_000;
/// Tags that all players and Pango know.
const TAGS: [&str; 6] = ["<b>", "</b>", "<i>", "</i>", "<u>", "</u>"];
/// References that WebVTT names.
const REFERENCES: [&str; 6] = ["&amp;", "&lt;", "&gt;", "&nbsp;", "&lrm;", "&rlm;"];

/// A line that begins a cue.
struct Head<'a> {
    line: usize,
    start: Duration,
    end: Duration,
    settings: &'a str,
}

/// Cues in order of their beginnings. Those that end before they begin, or have no text, are left out.
pub fn parse(text: &str) -> Result<Vec<Cue>, Failure> {
    let lines: Vec<&str> = text.lines().collect();
    let is_webvtt = lines.first().is_some_and(|first| first.starts_with("WEBVTT"));
    let heads = heads(&lines)?;
    if heads.len() > MAX_CUES {
        return Err(refused("they have more than 100,000 cues"));
    }
    let mut cues = Vec::with_capacity(heads.len());
    for (number, head) in heads.iter().enumerate() {
        let next = heads.get(number + 1).map(|next| next.line);
        let body = lines.get(head.line + 1..next.unwrap_or(lines.len())).unwrap_or_default();
        let body = if is_webvtt {
            until_blank(body)
        } else {
            without_number(body, next.is_some())
        };
        let written = body.iter().filter(|line| !is_blank(line)).copied().collect::<Vec<_>>().join("\n");
        let (text, settings) = if is_webvtt {
            (written, place::settings(head.settings))
        } else {
            place::overrides(&written)
        };
        let text = tidy(&text);
        if head.end > head.start && !text.trim().is_empty() {
            cues.push(Cue {
                start: head.start,
                end: head.end,
                text,
                settings,
            });
        }
    }
    if cues.is_empty() {
        return Err(refused("they have no cue of SubRip or WebVTT"));
    }
    cues.sort_by_key(|cue| (cue.start, cue.end));
    Ok(cues)
}

/// Lines with the times of cues. An arrow inside a cue's text is text.
fn heads<'a>(lines: &[&'a str]) -> Result<Vec<Head<'a>>, Failure> {
    let mut heads = Vec::new();
    for (line, text) in lines.iter().enumerate().filter(|(_, text)| text.contains("-->")) {
        if let Some((start, end, settings)) = span(text) {
            heads.push(Head {
                line,
                start,
                end,
                settings,
            });
            continue;
        }
        let before = line
            .checked_sub(1)
            .and_then(|before| lines.get(before))
            .copied()
            .unwrap_or_default();
        if is_blank(before) || is_number(before) {
            let shown: String = text.chars().take(60).collect();
            return Err(refused(&format!("\"{shown}\" is no span of time")));
        }
    }
    Ok(heads)
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

fn is_number(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit())
}

/// A cue of WebVTT ends with the first blank line: behind it stand notes, styles and the name of the next cue.
fn until_blank<'a, 'b>(body: &'b [&'a str]) -> &'b [&'a str] {
    let end = body.iter().position(|line| is_blank(line)).unwrap_or(body.len());
    &body[..end]
}

/// A cue of SubRip ends with the number of the next one, since many have blank lines inside. A number that is all of a cue is its text.
fn without_number<'a, 'b>(body: &'b [&'a str], another_follows: bool) -> &'b [&'a str] {
    match body {
        [text @ .., last] if another_follows && is_number(last) && !text.is_empty() => text,
        _ => body,
    }
}

/// "00:00:01,000 --> 00:00:02,000", with what WebVTT may write behind it.
fn span(line: &str) -> Option<(Duration, Duration, &str)> {
    let (start, rest) = line.split_once("-->")?;
    let rest = rest.trim();
    let (end, settings) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some((time(start.trim())?, time(end)?, settings))
}

fn time(text: &str) -> Option<Duration> {
    let text = text.replace(',', ".");
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let mut seconds = 0.0;
    for part in parts {
        let value: f64 = part.trim().parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
        seconds = seconds * 60.0 + value;
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .map(|time| Duration::from_millis((time.as_secs_f64() * 1000.0).round() as u64))
}

/// Text as WebVTT writes it, with b, i and u alone. What only looks like a tag stays text.
fn tidy(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (before, from) = rest.split_at(at);
        tidy.push_str(before);
        let (written, length) = if let Some(tag) = tag(from) {
            (if TAGS.contains(&tag) { tag } else { "" }, tag.len())
        } else if let Some(reference) = reference(from) {
            (reference, reference.len())
        } else if from.starts_with('<') {
            ("&lt;", 1)
        } else if from.starts_with('>') {
            ("&gt;", 1)
        } else {
            ("&amp;", 1)
        };
        tidy.push_str(written);
        rest = from.get(length..).unwrap_or_default();
    }
    tidy.push_str(rest);
    tidy
}

/// A tag at the beginning: its name begins with a letter, or is a time; it ends in the same line, before another one begins.
fn tag(from: &str) -> Option<&str> {
    let inside = from.strip_prefix('<')?;
    let name = inside.strip_prefix('/').unwrap_or(inside);
    let end = inside.find(['<', '>', '\n']).filter(|end| inside[*end..].starts_with('>'))?;
    let named = name.starts_with(|first: char| first.is_ascii_alphanumeric()) || name.starts_with('>');
    named.then(|| &from[..end + 2])
}

fn reference(from: &str) -> Option<&'static str> {
    REFERENCES.into_iter().find(|reference| from.starts_with(reference))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<String> {
        parse(file).unwrap().into_iter().map(|cue| cue.text).collect()
    }

    #[test]
    fn blank_lines_with_spaces_end_cues_and_those_inside_lose_nothing() {
        let file = "1\n00:00:01,000 --> 00:00:02,000\nFirst AT&T a < b\n \n2\n00:00:02,000 --> 00:00:03,000\nSecond\n\nhas a gap\n\n3\n00:00:04,000 --> 00:00:05,000\n42\n4\n00:00:06,000 --> 00:00:07,000\na --> b\n";
        assert_eq!(texts(file), ["First AT&amp;T a &lt; b", "Second\nhas a gap", "42", "a --&gt; b"]);
        let file = "00:01.000 --> 00:02.000\n7\n00:03.000 --> 00:04.000\nx\n";
        assert_eq!(texts(file), ["7", "x"], "a number that is all of a cue");
        let file = "WEBVTT\n\n00:01.000 --> 00:02.000\nA\n\nNOTE no text\n\nname\n00:02.000 --> 00:03.000\nB\n";
        assert_eq!(texts(file), ["A", "B"]);
    }

    #[test]
    fn tags_end_in_their_line_and_references_stay() {
        assert_eq!(tidy("a <3 b</i>"), "a &lt;3 b</i>");
        assert_eq!(tidy("<font color=\"red\"><b>x</b></font> <00:01.000>y"), "<b>x</b> y");
        assert_eq!(tidy("x <- y\n<c.z>&lt; &copy;</c>"), "x &lt;- y\n&lt; &amp;copy;");
    }

    #[test]
    fn sloppy_times_are_read_and_wrong_ones_told() {
        let file = "1\n00:00:00.500 --> 00:00:02.000\na\n\n3\n00:00:03,000 --> 00:00:02,000\nbackwards\n\n4\n0:00:04,5 --> 0:00:05,0\nb\n";
        assert_eq!(texts(file), ["a", "b"]);
        let wrong = parse("1\n00:00:01 -> x --> 5\ntext\n").unwrap_err();
        assert!(wrong.status.unwrap().message.contains("is no span of time"));
        assert!(parse("nothing").is_err());
    }
}
