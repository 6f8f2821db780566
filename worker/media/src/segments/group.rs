//! Tracks that are cut at the same times, and what is told of them: one whose segments hold all streams, or one for each stream.

use std::{path::PathBuf, time::Duration};

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{Failure, SetMember, SetTrack},
};

use super::{
    audit::Audit,
    boundary::Boundary,
    config::TrackConfig,
    init,
    outlet::{self, Body, Piece, sha256_of},
    set::{TrackPlan, broken},
    stream::Feed,
    streams::{Part, Segment, Streams},
};
use crate::failure;

/// How far a frame rate may lie beside the one that headers tell.
const RATE_SLACK: f64 = 0.1;

/// Feeds that are cut together, and the tracks that they make.
#[derive(Debug)]
pub struct Tracks {
    pub feeds: Vec<Feed>,
    /// One for each feed, or one for all: then every segment holds all streams.
    pub plans: Vec<TrackPlan>,
}

/// A group while it grows.
pub struct Group {
    /// Number of its first track.
    pub first: usize,
    plans: Vec<TrackPlan>,
    is_ts: bool,
    streams: Streams,
    audits: Vec<Audit>,
    /// By track: initialisation sections that were told; empty until the tracks are.
    told: Vec<usize>,
    has_ended: bool,
}

impl Group {
    pub fn new(tracks: Tracks, first: usize, span: Duration, is_ts: bool, spool: PathBuf) -> Self {
        let Tracks { feeds, plans } = tracks;
        let is_shared = plans.len() < feeds.len();
        let language = |number: usize| {
            // Of a film with sound in it, the language is the sound's.
            let plan = if is_shared {
                plans.first().filter(|_| number > 0)
            } else {
                plans.get(number)
            };
            plan.map(|plan| plan.language.clone()).unwrap_or_default()
        };
        let languages: Vec<String> = (0..feeds.len()).map(language).collect();
        Self {
            first,
            is_ts,
            streams: Streams::new(&feeds, span, &languages, spool),
            audits: feeds.iter().map(|_| Audit::default()).collect(),
            plans,
            told: Vec::new(),
            has_ended: false,
        }
    }

    fn is_shared(&self) -> bool {
        self.plans.len() < self.audits.len()
    }

    pub fn push(&mut self, stream: usize, pad: &gst::Pad, buffer: &gst::BufferRef) -> Result<(), Failure> {
        self.streams.push(stream, pad, buffer).map_err(|what| self.unfit(&what))
    }

    pub fn end(&mut self, stream: usize, until_ns: Option<i128>) -> Result<(), Failure> {
        self.streams.end(stream, until_ns).map_err(|what| self.broken(&what))
    }

    pub fn next_segment(&mut self) -> Result<Option<Segment>, Failure> {
        self.streams.next_segment().map_err(|what| self.broken(&what))
    }

    /// A full disk is nobody else's fault.
    fn broken(&self, what: &str) -> Failure {
        self.streams.unwritten().map_or_else(|| broken(what), outlet::unwritten)
    }

    /// Of what is copied, what does not fit is the input's fault.
    fn unfit(&self, what: &str) -> Failure {
        if !self.streams.are_cut_at_own_keys() || self.streams.unwritten().is_some() {
            return self.broken(what);
        }
        failure::data(
            ErrorReason::Unsupported,
            format!("the stream cannot be copied into segments: {what}"),
            "encode it instead of copying it",
        )
    }

    pub fn timescale(&self) -> u32 {
        self.config(0).map_or(1, |config| config.timescale)
    }

    fn config(&self, stream: usize) -> Option<&TrackConfig> {
        self.streams.configs().get(stream).and_then(|configs| configs.first())
    }

    /// Where the film ends, once this group has ended and is the film's.
    pub fn film_end_ns(&self) -> Option<i128> {
        (self.first == 0 && self.has_ended).then(|| self.streams.first_end_ns()).flatten()
    }

    /// Whether it has ended, asked for the first time.
    pub fn has_just_ended(&mut self) -> bool {
        let before = std::mem::replace(&mut self.has_ended, self.streams.have_ended());
        self.has_ended && !before
    }

    pub fn orphans(&self) -> u64 {
        self.streams.orphans()
    }

    /// Whether it got something to tell of.
    pub fn has_begun(&self) -> bool {
        !self.told.is_empty()
    }

    /// Tells of the tracks before their first segment.
    pub fn begin(&mut self, segment: &Segment) -> Result<Vec<SetTrack>, Failure> {
        if self.has_begun() {
            return Ok(Vec::new());
        }
        self.told = vec![0; self.plans.len()];
        let tracks = self.plans.iter().enumerate();
        tracks.map(|(track, plan)| self.track(track, plan, segment)).collect()
    }

    fn track(&self, track: usize, plan: &TrackPlan, segment: &Segment) -> Result<SetTrack, Failure> {
        let configs = self.configs_of(track);
        let config = configs.first().ok_or_else(nothing_to_show)?;
        let sound = configs.last().filter(|last| !last.is_video);
        let rate = segment.parts.get(track).map_or(config.frame_rate, |part| frame_rate(config, part));
        Ok(SetTrack {
            number: i32::try_from(self.first + track).unwrap_or(i32::MAX),
            kind: if config.is_video { "video" } else { "audio" }.to_owned(),
            codecs: configs.iter().map(|config| config.codecs.as_str()).collect::<Vec<_>>().join(","),
            width_px: config.width,
            height_px: config.height,
            frame_rate_num: rate.0,
            frame_rate_den: rate.1,
            sample_rate_hz: sound.map_or(0, |sound| sound.sample_rate),
            channels: sound.map_or(0, |sound| sound.channels),
            language: plan.language.clone(),
            display_name: plan.display_name.clone(),
            is_default: plan.is_default,
            timescale: i32::try_from(config.timescale).unwrap_or(i32::MAX),
            video_range: config.video_range.to_owned(),
            own_keys: self.streams.are_cut_at_own_keys(),
        })
    }

    /// The first configurations of the streams in a track's segments.
    fn configs_of(&self, track: usize) -> Vec<&TrackConfig> {
        let is_of_track = |number: &usize| self.is_shared() || *number == track;
        let all = self.streams.configs().into_iter().enumerate();
        all.filter(|(number, _)| is_of_track(number))
            .filter_map(|(_, configs)| configs.first())
            .collect()
    }

    /// The files of a segment, behind initialisation sections that it is the first to need.
    pub fn pieces(&mut self, segment: Segment) -> Result<Vec<Piece>, Failure> {
        let mut pieces = self.sections()?;
        let timescale = self.timescale();
        let of_first = (segment.start, segment.end - segment.start, timescale);
        let member = |track: usize, boundary: Boundary| SetMember {
            track: i32::try_from(self.first + track).unwrap_or(i32::MAX),
            index: i32::try_from(segment.index).unwrap_or(i32::MAX),
            discontinuity: boundary.discontinuity,
            init: i32::try_from(boundary.init).unwrap_or(i32::MAX),
            needs_previous: segment.is_open && track == 0,
            captions_608: segment.captions.line21 && track == 0,
            captions_708: segment.captions.digital && track == 0,
            ..SetMember::default()
        };
        let members: Vec<SetMember> = segment
            .boundaries
            .iter()
            .enumerate()
            .map(|(track, boundary)| member(track, *boundary))
            .collect();
        let mut parts = Vec::with_capacity(segment.parts.len());
        for (stream, (part, boundary)) in segment.parts.into_iter().zip(&segment.boundaries).enumerate() {
            let times = (part.start, part.end - part.start, self.streams.timescale(stream));
            parts.push((times, self.checked(stream, part, *boundary, segment.index)?));
        }
        if self.is_shared() {
            let body = Body::Transport(parts.into_iter().filter_map(|(_, part)| part).collect());
            pieces.extend(members.into_iter().next().map(|member| self.piece(member, of_first, body)));
        } else {
            for (member, (times, part)) in members.into_iter().zip(parts) {
                let Some(part) = part.filter(|part| !part.packets.is_empty()) else {
                    continue;
                };
                let body = if self.is_ts {
                    Body::Transport(vec![part])
                } else {
                    Body::Fragment(Box::new(part))
                };
                pieces.push(self.piece(member, times, body));
            }
        }
        pieces.retain(|piece| piece.member.index < 0 || piece.member.index >= self.committed(piece.member.track));
        Ok(pieces)
    }

    fn committed(&self, track: i32) -> i32 {
        let plan = usize::try_from(track)
            .ok()
            .and_then(|track| self.plans.get(track.checked_sub(self.first)?));
        plan.map_or(0, |plan| plan.committed)
    }

    fn piece(&self, member: SetMember, (start, length, timescale): (i64, i64, u32), body: Body) -> Piece {
        Piece {
            member,
            start,
            length,
            timescale,
            suffix: if self.is_ts { "ts" } else { "m4s" },
            body,
        }
    }

    /// A stream's part of a segment, looked at; `None`: nothing is known of the stream.
    fn checked(&mut self, stream: usize, part: Part, boundary: Boundary, index: i64) -> Result<Option<outlet::Part>, Failure> {
        let configs = self.streams.configs().get(stream).copied().unwrap_or_default();
        let Some(config) = configs.get(boundary.init as usize).or(configs.first()).cloned() else {
            return Ok(None);
        };
        if part.packets.is_empty() && !self.is_shared() && !self.streams.is_over(stream) {
            return Err(self.unfit(&format!(
                "its sound has no packet in segment {index}, and silence of its codec is not known"
            )));
        }
        // Players that look at the first initialisation section alone find the sets of a later one here.
        let is_later = boundary.init > 0 && !self.is_ts;
        let part = outlet::Part {
            lead: if is_later { config.codec.packed_sets() } else { Vec::new() },
            config,
            packets: part.packets,
            end: part.decode_end,
            first_dts: part.first_dts,
        };
        if let Some(audit) = self.audits.get_mut(stream) {
            let looked = audit.look(&part.view());
            looked.map_err(|fault| self.unfit(&format!("something is wrong with segment {index}: {fault}")))?;
        }
        Ok(Some(part))
    }

    /// Initialisation sections that were not told yet; MPEG-TS has none.
    fn sections(&mut self) -> Result<Vec<Piece>, Failure> {
        let mut pieces = Vec::new();
        if self.is_ts {
            return Ok(pieces);
        }
        for (track, (configs, plan)) in self.streams.configs().into_iter().zip(&self.plans).enumerate() {
            let Some(told) = self.told.get_mut(track) else { continue };
            for (number, config) in configs.iter().enumerate().skip(*told) {
                let bytes = init::section(&[config], plan.turn);
                *told = number + 1;
                if number == 0 && plan.committed > 0 && !plan.init_sha256.is_empty() {
                    fits_committed(&bytes, plan)?;
                    continue;
                }
                let member = SetMember {
                    track: i32::try_from(self.first + track).unwrap_or(i32::MAX),
                    index: -1 - i32::try_from(number).unwrap_or(i32::MAX - 1),
                    ..SetMember::default()
                };
                pieces.push(Piece {
                    member,
                    start: 0,
                    length: 0,
                    timescale: config.timescale,
                    suffix: "m4s",
                    body: Body::Bytes(bytes),
                });
            }
        }
        Ok(pieces)
    }
}

fn fits_committed(section: &[u8], plan: &TrackPlan) -> Result<(), Failure> {
    if plan.init_sha256 == sha256_of(section) {
        return Ok(());
    }
    Err(broken(
        "this worker's encoder begins the stream in another way than the one that began it",
    ))
}

pub fn nothing_to_show() -> Failure {
    failure::data(
        ErrorReason::StreamMissing,
        "a stream of the input that the node needs holds nothing that could be shown",
        "leave the stream out, or record the file again",
    )
}

/// Frames per second: as the headers say, unless the pictures of a segment mostly stand otherwise.
fn frame_rate(config: &TrackConfig, part: &Part) -> (i32, i32) {
    let mut times: Vec<i64> = part.packets.iter().map(|packet| packet.pts).collect();
    times.sort_unstable();
    let mut steps: Vec<i64> = times.iter().zip(times.iter().skip(1)).map(|(one, next)| next - one).collect();
    steps.sort_unstable();
    let (Some(step), true) = (steps.get(steps.len() / 2).filter(|step| **step > 0), config.is_video) else {
        return config.frame_rate;
    };
    let measured = f64::from(config.timescale) / *step as f64;
    let told = f64::from(config.frame_rate.0) / f64::from(config.frame_rate.1.max(1));
    if (measured - told).abs() <= told * RATE_SLACK {
        return config.frame_rate;
    }
    ((measured * 1000.0).round() as i32, 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(step: i64) -> Part {
        let packet = |number: i64| super::super::Packet {
            pts: number * step,
            ..Default::default()
        };
        Part {
            packets: (0..20).map(packet).collect(),
            start: 0,
            end: 0,
            decode_end: 0,
            first_dts: None,
        }
    }

    #[test]
    fn frame_rates_that_headers_tell_wrong_are_measured() {
        let config = TrackConfig {
            is_video: true,
            timescale: 30_000,
            frame_rate: (30_000, 1001),
            ..TrackConfig::default()
        };
        assert_eq!(frame_rate(&config, &part(1001)), (30_000, 1001));
        assert_eq!(frame_rate(&config, &part(2002)), (14_985, 1000));
        assert_eq!(frame_rate(&config, &part(0)), (30_000, 1001));
    }
}
