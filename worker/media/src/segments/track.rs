//! From packets to reported members: each track is cut, written and told of as it grows; the set's tracks are told together.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{ChildMember, Failure, SetMember, SetTrack},
};
use sha2::{Digest, Sha256};

use super::{
    fmp4::{self, Part},
    streams::{Feed, Segment, Streams},
    ts,
};
use crate::{
    failure,
    job::Members,
    pass::counters::Counters,
    subtitles::{self, Cue},
};

/// What is known of a track before its first packet.
#[derive(Debug, Clone, Default)]
pub struct TrackPlan {
    pub language: String,
    pub display_name: String,
    pub is_default: bool,
    /// Segments that are committed already, and the checksum of the initialisation segment that they belong to.
    pub committed: i32,
    pub init_sha256: String,
}

/// A set while it grows. Locks: a track's before the set's.
pub struct SetWriter {
    set_id: String,
    folder: PathBuf,
    span: Duration,
    is_ts: bool,
    members: Members,
    node: usize,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tracks: Vec<Option<SetTrack>>,
    waiting: Vec<ChildMember>,
    open: usize,
    texts: Vec<TextTrack>,
    failure: Option<Failure>,
}

/// A track of subtitles: it is cut where the first track is.
#[derive(Clone)]
struct TextTrack {
    number: usize,
    committed: i32,
    cues: Arc<Vec<Cue>>,
}

/// A file of a segment.
struct Piece {
    number: usize,
    index: i32,
    suffix: &'static str,
    bytes: Vec<u8>,
    sha256: String,
    /// Bytes before the first picture and of it.
    picture: (usize, usize),
    /// In units of the time scale.
    start: i64,
    length: i64,
    timescale: u32,
}

/// One track while it grows.
struct Track {
    number: usize,
    plan: TrackPlan,
    streams: Streams,
    is_told: bool,
}

impl SetWriter {
    pub fn new(set_id: &str, folder: PathBuf, span: Duration, is_ts: bool, members: Members, node: usize, counters: Arc<Counters>) -> Self {
        Self {
            set_id: set_id.to_owned(),
            folder,
            span,
            is_ts,
            members,
            node,
            counters,
            state: Mutex::default(),
        }
    }

    /// Takes the packets that come to pads as the next track; the first one says where its segments begin.
    pub fn take(self: &Arc<Self>, feeds: Vec<Feed>, plan: TrackPlan) {
        let number = self.state.lock().map_or(0, |mut state| {
            state.tracks.push(None);
            state.open += 1;
            state.tracks.len() - 1
        });
        let entries: Vec<gst::Pad> = feeds.iter().map(|feed| feed.entry.clone()).collect();
        let track = Arc::new(Mutex::new(Track {
            number,
            streams: Streams::new(&feeds, self.span, &plan.language),
            plan,
            is_told: false,
        }));
        for (stream, entry) in entries.into_iter().enumerate() {
            let (set, track) = (self.clone(), track.clone());
            entry.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
                set.counters.tick();
                if let Err(failure) = set.comes(&track, stream, pad, info) {
                    set.fail(pad, failure);
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Something comes to a pad.
    fn comes(&self, track: &Mutex<Track>, stream: usize, pad: &gst::Pad, info: &gst::PadProbeInfo) -> Result<(), Failure> {
        let mut track = track.lock().map_err(|_| broken("a writer of segments panicked"))?;
        if let Some(buffer) = info.buffer() {
            track.streams.push(stream, pad, buffer).map_err(|what| broken(&what))?;
        } else if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            track.streams.end(stream);
        } else {
            return Ok(());
        }
        if !track.is_told && track.streams.are_known() {
            self.begin(&track)?;
            track.is_told = true;
        }
        while let Some(segment) = track.streams.next_segment() {
            self.write(&track, &segment)?;
        }
        if track.streams.have_ended() {
            self.ended();
        }
        Ok(())
    }

    /// Adds a track of subtitles behind those that were taken.
    pub fn add_text(&self, plan: TrackPlan, cues: Vec<Cue>) {
        let Ok(mut state) = self.state.lock() else { return };
        let number = state.tracks.len();
        state.tracks.push(Some(SetTrack {
            number: i32::try_from(number).unwrap_or(i32::MAX),
            kind: "subtitle".to_owned(),
            codecs: "wvtt".to_owned(),
            language: plan.language,
            display_name: plan.display_name,
            is_default: plan.is_default,
            timescale: 1000,
            ..SetTrack::default()
        }));
        state.texts.push(TextTrack {
            number,
            committed: plan.committed,
            cues: Arc::new(cues),
        });
    }

    /// The part of each track of subtitles that is seen during a segment of the first track.
    fn write_texts(&self, segment: &Segment, timescale: u32) -> Result<(), Failure> {
        let texts = self.state.lock().map(|state| state.texts.clone()).unwrap_or_default();
        let (start, end) = (segment.start.max(0), segment.end);
        let time = |ticks: i64| Duration::from_secs_f64(ticks.max(0) as f64 / f64::from(timescale.max(1)));
        for text in texts.iter().filter(|text| segment.index >= i64::from(text.committed)) {
            let seen = |cue: &&Cue| cue.end > time(start) && cue.start < time(end);
            let cues: Vec<Cue> = text.cues.iter().filter(seen).cloned().collect();
            let bytes = subtitles::as_webvtt(&cues, if self.is_ts { ts::START_90K } else { 0 }).into_bytes();
            self.tell(Piece {
                number: text.number,
                index: i32::try_from(segment.index).unwrap_or(i32::MAX),
                suffix: "vtt",
                sha256: sha256_of(&bytes),
                bytes,
                picture: (0, 0),
                start,
                length: end - start,
                timescale,
            })?;
        }
        Ok(())
    }

    /// What went wrong, if anything did, once the pipeline has stopped.
    pub fn finish(&self) -> Result<(), Failure> {
        let mut state = self.state.lock().map_err(|_| broken("a writer of segments panicked"))?;
        match state.failure.take() {
            Some(failure) => Err(failure),
            None if state.tracks.iter().any(Option::is_none) => Err(broken("a track of the stream got no packets")),
            None => Ok(()),
        }
    }

    /// The node ends: `finish` tells why.
    fn fail(&self, pad: &gst::Pad, failure: Failure) {
        let is_first = self.state.lock().is_ok_and(|mut state| {
            let is_first = state.failure.is_none();
            state.failure.get_or_insert(failure);
            is_first
        });
        if let Some(element) = pad.parent_element().filter(|_| is_first) {
            gst::element_error!(element, gst::StreamError::Mux, ["segments cannot be written"]);
        }
    }

    /// The track is known: its initialisation segment is written, and the set's tracks are told once all are known.
    fn begin(&self, track: &Track) -> Result<(), Failure> {
        let configs = track.streams.configs();
        let Some(config) = configs.first() else { return Ok(()) };
        let sound = configs.last().filter(|last| !last.is_video);
        let told = SetTrack {
            number: i32::try_from(track.number).unwrap_or(i32::MAX),
            kind: if config.is_video { "video" } else { "audio" }.to_owned(),
            codecs: configs.iter().map(|config| config.codecs.as_str()).collect::<Vec<_>>().join(","),
            width_px: config.width,
            height_px: config.height,
            frame_rate_num: config.frame_rate.0,
            frame_rate_den: config.frame_rate.1,
            sample_rate_hz: sound.map_or(0, |sound| sound.sample_rate),
            channels: sound.map_or(0, |sound| sound.channels),
            language: track.plan.language.clone(),
            display_name: track.plan.display_name.clone(),
            is_default: track.plan.is_default,
            timescale: i32::try_from(config.timescale).unwrap_or(i32::MAX),
            video_range: config.video_range.to_owned(),
        };
        if let Ok(mut state) = self.state.lock() {
            if let Some(place) = state.tracks.get_mut(track.number) {
                *place = Some(told);
            }
            let known: Option<Vec<SetTrack>> = state.tracks.iter().cloned().collect();
            if let Some(tracks) = known {
                (self.members)(ChildMember {
                    set_id: self.set_id.clone(),
                    tracks,
                    ..ChildMember::default()
                });
                for member in std::mem::take(&mut state.waiting) {
                    (self.members)(member);
                }
            }
        }
        if self.is_ts {
            return Ok(());
        }
        let bytes = fmp4::init(&configs);
        let sha256 = sha256_of(&bytes);
        if track.plan.committed > 0 && !track.plan.init_sha256.is_empty() {
            return if track.plan.init_sha256 == sha256 {
                Ok(())
            } else {
                Err(broken(
                    "this worker's encoder begins the stream in another way than the one that began it",
                ))
            };
        }
        self.tell(Piece {
            number: track.number,
            index: -1,
            suffix: self.suffix(),
            bytes,
            sha256,
            picture: (0, 0),
            start: 0,
            length: 0,
            timescale: config.timescale,
        })
    }

    fn write(&self, track: &Track, segment: &Segment) -> Result<(), Failure> {
        let configs = track.streams.configs();
        let Some(config) = configs.first() else { return Ok(()) };
        if track.number == 0 {
            self.write_texts(segment, config.timescale)?;
        }
        if segment.index < i64::from(track.plan.committed) {
            return Ok(());
        }
        let parts: Vec<Part> = configs.iter().zip(&segment.parts).map(|(config, part)| part.of(config)).collect();
        let (bytes, picture) = if self.is_ts {
            (ts::segment(segment.index, &parts), (0, 0))
        } else {
            let written = fmp4::segment(u32::try_from(segment.index + 1).unwrap_or(u32::MAX), &parts);
            (written.bytes, if config.is_video { written.first_picture } else { (0, 0) })
        };
        self.tell(Piece {
            number: track.number,
            index: i32::try_from(segment.index).unwrap_or(i32::MAX),
            suffix: self.suffix(),
            sha256: sha256_of(&bytes),
            bytes,
            picture,
            start: segment.start,
            length: segment.end - segment.start,
            timescale: config.timescale,
        })
    }

    fn suffix(&self) -> &'static str {
        if self.is_ts { "ts" } else { "m4s" }
    }

    fn tell(&self, piece: Piece) -> Result<(), Failure> {
        let (number, index) = (piece.number, piece.index);
        let path = self.folder.join(format!("{}-{number}-{index}.{}", self.set_id, piece.suffix));
        std::fs::write(&path, &piece.bytes).map_err(|error| {
            failure::node(
                ErrorReason::DiskFull,
                format!("a segment could not be written: {error}"),
                "give the worker more scratch space",
            )
        })?;
        let span = |ticks: i64| {
            Duration::from_secs_f64(ticks.max(0) as f64 / f64::from(piece.timescale.max(1)))
                .try_into()
                .ok()
        };
        let told = ChildMember {
            set_id: self.set_id.clone(),
            tracks: Vec::new(),
            member: Some(SetMember {
                track: i32::try_from(number).unwrap_or(i32::MAX),
                index,
                size_bytes: piece.bytes.len() as i64,
                sha256: piece.sha256,
                start: span(piece.start),
                duration: span(piece.length),
                i_frame_offset: piece.picture.0 as i64,
                i_frame_bytes: piece.picture.1 as i64,
            }),
            path: path.display().to_string(),
        };
        let Ok(mut state) = self.state.lock() else { return Ok(()) };
        if state.failure.is_some() {
            return Ok(());
        }
        if state.tracks.iter().all(Option::is_some) {
            drop(state);
            (self.members)(told);
        } else {
            state.waiting.push(told);
        }
        Ok(())
    }

    /// A track has ended.
    fn ended(&self) {
        let is_last = self.state.lock().is_ok_and(|mut state| {
            state.open = state.open.saturating_sub(1);
            state.open == 0
        });
        if is_last && let Some(node) = self.counters.nodes.get(self.node) {
            node.done.store(true, Relaxed);
        }
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn broken(message: &str) -> Failure {
    failure::node(
        ErrorReason::PipelineFailed,
        format!("the stream's segments could not be made: {message}"),
        "report it with the task's nodes",
    )
}
