//! HLS playlists (RFC 8216).

use std::{collections::HashSet, fmt::Write};

use super::{Presentation, Segment, Track, relative};

/// A track's media playlist.
pub fn media(presentation: &Presentation, track: &Track) -> String {
    let mut text = head(presentation, track, false);
    let mut before = None;
    for segment in &track.segments {
        write_boundary(&mut text, track, before.replace(segment), segment, &track.playlist_key);
        let _ = writeln!(text, "#EXTINF:{},", seconds(segment.duration_ns));
        let _ = writeln!(text, "{}", relative(&track.playlist_key, &segment.key));
    }
    end(text, presentation)
}

/// A track's I-frame playlist; `None` where no segment tells its first picture.
pub fn i_frames(presentation: &Presentation, track: &Track) -> Option<String> {
    let key = track.i_frame_key.as_deref()?;
    if !has_i_frames(track) {
        return None;
    }
    let mut text = head(presentation, track, true);
    let mut before = None;
    for segment in &track.segments {
        write_boundary(&mut text, track, before.replace(segment), segment, key);
        let Some((offset, bytes)) = segment.i_frame else { continue };
        let _ = writeln!(text, "#EXTINF:{},", seconds(segment.duration_ns));
        let _ = writeln!(text, "#EXT-X-BYTERANGE:{bytes}@{offset}");
        let _ = writeln!(text, "{}", relative(key, &segment.key));
    }
    Some(end(text, presentation))
}

/// What stands in front of a segment that does not simply go on, and in front of the first one.
fn write_boundary(text: &mut String, track: &Track, before: Option<&Segment>, segment: &Segment, from: &str) {
    if before.is_some() && segment.discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    let Some(init) = track.inits.get(&segment.init) else { return };
    if before.is_none_or(|before| before.init != segment.init) {
        let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", relative(from, init));
    }
}

/// Whether scrubbing works on a track.
pub fn has_i_frames(track: &Track) -> bool {
    track.i_frame_key.is_some() && !track.segments.is_empty() && track.segments.iter().all(|segment| segment.i_frame.is_some())
}

fn head(presentation: &Presentation, track: &Track, only_i_frames: bool) -> String {
    let version = match (track.inits.is_empty(), only_i_frames) {
        (false, _) => 7,
        (true, true) => 4,
        (true, false) => 3,
    };
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n");
    let _ = writeln!(text, "#EXT-X-TARGETDURATION:{}", presentation.target_s());
    let _ = writeln!(text, "#EXT-X-MEDIA-SEQUENCE:0");
    let kind = if presentation.complete { "VOD" } else { "EVENT" };
    let _ = writeln!(text, "#EXT-X-PLAYLIST-TYPE:{kind}");
    if only_i_frames {
        text.push_str("#EXT-X-I-FRAMES-ONLY\n");
    } else if track.info.kind == "video" && presentation.is_independent() {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    text
}

fn seconds(ns: i64) -> String {
    format!("{:.6}", ns as f64 / 1e9)
}

fn end(mut text: String, presentation: &Presentation) -> String {
    if presentation.complete {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// A group of audio renditions with the same codec.
struct Group<'a> {
    id: String,
    tracks: Vec<&'a Track>,
}

/// The master playlist at `key`.
pub fn master(presentation: &Presentation, key: &str) -> String {
    let videos: Vec<&Track> = presentation.of_kind("video").collect();
    let audios: Vec<&Track> = presentation.of_kind("audio").collect();
    let has_fmp4 = presentation.tracks.iter().any(|track| !track.inits.is_empty());
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{}\n", if has_fmp4 { 7 } else { 4 });
    if presentation.is_independent() {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let are_variants = videos.is_empty() && is_one_programme(&audios);
    let groups = if are_variants { Vec::new() } else { groups(&audios) };
    for group in &groups {
        write_group(&mut text, "AUDIO", &group.id, &group.tracks, key);
    }
    let subtitles: Vec<&Track> = presentation.of_kind("subtitle").collect();
    write_group(&mut text, "SUBTITLES", "subtitles", &subtitles, key);
    let has_subtitles = !subtitles.is_empty();
    write_captions(&mut text, &videos);
    if videos.is_empty() {
        let variants = audios.iter().take(if are_variants { audios.len() } else { 1 });
        for track in variants {
            write_variant(&mut text, presentation, track, groups.first(), has_subtitles, key);
        }
        return text;
    }
    for track in &videos {
        if groups.is_empty() {
            write_variant(&mut text, presentation, track, None, has_subtitles, key);
        }
        for group in &groups {
            write_variant(&mut text, presentation, track, Some(group), has_subtitles, key);
        }
    }
    for track in videos.iter().filter(|track| has_i_frames(track)) {
        write_i_frame_variant(&mut text, presentation, track, key);
    }
    text
}

/// Whether sound is the same thing at several rates, rather than several languages.
fn is_one_programme(audios: &[&Track]) -> bool {
    let language = audios.first().map(|track| track.info.language.as_str());
    audios.iter().all(|track| Some(track.info.language.as_str()) == language)
}

fn groups<'a>(audios: &[&'a Track]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group> = Vec::new();
    for track in audios {
        let same = groups
            .iter_mut()
            .find(|group| group.tracks.first().is_some_and(|first| first.info.codecs == track.info.codecs));
        match same {
            Some(group) => group.tracks.push(track),
            None => groups.push(Group {
                id: format!("audio-{}", groups.len()),
                tracks: vec![track],
            }),
        }
    }
    groups
}

fn write_group(text: &mut String, kind: &str, group: &str, tracks: &[&Track], from: &str) {
    let mut names = HashSet::new();
    // a group has at most one default; in audio some rendition must be chosen
    let default = tracks
        .iter()
        .position(|track| track.info.is_default)
        .or((kind == "AUDIO").then_some(0));
    for (index, track) in tracks.iter().enumerate() {
        let info = &track.info;
        let wanted = [&info.display_name, &info.language].into_iter().find(|name| !name.is_empty());
        let name = unused(&mut names, wanted.map_or("Audio", String::as_str));
        let _ = write!(text, "#EXT-X-MEDIA:TYPE={kind},GROUP-ID=\"{group}\",NAME=\"{name}\"");
        if !info.language.is_empty() {
            let _ = write!(text, ",LANGUAGE=\"{}\"", quoted(&info.language));
        }
        let is_default = default == Some(index);
        let choice = if is_default { "YES" } else { "NO" };
        let _ = write!(text, ",DEFAULT={choice},AUTOSELECT=YES");
        if kind == "SUBTITLES" {
            text.push_str(",FORCED=NO");
        } else if info.channels > 0 {
            let _ = write!(text, ",CHANNELS=\"{}\"", info.channels);
        }
        let _ = writeln!(text, ",URI=\"{}\"", relative(from, &track.playlist_key));
    }
}

/// Names in a group differ.
fn unused(names: &mut HashSet<String>, wanted: &str) -> String {
    let wanted = quoted(wanted);
    let numbered = (2..).map(|number| format!("{wanted} {number}"));
    let mut candidates = std::iter::once(wanted.clone()).chain(numbered);
    candidates.find(|name| names.insert(name.clone())).unwrap_or_default()
}

/// Quoted strings hold no quotes and no line breaks.
fn quoted(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' => '\'',
            other if other.is_control() => ' ',
            other => other,
        })
        .collect()
}

fn write_variant(text: &mut String, presentation: &Presentation, track: &Track, group: Option<&Group>, has_subtitles: bool, from: &str) {
    let others: Vec<&&Track> = group.iter().flat_map(|group| &group.tracks).collect();
    // where the variant is a rendition of its own group, its sound is not counted twice
    let is_audio = track.info.kind == "audio";
    let of_group = |rate: &dyn Fn(&Track) -> i64| others.iter().map(|track| rate(track)).max().unwrap_or(0);
    let (peak, average) = (
        |track: &Track| presentation.peak_bps(track),
        |track: &Track| track.average_bps().ceil() as i64,
    );
    let (bandwidth, average) = match is_audio {
        true => (peak(track).max(of_group(&peak)), average(track).max(of_group(&average))),
        false => (peak(track) + of_group(&peak), average(track) + of_group(&average)),
    };
    let _ = write!(text, "#EXT-X-STREAM-INF:BANDWIDTH={}", bandwidth.max(1));
    if presentation.complete {
        let _ = write!(text, ",AVERAGE-BANDWIDTH={}", average.max(1));
    }
    let mut codecs = vec![track.info.codecs.as_str()];
    codecs.extend(others.first().map(|track| track.info.codecs.as_str()).filter(|_| !is_audio));
    codecs.retain(|codec| !codec.is_empty());
    if !codecs.is_empty() {
        let _ = write!(text, ",CODECS=\"{}\"", quoted(&codecs.join(",")));
    }
    write_picture(text, track);
    if track.info.frame_rate_num > 0 && track.info.frame_rate_den > 0 {
        let rate = f64::from(track.info.frame_rate_num) / f64::from(track.info.frame_rate_den);
        let _ = write!(text, ",FRAME-RATE={rate:.3}");
    }
    if let Some(group) = group {
        let _ = write!(text, ",AUDIO=\"{}\"", group.id);
    }
    if has_subtitles {
        text.push_str(",SUBTITLES=\"subtitles\"");
    }
    if !is_audio {
        text.push_str(captions_attribute(presentation, track));
    }
    let _ = writeln!(text, "\n{}", relative(from, &track.playlist_key));
}

/// A channel of captions in pictures, where any have one.
fn write_captions(text: &mut String, videos: &[&Track]) {
    let has = |which: fn(&Segment) -> bool| videos.iter().flat_map(|track| &track.segments).any(which);
    let channel = if has(|segment| segment.captions_608) {
        "CC1"
    } else if has(|segment| segment.captions_708) {
        "SERVICE1"
    } else {
        return;
    };
    let _ = writeln!(
        text,
        "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"{channel}\",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID=\"{channel}\""
    );
}

/// NONE is a promise for all variants, which only a whole film without captions can give.
fn captions_attribute(presentation: &Presentation, track: &Track) -> &'static str {
    let has_captions = |track: &Track| {
        let carries = |segment: &Segment| segment.captions_608 || segment.captions_708;
        track.segments.iter().any(carries)
    };
    if has_captions(track) {
        return ",CLOSED-CAPTIONS=\"captions\"";
    }
    let has_none = presentation.complete && !presentation.tracks.iter().any(has_captions);
    if has_none { ",CLOSED-CAPTIONS=NONE" } else { "" }
}

fn write_picture(text: &mut String, track: &Track) {
    let info = &track.info;
    if info.width_px > 0 && info.height_px > 0 {
        let _ = write!(text, ",RESOLUTION={}x{}", info.width_px, info.height_px);
    }
    if matches!(info.video_range.as_str(), "SDR" | "PQ" | "HLG") {
        let _ = write!(text, ",VIDEO-RANGE={}", info.video_range);
    }
}

fn write_i_frame_variant(text: &mut String, presentation: &Presentation, track: &Track, from: &str) {
    let Some(key) = &track.i_frame_key else { return };
    let pictures = Track {
        segments: track.segments.iter().map(only_picture).collect(),
        ..track.clone()
    };
    let _ = write!(
        text,
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH={}",
        presentation.peak_bps(&pictures).max(1)
    );
    if !track.info.codecs.is_empty() {
        let _ = write!(text, ",CODECS=\"{}\"", quoted(&track.info.codecs));
    }
    write_picture(text, track);
    let _ = writeln!(text, ",URI=\"{}\"", relative(from, key));
}

fn only_picture(segment: &Segment) -> Segment {
    Segment {
        bytes: segment.i_frame.map_or(0, |(_, bytes)| bytes),
        ..segment.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests;
