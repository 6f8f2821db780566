//! What the index of an MP4 or QuickTime file promises, read without GStreamer: its place, duration, edit lists, numbers of samples.

use std::{collections::BTreeMap, fs::File, io, path::Path, time::Duration};

use super::{beside::Beside, fragments, pace, tracks};
use crate::{
    isobmff::{self, FileBox, be32, be64, child, children, descendant},
    parse::{
        gapless::{self, Gapless},
        sample_entry::VideoEntry,
        sample_table,
        shown::{self, Shown},
    },
};

/// An edit that starts or ends this far inside the media is a cut, not the delay of a codec.
const CUT_THRESHOLD_S: f64 = 0.1;

/// What the index says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// Whether there is one at all.
    pub present: bool,
    /// Whether there is media (mdat or fragments).
    pub has_media: bool,
    /// Whether fragments stand without an index.
    pub is_segment: bool,
    pub first: bool,
    pub fragmented: bool,
    pub edit_list_inside: bool,
    /// What iTunes says of its only track of sound.
    pub gapless: Option<Gapless>,
    /// Bytes that the boxes promise and the file lacks.
    pub truncated_bytes: u64,
    /// `None` when it is not told, as in live fragments.
    pub duration: Option<Duration>,
    /// What the fragments last, first to last; `None` where there are none.
    pub measured: Option<Duration>,
    pub tracks: Vec<IndexTrack>,
    /// What the demuxer must read otherwise, at positions of the file.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// Kinds of tracks that cannot be read.
    pub unreadable: Vec<[u8; 4]>,
    /// Sample formats of PCM by the tracks' numbers, in GStreamer's words.
    pub formats: Vec<(u32, &'static str)>,
    pub beside: Beside,
}

/// One track of the index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexTrack {
    pub id: u32,
    /// `vide`, `soun`, ...
    pub handler: [u8; 4],
    /// Code of the first sample description, such as `avc1`.
    pub format: [u8; 4],
    /// Ticks of the track's clock in a second.
    pub timescale: u32,
    pub duration: Option<Duration>,
    /// Samples of the whole track; 0 in fragmented files.
    pub samples: u64,
    pub pace: Pace,
    /// Samples per second where they come quickest, in whole ones.
    pub quickest: Option<i32>,
    /// What the first description says of pictures.
    pub entry: VideoEntry,
    /// Whether its edit list leaves out more than a codec's delay and padding.
    pub is_edited: bool,
    /// Its name; empty when it has none.
    pub title: String,
    pub shown: Shown,
    /// Media time of its first sample that is not whole in the file; `None`: all are there.
    pub available: Option<Duration>,
    /// Where the last of its bytes ends; `None` in fragmented files.
    data_end: Option<u64>,
    /// Whether it leaves out anything at the beginning.
    pub skips: bool,
}

impl IndexTrack {
    /// Name of the codec by the code of its sample description, as far as outputs use them.
    pub fn codec(&self) -> &'static str {
        match &self.format {
            b"avc1" | b"avc3" => "h264",
            b"hvc1" | b"hev1" => "hevc",
            b"mp4a" => "aac",
            b".mp3" => "mp3",
            _ => "",
        }
    }
}

/// How samples follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Unknown,
    /// Samples per second, as a fraction.
    Constant(u32, u32),
    /// Constant but for the rounding of the clock.
    Rounded,
    Variable,
}

/// Reads the index of a file.
pub fn read(path: &Path) -> io::Result<Index> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let boxes = isobmff::top_level(&mut file, size)?;
    let find = |kind: &[u8; 4]| boxes.iter().find(|found| found.kind == *kind);
    let media = boxes.iter().find(|found| matches!(&found.kind, b"mdat" | b"moof"));
    let mut index = Index {
        has_media: media.is_some(),
        truncated_bytes: missing_media(&boxes, size),
        ..Index::default()
    };
    let Some(moov) = find(b"moov").filter(|moov| moov.end <= size) else {
        index.is_segment = find(b"moov").is_none() && find(b"moof").is_some();
        return Ok(index);
    };
    index.present = true;
    index.first = media.is_none_or(|media| moov.start < media.start);
    let body = isobmff::read_body(&mut file, moov)?;
    read_movie(&body, size, &mut index);
    mend(&body, moov.start + moov.header, &mut index);
    if index.fragmented {
        if let Some(fragment) = find(b"moof").filter(|fragment| fragment.end <= size) {
            let fragment = isobmff::read_body(&mut file, fragment)?;
            pace_by_fragment(&mut index, &fragment);
        }
        let times = fragments::times(&mut file, &boxes, size, &usual_lengths(&body))?;
        take_times(&mut index, &times);
    } else if let Some(end) = index.tracks.iter().filter_map(|track| track.data_end).max() {
        // What the boxes claim beyond the last sample nobody needs.
        index.truncated_bytes = end.saturating_sub(size);
    }
    Ok(index)
}

fn mend(moov: &[u8], body_at: u64, index: &mut Index) {
    let mended = tracks::mend(moov);
    index.patches = mended.patches.into_iter().map(|(at, bytes)| (body_at + at as u64, bytes)).collect();
    index.unreadable = mended.unreadable;
    index.formats = mended.formats;
}

/// Lengths of samples by track, where fragments tell none.
fn usual_lengths(moov: &[u8]) -> BTreeMap<u32, u32> {
    let extends = child(moov, b"mvex").unwrap_or_default();
    let tracks = children(extends).filter(|found| found.kind == *b"trex");
    tracks
        .filter_map(|found| Some((be32(found.body, 4)?, be32(found.body, 12)?)))
        .collect()
}

fn take_times(index: &mut Index, times: &BTreeMap<u32, fragments::Times>) {
    for track in &mut index.tracks {
        let Some(times) = times.get(&track.id) else { continue };
        let in_seconds = |ticks: u64| Duration::from_secs_f64(ticks as f64 / f64::from(track.timescale.max(1)));
        track.available = times.missing_from.map(|missing| in_seconds(missing.saturating_sub(times.first)));
        let length = times.end.saturating_sub(times.first);
        index.measured = index.measured.max(seconds(length, track.timescale));
    }
}

fn missing_media(boxes: &[FileBox], size: u64) -> u64 {
    let media = |found: &&FileBox| matches!(&found.kind, b"mdat" | b"moof" | b"moov");
    boxes.iter().filter(media).map(|found| found.missing(size)).max().unwrap_or(0)
}

fn read_movie(moov: &[u8], size: u64, index: &mut Index) {
    let (timescale, length) = child(moov, b"mvhd").and_then(timed_header).unwrap_or((0, None));
    index.fragmented = child(moov, b"mvex").is_some();
    index.beside = Beside::of_mp4(moov);
    index.duration = if index.fragmented {
        fragments_duration(moov, timescale)
    } else {
        length.and_then(|length| seconds(length, timescale))
    };
    let tracks = children(moov).filter(|found| found.kind == *b"trak" && tracks::readable(found.body, index.fragmented).is_some());
    index.tracks = tracks.filter_map(|found| read_track(found.body, timescale, size)).collect();
    let timed = |track: &&IndexTrack| matches!(&track.handler, b"vide" | b"soun");
    index.edit_list_inside = index.tracks.iter().filter(timed).any(|track| track.is_edited);
    let mut told = children(moov).filter(|found| found.kind == *b"udta");
    index.gapless = told.find_map(|found| gapless::of_itunes(found.body));
}

impl Index {
    /// The only track of sound.
    pub fn only_sound(&self) -> Option<&IndexTrack> {
        let mut sounds = self.tracks.iter().filter(|track| track.handler == *b"soun" && track.samples > 0);
        sounds.next().filter(|_| sounds.next().is_none())
    }
}

fn fragments_duration(moov: &[u8], timescale: u32) -> Option<Duration> {
    let header = descendant(moov, &[b"mvex", b"mehd"])?;
    let length = if *header.first()? == 1 {
        be64(header, 4)?
    } else {
        u64::from(be32(header, 4)?)
    };
    seconds(length, timescale)
}

/// Time scale and length of mvhd and mdhd; a length of all ones is none.
pub(super) fn timed_header(body: &[u8]) -> Option<(u32, Option<u64>)> {
    if *body.first()? == 1 {
        let length = be64(body, 24)?;
        return Some((be32(body, 20)?, (length != u64::MAX).then_some(length)));
    }
    let length = be32(body, 16)?;
    Some((be32(body, 12)?, (length != u32::MAX).then_some(u64::from(length))))
}

pub(super) fn seconds(length: u64, timescale: u32) -> Option<Duration> {
    if length == 0 || timescale == 0 {
        return None;
    }
    Duration::try_from_secs_f64(length as f64 / f64::from(timescale)).ok()
}

fn read_track(trak: &[u8], movie_timescale: u32, size: u64) -> Option<IndexTrack> {
    let mdia = child(trak, b"mdia")?;
    let (timescale, length) = child(mdia, b"mdhd").and_then(timed_header)?;
    let handler = child(mdia, b"hdlr")?.get(8..12)?.try_into().ok()?;
    let table = descendant(mdia, &[b"minf", b"stbl"]).unwrap_or_default();
    let runs = child(table, b"stts").map(runs).unwrap_or_default();
    let quickest = pace::Pace::of_runs(&runs, timescale).per_second().map(pace::whole_rate);
    let edits = descendant(trak, &[b"edts", b"elst"]).map(read_edits).unwrap_or_default();
    let edited: u64 = edits.iter().fold(0, |sum: u64, edit| sum.saturating_add(edit.length));
    let media_start = edits.iter().find(|edit| edit.media_time >= 0).map_or(0, |edit| edit.media_time);
    let codec_delay = child(table, b"ctts").and_then(first_composition_offset).unwrap_or(0);
    let in_seconds = |ticks: i64| ticks as f64 / f64::from(timescale.max(1));
    let shown = edited as f64 / f64::from(movie_timescale.max(1));
    let behind = in_seconds(i64::try_from(length.unwrap_or(0)).unwrap_or(0) - media_start) - shown;
    let parts = edits.iter().filter(|edit| edit.media_time >= 0).count();
    let reach = sample_table::reach(table, size);
    let missing = reach.and_then(|reach| reach.missing_from);
    let header = child(trak, b"tkhd")?;
    let id = be32(header, if header.first() == Some(&1) { 20 } else { 12 })?;
    Some(IndexTrack {
        id,
        handler,
        format: child(table, b"stsd")
            .and_then(|stsd| stsd.get(12..16)?.try_into().ok())
            .unwrap_or_default(),
        timescale,
        duration: seconds(edited, movie_timescale).or_else(|| length.and_then(|length| seconds(length, timescale))),
        samples: count_samples(&runs),
        pace: pace_of(&runs, timescale),
        quickest,
        entry: child(table, b"stsd").and_then(VideoEntry::first).unwrap_or_default(),
        skips: media_start > 0,
        is_edited: parts > 1
            || in_seconds(media_start - codec_delay) > CUT_THRESHOLD_S
            || (edited > 0 && edits.iter().all(|edit| edit.media_time >= 0) && behind > CUT_THRESHOLD_S),
        title: descendant(trak, &[b"udta", b"name"])
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .unwrap_or_default(),
        shown: shown::read(header, child(table, b"stsd").unwrap_or_default()),
        available: missing.map(|ticks| Duration::from_secs_f64(ticks as f64 / f64::from(timescale.max(1)))),
        data_end: reach.map(|reach| reach.end),
    })
}

/// Runs of samples of one length each.
fn runs(stts: &[u8]) -> Vec<(u64, u32)> {
    let entries = stts.get(8..).unwrap_or_default().chunks_exact(8);
    entries
        .take(be32(stts, 4).unwrap_or(0) as usize)
        .filter_map(|entry| Some((u64::from(be32(entry, 0)?), be32(entry, 4)?)))
        .filter(|(count, _)| *count > 0)
        .collect()
}

fn count_samples(runs: &[(u64, u32)]) -> u64 {
    runs.iter().fold(0u64, |sum, (count, _)| sum.saturating_add(*count))
}

/// Whether samples come at one pace; the last one's length may differ.
fn pace_of(runs: &[(u64, u32)], timescale: u32) -> Pace {
    let judged = match runs {
        [rest @ .., (1, _)] if !rest.is_empty() => rest,
        all => all,
    };
    let least = judged.iter().map(|(_, delta)| *delta).min().unwrap_or(0);
    let most = judged.iter().map(|(_, delta)| *delta).max().unwrap_or(0);
    match most - least {
        _ if least == 0 || timescale == 0 => Pace::Unknown,
        0 => reduced(timescale, least),
        1 if least >= 8 => Pace::Rounded,
        _ => Pace::Variable,
    }
}

/// Files in fragments have no table of samples; the first fragment shows the pace.
fn pace_by_fragment(index: &mut Index, moof: &[u8]) {
    for traf in children(moof).filter(|found| found.kind == *b"traf") {
        let Some((id, default_length)) = child(traf.body, b"tfhd").and_then(fragment_header) else {
            continue;
        };
        let runs: Vec<_> = children(traf.body)
            .filter(|found| found.kind == *b"trun")
            .flat_map(|found| fragment_run(found.body, default_length).unwrap_or_default())
            .collect();
        for track in index.tracks.iter_mut().filter(|track| track.id == id) {
            // The first sample of a recording may be stretched to where the sound starts.
            let judged = if runs.len() > 2 { runs.get(1..).unwrap_or_default() } else { &runs };
            track.pace = pace_of(judged, track.timescale);
        }
    }
}

/// Track and default length of samples.
pub(super) fn fragment_header(tfhd: &[u8]) -> Option<(u32, u32)> {
    let flags = be32(tfhd, 0)?;
    let in_front = [(1, 8), (2, 4)]
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, bytes)| bytes)
        .sum::<usize>();
    let default_length = if flags & 8 != 0 { be32(tfhd, 8 + in_front)? } else { 0 };
    Some((be32(tfhd, 4)?, default_length))
}

pub(super) fn fragment_run(trun: &[u8], default_length: u32) -> Option<Vec<(u64, u32)>> {
    let flags = be32(trun, 0)?;
    let samples = be32(trun, 4)?;
    if flags & 0x100 == 0 {
        return Some(vec![(u64::from(samples), default_length)]);
    }
    let in_front = 8 + [1, 4].iter().filter(|bit| flags & **bit != 0).count() * 4;
    let entry_bytes = [0x100, 0x200, 0x400, 0x800].iter().filter(|bit| flags & **bit != 0).count() * 4;
    let entries = trun.get(in_front..)?.chunks_exact(entry_bytes).take(samples as usize);
    Some(entries.filter_map(|entry| Some((1, be32(entry, 0)?))).collect())
}

fn reduced(num: u32, den: u32) -> Pace {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    Pace::Constant(num / a.max(1), den / a.max(1))
}

struct Edit {
    length: u64,
    /// -1: nothing is shown.
    media_time: i64,
}

fn read_edits(elst: &[u8]) -> Vec<Edit> {
    let wide = elst.first() == Some(&1);
    let entry_bytes = if wide { 20 } else { 12 };
    let entries = elst.get(8..).unwrap_or_default().chunks_exact(entry_bytes);
    let read = |entry: &[u8]| {
        Some(if wide {
            Edit {
                length: be64(entry, 0)?,
                media_time: be64(entry, 8)? as i64,
            }
        } else {
            Edit {
                length: u64::from(be32(entry, 0)?),
                media_time: i64::from(be32(entry, 4)? as i32),
            }
        })
    };
    entries.take(be32(elst, 4).unwrap_or(0) as usize).filter_map(read).collect()
}

fn first_composition_offset(ctts: &[u8]) -> Option<i64> {
    let raw = be32(ctts, 12)?;
    Some(if ctts.first() == Some(&1) {
        i64::from(raw as i32)
    } else {
        i64::from(raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(stts: &[u8], timescale: u32) -> (u64, Pace) {
        let runs = runs(stts);
        (count_samples(&runs), pace_of(&runs, timescale))
    }

    fn stts(runs: &[(u32, u32)]) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend((runs.len() as u32).to_be_bytes());
        for (count, delta) in runs {
            body.extend(count.to_be_bytes());
            body.extend(delta.to_be_bytes());
        }
        body
    }

    #[test]
    fn the_pace_is_told_apart_from_rounding_and_from_variable_rates() {
        assert_eq!(paced(&stts(&[(90, 512)]), 15_360), (90, Pace::Constant(30, 1)));
        assert_eq!(paced(&stts(&[(89, 1001), (1, 900)]), 30_000), (90, Pace::Constant(30_000, 1001)));
        assert_eq!(paced(&stts(&[(1, 33), (1, 34), (1, 33)]), 1000), (3, Pace::Rounded));
        assert_eq!(paced(&stts(&[(5, 512), (5, 1024), (3, 512)]), 15_360).1, Pace::Variable);
        assert_eq!(paced(&stts(&[]), 1000), (0, Pace::Unknown));
    }

    #[test]
    fn a_table_that_claims_more_than_it_has_is_read_as_far_as_it_goes() {
        let mut body = stts(&[(5, 10)]);
        body[7] = 200;
        assert_eq!(paced(&body, 100).0, 5);
    }
}
