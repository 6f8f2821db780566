//! DASH manifests (ISO/IEC 23009-1): dynamic while a set grows, static once it is whole.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

use super::{NUMBER, Presentation, Segment, Track, relative};

/// The manifest at `key`.
pub fn mpd(presentation: &Presentation, key: &str) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"");
    let is_live_profile = presentation.tracks.iter().all(|track| is_text(track) || track.template.is_some());
    let profile = if is_live_profile { "isoff-live" } else { "isoff-main" };
    let _ = write!(text, " profiles=\"urn:mpeg:dash:profile:{profile}:2011\"");
    let segment = longest_ns(presentation);
    if presentation.complete {
        let _ = write!(
            text,
            " type=\"static\" mediaPresentationDuration=\"{}\"",
            span(presentation.duration_ns())
        );
    } else {
        let _ = write!(
            text,
            " type=\"dynamic\" availabilityStartTime=\"{}\" publishTime=\"{}\" minimumUpdatePeriod=\"{}\" suggestedPresentationDelay=\"{}\"",
            date(presentation.start_ms),
            date(presentation.publish_ms),
            span(segment.max(1_000_000_000)),
            span(segment * 3),
        );
    }
    let _ = writeln!(
        text,
        " minBufferTime=\"{}\" maxSegmentDuration=\"{}\">",
        span(segment),
        span(segment)
    );
    text.push_str("  <Period id=\"0\" start=\"PT0S\">\n");
    for (id, tracks) in adaptation_sets(presentation).into_iter().enumerate() {
        write_set(&mut text, presentation, &tracks, id, key);
    }
    text.push_str("  </Period>\n</MPD>\n");
    text
}

fn is_text(track: &Track) -> bool {
    track.info.kind == "subtitle"
}

fn longest_ns(presentation: &Presentation) -> i64 {
    let media = presentation.tracks.iter().filter(|track| !is_text(track));
    let longest = media.flat_map(|track| &track.segments).map(|segment| segment.duration_ns).max();
    longest.unwrap_or(0).max(presentation.target_ms.saturating_mul(1_000_000))
}

/// One set for pictures of each codec and range, one for each rendition of sound and each language of subtitles.
fn adaptation_sets(presentation: &Presentation) -> Vec<Vec<&Track>> {
    let family = |track: &Track| {
        let codec = track.info.codecs.split('.').next().unwrap_or_default().to_owned();
        (codec, track.info.video_range.clone())
    };
    let mut sets: Vec<Vec<&Track>> = Vec::new();
    for track in presentation.of_kind("video") {
        let same = sets
            .iter_mut()
            .find(|set| set.first().is_some_and(|first| family(first) == family(track)));
        match same {
            Some(set) => set.push(track),
            None => sets.push(vec![track]),
        }
    }
    sets.extend(presentation.of_kind("audio").map(|track| vec![track]));
    sets.extend(presentation.of_kind("subtitle").map(|track| vec![track]));
    sets
}

fn write_set(text: &mut String, presentation: &Presentation, tracks: &[&Track], id: usize, from: &str) {
    let Some(first) = tracks.first() else { return };
    let info = &first.info;
    let (content, mime) = match info.kind.as_str() {
        "video" => ("video", "video/mp4"),
        "audio" => ("audio", "audio/mp4"),
        _ => ("text", "text/vtt"),
    };
    let _ = write!(text, "    <AdaptationSet id=\"{id}\" contentType=\"{content}\" mimeType=\"{mime}\"");
    if !is_text(first) {
        text.push_str(" segmentAlignment=\"true\" startWithSAP=\"1\"");
    }
    if !info.language.is_empty() {
        let _ = write!(text, " lang=\"{}\"", escaped(&info.language));
    }
    text.push_str(">\n");
    write_properties(text, first);
    for track in tracks {
        write_representation(text, presentation, track, from);
    }
    text.push_str("    </AdaptationSet>\n");
}

fn write_properties(text: &mut String, track: &Track) {
    let info = &track.info;
    if info.kind == "audio" && info.channels > 0 {
        let scheme = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
        let _ = writeln!(
            text,
            "      <AudioChannelConfiguration schemeIdUri=\"{scheme}\" value=\"{}\"/>",
            info.channels
        );
    }
    let transfer = match info.video_range.as_str() {
        "PQ" => Some(16),
        "HLG" => Some(18),
        _ => None,
    };
    if let Some(transfer) = transfer {
        for (name, value) in [
            ("ColourPrimaries", 9),
            ("MatrixCoefficients", 9),
            ("TransferCharacteristics", transfer),
        ] {
            let _ = writeln!(
                text,
                "      <EssentialProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:{name}\" value=\"{value}\"/>"
            );
        }
    }
    let role = match info.kind.as_str() {
        "subtitle" => Some("subtitle"),
        "audio" if !info.is_default => Some("alternate"),
        _ => Some("main"),
    };
    if let Some(role) = role {
        let _ = writeln!(text, "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{role}\"/>");
    }
    if !info.display_name.is_empty() {
        let _ = writeln!(text, "      <Label>{}</Label>", escaped(&info.display_name));
    }
}

fn write_representation(text: &mut String, presentation: &Presentation, track: &Track, from: &str) {
    let info = &track.info;
    let bandwidth = presentation.peak_bps(track).max(1);
    let _ = write!(text, "      <Representation id=\"{}\" bandwidth=\"{bandwidth}\"", info.number);
    if !info.codecs.is_empty() && !is_text(track) {
        let _ = write!(text, " codecs=\"{}\"", escaped(&info.codecs));
    }
    if info.width_px > 0 && info.height_px > 0 {
        let _ = write!(text, " width=\"{}\" height=\"{}\" sar=\"1:1\"", info.width_px, info.height_px);
    }
    match (info.frame_rate_num, info.frame_rate_den) {
        (num, 1) if num > 0 => {
            let _ = write!(text, " frameRate=\"{num}\"");
        }
        (num, den) if num > 0 && den > 0 => {
            let _ = write!(text, " frameRate=\"{num}/{den}\"");
        }
        _ => {}
    }
    if info.kind == "audio" && info.sample_rate_hz > 0 {
        let _ = write!(text, " audioSamplingRate=\"{}\"", info.sample_rate_hz);
    }
    text.push_str(">\n");
    match &track.whole_key {
        // Players know text in one file, or in MP4.
        Some(whole) => {
            let _ = writeln!(text, "        <BaseURL>{}</BaseURL>", escaped(&relative(from, whole)));
        }
        None => write_segments(text, track, from),
    }
    text.push_str("      </Representation>\n");
}

fn write_segments(text: &mut String, track: &Track, from: &str) {
    let timescale = i64::from(track.info.timescale.max(1));
    let init = track.inits.get(&0).map(|key| escaped(&relative(from, key)));
    if let Some(template) = &track.template {
        let media = escaped(&relative(from, template)).replace(NUMBER, "$Number$");
        let _ = write!(
            text,
            "        <SegmentTemplate timescale=\"{timescale}\" startNumber=\"0\" media=\"{media}\""
        );
        if let Some(init) = init {
            let _ = write!(text, " initialization=\"{init}\"");
        }
        text.push_str(">\n");
        write_timeline(text, &track.segments, timescale);
        text.push_str("        </SegmentTemplate>\n");
        return;
    }
    let _ = writeln!(text, "        <SegmentList timescale=\"{timescale}\" startNumber=\"0\">");
    if let Some(init) = init {
        let _ = writeln!(text, "          <Initialization sourceURL=\"{init}\"/>");
    }
    write_timeline(text, &track.segments, timescale);
    for segment in &track.segments {
        let _ = writeln!(text, "          <SegmentURL media=\"{}\"/>", escaped(&relative(from, &segment.key)));
    }
    text.push_str("        </SegmentList>\n");
}

/// A stretch of equal segments.
struct Run {
    start: i64,
    duration: i64,
    repeats: usize,
}

fn write_timeline(text: &mut String, segments: &[Segment], timescale: i64) {
    let mut runs: Vec<Run> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let start = ticks(segment.start_ns, timescale);
        let end_ns = segment.start_ns + segment.duration_ns;
        // a neighbour that begins within a tick of this one's end is joined without a gap
        let next = segments.get(index + 1).map(|next| ticks(next.start_ns, timescale));
        let end = ticks(end_ns, timescale);
        let end = next.filter(|next| (next - end).abs() <= 1).unwrap_or(end);
        let duration = (end - start).max(1);
        match runs.last_mut() {
            Some(run) if run.duration == duration && run.start + duration * (run.repeats as i64 + 1) == start => run.repeats += 1,
            _ => runs.push(Run {
                start,
                duration,
                repeats: 0,
            }),
        }
    }
    text.push_str("          <SegmentTimeline>\n");
    for run in runs {
        let _ = write!(text, "            <S t=\"{}\" d=\"{}\"", run.start, run.duration);
        if run.repeats > 0 {
            let _ = write!(text, " r=\"{}\"", run.repeats);
        }
        text.push_str("/>\n");
    }
    text.push_str("          </SegmentTimeline>\n");
}

fn ticks(ns: i64, timescale: i64) -> i64 {
    let ticks = (i128::from(ns) * i128::from(timescale) + 500_000_000) / 1_000_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

fn span(ns: i64) -> String {
    format!("PT{:.3}S", ns as f64 / 1e9)
}

/// A time as XML writes it, in UTC.
fn date(ms: i64) -> String {
    let since = Duration::from_millis(ms.max(0).unsigned_abs());
    let time = prost_types::Timestamp::from(UNIX_EPOCH + since);
    time.to_string()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other if other.is_control() && other != '\0' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
