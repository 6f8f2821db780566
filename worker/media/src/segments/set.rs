//! From packets to members of a set: groups of tracks are cut, checked, and handed to the thread that writes them and tells of them.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, mpsc::SyncSender},
    thread::JoinHandle,
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{
    v1::ErrorReason,
    worker::v1::{Failure, SetMember, SetTrack},
};

use super::{
    group::{Group, Tracks, nothing_to_show},
    outlet::{Body, Outlet, Piece, Trouble, Work},
    stream::Feed,
    streams::Segment,
    ts,
};
use crate::{
    failure,
    finish::Turn,
    job::Members,
    pass::counters::Counters,
    subtitles::{self, Cue},
};

/// Pieces that wait for the thread that writes them; beyond, the pass waits.
const WAITING: usize = 8;

/// What is known of a set before its first packet.
pub struct SetPlan {
    pub set_id: String,
    pub folder: PathBuf,
    /// Length of a segment.
    pub span: Duration,
    pub is_ts: bool,
    /// Whether subtitles are told whole too, for DASH.
    pub whole_texts: bool,
    /// Whether the first track is a film, whose length sound keeps.
    pub has_film: bool,
    pub members: Members,
    pub node: usize,
    pub counters: Arc<Counters>,
}

/// What is known of a track before its first packet.
#[derive(Debug, Clone, Default)]
pub struct TrackPlan {
    pub language: String,
    pub display_name: String,
    pub is_default: bool,
    /// How its pictures are turned for display.
    pub turn: Turn,
    /// Segments that are committed already, and the checksum of the initialisation segment that they belong to.
    pub committed: i32,
    pub init_sha256: String,
}

/// A track of subtitles: it is cut where the first track is.
struct TextTrack {
    number: usize,
    committed: i32,
    cues: Vec<Cue>,
}

/// A set while it grows. Locks: a group's before the film's end.
pub struct SetWriter {
    plan: SetPlan,
    texts: Vec<TextTrack>,
    film_end: Mutex<FilmEnd>,
    works: Mutex<Option<SyncSender<Work>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    trouble: Arc<Trouble>,
    groups: Mutex<Vec<Arc<Mutex<Group>>>>,
}

/// Where the film ends, and groups of sound that ended before that was known.
#[derive(Default)]
struct FilmEnd {
    ns: Option<i128>,
    parked: Vec<Arc<Mutex<Group>>>,
}

impl SetWriter {
    /// Takes the packets that come to pads, a group of tracks after another, and tells of subtitles behind them.
    pub fn start(plan: SetPlan, groups: Vec<Tracks>, texts: Vec<(TrackPlan, Vec<Cue>)>) -> Result<Arc<Self>, Failure> {
        let media: usize = groups.iter().map(|group| group.plans.len()).sum();
        let trouble = Arc::new(Trouble::default());
        let (works, queue) = std::sync::mpsc::sync_channel(WAITING + media + 2 * texts.len());
        let outlet = Outlet {
            set_id: plan.set_id.clone(),
            folder: plan.folder.clone(),
            members: plan.members.clone(),
            node: plan.node,
            counters: plan.counters.clone(),
            tracks: media + texts.len(),
            groups: groups.len(),
            trouble: trouble.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("segments".into())
            .spawn(move || outlet.run(&queue))
            .map_err(|error| broken(&error.to_string()))?;
        let numbered = (media..).zip(&texts).map(|(number, (plan, cues))| TextTrack {
            number,
            committed: plan.committed,
            cues: cues.clone(),
        });
        let set = Arc::new(Self {
            texts: numbered.collect(),
            plan,
            film_end: Mutex::default(),
            works: Mutex::new(Some(works)),
            thread: Mutex::new(Some(thread)),
            trouble,
            groups: Mutex::default(),
        });
        let mut first = 0;
        for group in groups {
            let count = group.plans.len();
            set.take(group, first);
            first += count;
        }
        for (number, (plan, cues)) in (media..).zip(texts) {
            set.tell_text(number, plan, &cues);
        }
        Ok(set)
    }

    /// Takes a group whose first track has a number.
    fn take(self: &Arc<Self>, tracks: Tracks, first: usize) {
        let entries: Vec<gst::Pad> = tracks.feeds.iter().map(|feed: &Feed| feed.entry.clone()).collect();
        let spool = self.plan.folder.join(format!("{}-{first}.waiting", self.plan.set_id));
        let group = Arc::new(Mutex::new(Group::new(tracks, first, self.plan.span, self.plan.is_ts, spool)));
        if let Ok(mut groups) = self.groups.lock() {
            groups.push(group.clone());
        }
        for (stream, entry) in entries.into_iter().enumerate() {
            if let Some(element) = entry.parent_element() {
                self.trouble.tell_by(&element);
            }
            let (set, group) = (Arc::downgrade(self), group.clone());
            entry.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
                if let Some(set) = set.upgrade() {
                    set.plan.counters.tick();
                    if let Err(failure) = set.comes(&group, stream, pad, info) {
                        set.trouble.fail(failure);
                    }
                }
                gst::PadProbeReturn::Ok
            });
        }
    }

    /// Something comes to a pad.
    fn comes(&self, shared: &Arc<Mutex<Group>>, stream: usize, pad: &gst::Pad, info: &gst::PadProbeInfo) -> Result<(), Failure> {
        let mut group = shared.lock().map_err(|_| broken("a writer of segments panicked"))?;
        if let Some(buffer) = info.buffer() {
            group.push(stream, pad, buffer)?;
        } else if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            let follows_film = self.plan.has_film && group.first > 0 && stream == 0;
            let Some(until_ns) = self.film_ended(shared, follows_film) else {
                return Ok(());
            };
            group.end(stream, until_ns)?;
        } else {
            return Ok(());
        }
        self.go_on(&mut group)?;
        let film_end = group.film_end_ns().filter(|_| self.plan.has_film);
        drop(group);
        film_end.map_or(Ok(()), |end| self.end_parked(end))
    }

    /// Up to where a stream that has ended goes on in silence; the outer `None`: that is not known, and the group waits for it.
    fn film_ended(&self, group: &Arc<Mutex<Group>>, follows_film: bool) -> Option<Option<i128>> {
        if !follows_film {
            return Some(None);
        }
        let mut film = self.film_end.lock().ok()?;
        if film.ns.is_none() {
            film.parked.push(group.clone());
        }
        film.ns.map(Some)
    }

    /// The film has ended: so do groups of sound that waited for that.
    fn end_parked(&self, end_ns: i128) -> Result<(), Failure> {
        let parked = self.film_end.lock().map_or(Vec::new(), |mut film| {
            film.ns = Some(end_ns);
            std::mem::take(&mut film.parked)
        });
        for group in parked {
            let mut group = group.lock().map_err(|_| broken("a writer of segments panicked"))?;
            group.end(0, Some(end_ns))?;
            self.go_on(&mut group)?;
        }
        Ok(())
    }

    /// Hands on what a group has finished.
    fn go_on(&self, group: &mut Group) -> Result<(), Failure> {
        while let Some(segment) = group.next_segment()? {
            for track in group.begin(&segment)? {
                self.hand_on(Work::Track(track));
            }
            if group.first == 0 {
                self.write_texts(&segment, group.timescale());
            }
            for piece in group.pieces(segment)? {
                self.hand_on(Work::Piece(Box::new(piece)));
            }
        }
        if group.has_just_ended() {
            self.hand_on(Work::End);
        }
        Ok(())
    }

    /// A failed set takes nothing more; its thread tells why.
    fn hand_on(&self, work: Work) {
        let works = self.works.lock().ok().and_then(|works| works.clone());
        if let Some(works) = works {
            let _ = works.send(work);
        }
    }

    /// Tells of a track of subtitles, and of all of it where one file is asked for.
    fn tell_text(&self, number: usize, plan: TrackPlan, cues: &[Cue]) {
        let is_begun = plan.committed > 0;
        self.hand_on(Work::Track(SetTrack {
            number: i32::try_from(number).unwrap_or(i32::MAX),
            kind: "subtitle".to_owned(),
            codecs: "wvtt".to_owned(),
            language: plan.language,
            display_name: plan.display_name,
            is_default: plan.is_default,
            timescale: 1000,
            ..SetTrack::default()
        }));
        if self.plan.whole_texts && !is_begun {
            let bytes = subtitles::as_webvtt(cues, 0).into_bytes();
            self.hand_on(Work::Piece(Box::new(text_piece(number, -1, (0, 0, 1000), bytes))));
        }
    }

    /// The part of each track of subtitles that is seen during a segment of the first track.
    fn write_texts(&self, segment: &Segment, timescale: u32) {
        let (start, end) = (segment.start.max(0), segment.end);
        let time = |ticks: i64| Duration::from_secs_f64(ticks.max(0) as f64 / f64::from(timescale.max(1)));
        for text in self.texts.iter().filter(|text| segment.index >= i64::from(text.committed)) {
            let seen = |cue: &&Cue| cue.end > time(start) && cue.start < time(end);
            let cues: Vec<Cue> = text.cues.iter().filter(seen).cloned().collect();
            let bytes = subtitles::as_webvtt(&cues, if self.plan.is_ts { ts::START_90K } else { 0 }).into_bytes();
            let index = i32::try_from(segment.index).unwrap_or(i32::MAX);
            let piece = text_piece(text.number, index, (start, end - start, timescale), bytes);
            self.hand_on(Work::Piece(Box::new(piece)));
        }
    }

    /// Waits for what is still to be written, once the pipeline has stopped; tells what went wrong, if anything did.
    pub fn finish(&self) -> Result<Finished, Failure> {
        drop(self.works.lock().map(|mut works| works.take()));
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            return Err(broken("the thread that writes segments panicked"));
        }
        if let Some(failure) = self.trouble.take() {
            return Err(failure);
        }
        let groups = self.groups.lock().map(|groups| groups.clone()).unwrap_or_default();
        let mut finished = Finished::default();
        for group in groups {
            let group = group.lock().map_err(|_| broken("a writer of segments panicked"))?;
            if !group.has_begun() {
                return Err(nothing_to_show());
            }
            finished.orphans += group.orphans();
        }
        Ok(finished)
    }
}

/// What is told of a set once it is whole.
#[derive(Debug, Default, Clone, Copy)]
pub struct Finished {
    /// Copied pictures that name parameter sets which nothing told.
    pub orphans: u64,
}

/// `times`: start, length and time scale.
fn text_piece(number: usize, index: i32, (start, length, timescale): (i64, i64, u32), bytes: Vec<u8>) -> Piece {
    Piece {
        member: SetMember {
            track: i32::try_from(number).unwrap_or(i32::MAX),
            index,
            ..SetMember::default()
        },
        start,
        length,
        timescale,
        suffix: "vtt",
        body: Body::Bytes(bytes),
    }
}

pub fn broken(message: &str) -> Failure {
    failure::node(
        ErrorReason::PipelineFailed,
        format!("the stream's segments could not be made: {message}"),
        "report it with the task's nodes",
    )
}
