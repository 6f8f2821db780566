//! One walk over the packets of a file: demuxed and parsed, never decoded. Probing stops at the first packets, checking goes to the end.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::video_frame::VideoBufferExt;

use crate::{
    probe::pace::Pace,
    reading::{self, Reading},
};

/// How often the walk looks whether it has seen enough.
const POLL: gst::ClockTime = gst::ClockTime::from_mseconds(4);
/// How long a walk for first packets waits for streams that bring none, once all streams are known.
const PATIENCE: Duration = Duration::from_secs(3);
/// Media time that other streams bring meanwhile, at most; as much without a new stream tells that a demuxer has found all.
const AHEAD: Duration = Duration::from_secs(20);
/// Packets of a film that are looked at: the first ones may be shown in another order.
const FILM_PACKETS: u64 = 8;
/// Bytes of a stream's first packet that are kept: parameter sets stand in them.
const BEGINNING_BYTES: usize = 1024;
/// How long the first tries wait for a stream to show; the last one waits to the deadline.
const FIRST_STREAM_PATIENCE: &[Duration] = &[Duration::from_millis(700), Duration::from_millis(1500), Duration::from_secs(3)];

/// Where a walk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When each stream of picture or sound has shown a packet.
    FirstPackets,
    /// At the end of the file.
    End,
}

/// What was seen of one stream.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// What tells it from the other streams of its file; empty where the file is one stream.
    pub id: String,
    /// Kind and codec of a stream that the file lists and no demuxer shows.
    pub unshown: Option<(&'static str, &'static str)>,
    pub caps: Option<gst::Caps>,
    pub tags: Vec<gst::TagList>,
    /// Whether the file asks players to take it, or not to: flags of its track.
    pub flags: Option<gst::StreamFlags>,
    /// The first bytes of its first packet, where headers stand.
    pub beginning: Vec<u8>,
    pub packets: u64,
    pub key_packets: u64,
    pub bytes: u64,
    /// Earliest presentation time, in the time of the media.
    pub first: Option<Duration>,
    /// How much later the file's clock is than the time of the media.
    pub late: Duration,
    /// Latest end of a packet.
    pub end: Option<Duration>,
    /// Longest packet.
    pub longest: Duration,
    /// Whether each packet is one field of a picture.
    pub is_of_fields: bool,
    /// Packets whose decoding time lies before that of the one before.
    pub disorder: u64,
    /// How its pictures follow each other.
    pub pace: Pace,
    /// Packets that begin behind the end of what is shown, as an edit list says it.
    pub hidden: u64,
    pub(crate) last_dts: Option<gst::ClockTime>,
}

impl Track {
    /// Name of the caps, such as `video/x-h264`; empty when the stream never told.
    pub fn media_type(&self) -> &str {
        self.caps
            .as_ref()
            .and_then(|caps| caps.structure(0))
            .map_or("", |structure| structure.name().as_str())
    }

    /// From the first to the last of its times.
    fn length(&self) -> Duration {
        let (first, end) = (self.first.unwrap_or_default(), self.end.unwrap_or_default());
        end.saturating_sub(first)
    }

    /// Whether it is picture or sound; text comes when it comes.
    pub fn is_timed(&self) -> bool {
        ["video/", "audio/", "image/"]
            .iter()
            .any(|kind| self.media_type().starts_with(kind))
    }
}

/// What was seen of a file.
#[derive(Debug, Default)]
pub struct Walk {
    /// In the order of the file.
    pub tracks: Vec<Track>,
    /// Tags of the whole file.
    pub tags: Vec<gst::TagList>,
    pub duration: Option<Duration>,
    /// Whether the walk went to the end of the file.
    pub whole: bool,
    /// Why the walk ended early; what was seen until then stands.
    pub trouble: Option<Trouble>,
}

impl Walk {
    /// From the first to the last of the streams' times, when the whole file was walked.
    pub fn length(&self) -> Option<Duration> {
        if !self.whole {
            return None;
        }
        let first = self.tracks.iter().filter_map(|track| track.first).min()?;
        let end = self.tracks.iter().filter_map(|track| track.end).max()?;
        end.checked_sub(first)
    }

    /// How much later the file's clock is than the time of the media, at least.
    pub fn late(&self) -> Duration {
        let timed = self.tracks.iter().filter(|track| track.is_timed() && track.packets > 0);
        timed.map(|track| track.late).min().unwrap_or_default()
    }
}

/// Why a walk ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("the type of the data is not known: {0}")]
    NotMedia(String),
    #[error("nothing installed reads it: {0}")]
    NoPlugin(String),
    #[error("{0}")]
    Broken(String),
    #[error("it was not read in time")]
    Deadline,
    #[error("the reader could not be built: {0}")]
    Setup(String),
}

/// Is told of each packet: the number of its track, the pad where its caps stand, and its presentation time in the time of the media.
pub type Watch = Arc<dyn Fn(usize, &gst::Pad, &gst::Buffer, Option<Duration>) + Send + Sync>;

/// What is told of packets, and what is to be called while they come.
pub type Watching<'a> = (Option<&'a Watch>, &'a dyn Fn());

/// Walks a file. Blocks, at most for the deadline.
pub fn walk(path: &Path, reading: &Reading, until: Until, deadline: Duration) -> Walk {
    walk_watched(path, reading, until, deadline, (None, &|| ()))
}

/// The same, telling of each packet. `tick`: to be called while packets come.
///
/// parsebin loses an error that its demuxer posts while it is being plugged, and then waits for ever; the same file shows its
/// error in the next try. So a try that shows no stream within its time is followed by another one.
pub fn walk_watched(path: &Path, reading: &Reading, until: Until, deadline: Duration, watch: Watching) -> Walk {
    let ends = Instant::now() + deadline;
    for patience in FIRST_STREAM_PATIENCE {
        let walk = walk_once(path, reading, until, ends, *patience, watch);
        if !(walk.tracks.is_empty() && walk.trouble == Some(Trouble::Deadline)) {
            return walk;
        }
    }
    walk_once(path, reading, until, ends, deadline, watch)
}

fn walk_once(path: &Path, reading: &Reading, until: Until, ends: Instant, patience: Duration, watch: Watching) -> Walk {
    let reader = match Reader::start(path, reading, watch.0) {
        Ok(reader) => reader,
        Err(error) => {
            return Walk {
                trouble: Some(Trouble::Setup(error)),
                ..Walk::default()
            };
        }
    };
    let trouble = reader.wait(until, ends, Instant::now() + patience, watch.1);
    if reader.packets() > 0 {
        watch.1();
    }
    let whole = until == Until::End && trouble.is_none();
    Walk {
        whole,
        ..reader.summary(trouble)
    }
}

/// A stream's sink and what went into it.
struct Tap {
    pad: gst::Pad,
    track: Arc<Mutex<Track>>,
}

impl Tap {
    /// What was seen, with the caps that stand at the pad where no packet came. A stream may change its caps on the way: it is described as
    /// it begins.
    fn seen(&self) -> Track {
        let mut track = lock(&self.track).clone();
        track.caps = track.caps.or_else(|| self.pad.current_caps());
        if let Some(start) = self.pad.sticky_event::<gst::event::StreamStart>(0) {
            track.flags = Some(start.stream_flags());
        }
        track
    }

    /// Whether it has shown what it is.
    fn is_shown(&self) -> bool {
        let track = self.seen();
        let wanted = if track.media_type().starts_with("video/") {
            FILM_PACKETS
        } else {
            1
        };
        track.packets >= wanted || (track.caps.is_some() && !track.is_timed())
    }
}

#[derive(Default)]
struct Shared {
    taps: Mutex<Vec<Tap>>,
    /// Ids in the order of the file, once all streams are known.
    order: Mutex<Option<Vec<String>>>,
}

struct Reader {
    pipeline: gst::Pipeline,
    shared: Arc<Shared>,
}

impl Reader {
    fn start(path: &Path, reading: &Reading, watch: Option<&Watch>) -> Result<Self, String> {
        let pipeline = gst::Pipeline::with_name("walk");
        let parser = reading::open(&pipeline, path, reading, "walk")?;
        let shared = Arc::new(Shared::default());
        connect(&parser, &pipeline, &shared, watch.cloned());
        // From here on dropping the reader stops the pipeline.
        let reader = Self { pipeline, shared };
        // An error of the state change is on the bus, with its reason.
        let _ = reader.pipeline.set_state(gst::State::Playing);
        Ok(reader)
    }

    fn wait(&self, until: Until, ends: Instant, first_stream_until: Instant, tick: &dyn Fn()) -> Option<Trouble> {
        let Some(bus) = self.pipeline.bus() else {
            return Some(Trouble::Setup("the pipeline has no bus".into()));
        };
        let kinds = [gst::MessageType::Error, gst::MessageType::Eos];
        let (mut known_since, mut seen) = (None, 0);
        loop {
            let packets = self.packets();
            if packets > seen {
                seen = packets;
                tick();
            }
            if let Some(message) = bus.timed_pop_filtered(POLL, &kinds) {
                return match message.view() {
                    gst::MessageView::Error(error) => Some(trouble_of(error)),
                    _ => None,
                };
            }
            if until == Until::FirstPackets && self.has_seen_enough(&mut known_since) {
                return None;
            }
            let now = Instant::now();
            if now > ends || (now > first_stream_until && lock(&self.shared.taps).is_empty()) {
                return Some(Trouble::Deadline);
            }
        }
    }

    /// How many packets came.
    fn packets(&self) -> u64 {
        lock(&self.shared.taps).iter().map(|tap| lock(&tap.track).packets).sum()
    }

    fn has_seen_enough(&self, known_since: &mut Option<Instant>) -> bool {
        if known_since.is_none() && lock(&self.shared.order).is_some() {
            *known_since = Some(Instant::now());
        }
        let taps = lock(&self.shared.taps);
        if taps.is_empty() {
            return false;
        }
        let all_shown = taps.iter().all(Tap::is_shown);
        let far_ahead = taps.iter().any(|tap| lock(&tap.track).length() > AHEAD);
        match known_since {
            Some(since) => all_shown || far_ahead || since.elapsed() > PATIENCE,
            None => far_ahead && all_shown,
        }
    }

    fn summary(&self, trouble: Option<Trouble>) -> Walk {
        let mut walk = Walk {
            duration: self.pipeline.query_duration::<gst::ClockTime>().map(Duration::from),
            trouble,
            ..Walk::default()
        };
        for tap in lock(&self.shared.taps).iter() {
            let mut track = tap.seen();
            collect_tags(&tap.pad, &mut track.tags, &mut walk.tags);
            walk.tracks.push(track);
        }
        if let Some(order) = lock(&self.shared.order).as_ref() {
            let place = |track: &Track| order.iter().position(|id| *id == track.id).unwrap_or(usize::MAX);
            walk.tracks.sort_by_key(place);
        }
        walk
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn connect(parser: &gst::Element, pipeline: &gst::Pipeline, shared: &Arc<Shared>, watch: Option<Watch>) {
    let weak = pipeline.downgrade();
    let taps = shared.clone();
    parser.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let mut taps = lock(&taps.taps);
        let number = taps.len();
        if let Some(tap) = tap_pad(&pipeline, pad, number, watch.clone()) {
            taps.push(tap);
        }
    });
    let known = shared.clone();
    reading::when_all_known(parser, move |order| *lock(&known.order) = Some(order.to_vec()));
}

fn tap_pad(pipeline: &gst::Pipeline, source: &gst::Pad, number: usize, watch: Option<Watch>) -> Option<Tap> {
    let sink = gst::ElementFactory::make("fakesink")
        .name(format!("walk-sink-{}", source.name()))
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()
        .ok()?;
    pipeline.add(&sink).ok()?;
    let pad = sink.static_pad("sink")?;
    let track = Arc::new(Mutex::new(Track {
        id: reading::stream_id(source),
        ..Track::default()
    }));
    let counted = track.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            let time = count(pad, buffer, &mut lock(&counted));
            if let Some(watch) = &watch {
                watch(number, pad, buffer, time);
            }
        }
        gst::PadProbeReturn::Ok
    });
    sink.sync_state_with_parent().ok()?;
    source.link(&pad).ok()?;
    Some(Tap { pad, track })
}

/// Counts a packet; gives its presentation time.
fn count(pad: &gst::Pad, buffer: &gst::BufferRef, track: &mut Track) -> Option<Duration> {
    if track.packets == 0 {
        track.caps = pad.current_caps();
        track.beginning = beginning(buffer);
    }
    track.packets += 1;
    track.bytes += buffer.size() as u64;
    track.is_of_fields |= buffer.video_flags().contains(gst_video::VideoBufferFlags::ONEFIELD);
    if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
        track.key_packets += 1;
    }
    if let Some(dts) = buffer.dts() {
        track.disorder += u64::from(track.last_dts.is_some_and(|last| dts < last));
        track.last_dts = Some(dts);
    }
    let stamp = buffer.pts().or(buffer.dts())?;
    let length = buffer.duration().unwrap_or_default();
    track.longest = track.longest.max(length.into());
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    track.hidden += u64::from(segment.stop().is_some_and(|stop| stamp >= stop));
    let start = Duration::from(segment.to_stream_time(stamp)?);
    let end = start + Duration::from(length);
    track.late = Duration::from(stamp).saturating_sub(start);
    if track
        .caps
        .as_ref()
        .and_then(|caps| caps.structure(0))
        .is_some_and(|caps| caps.name().starts_with("video/"))
    {
        track.pace.see(u64::try_from(start.as_nanos()).unwrap_or(u64::MAX));
    }
    track.first = Some(track.first.map_or(start, |first| first.min(start)));
    track.end = Some(track.end.map_or(end, |last| last.max(end)));
    Some(start)
}

fn beginning(buffer: &gst::BufferRef) -> Vec<u8> {
    let bytes = buffer.map_readable();
    let beginning = bytes
        .as_ref()
        .map(|bytes| bytes.get(..BEGINNING_BYTES.min(bytes.len())).unwrap_or_default());
    beginning.unwrap_or_default().to_vec()
}

fn collect_tags(pad: &gst::Pad, of_track: &mut Vec<gst::TagList>, of_file: &mut Vec<gst::TagList>) {
    pad.sticky_events_foreach(|event| {
        if let gst::EventView::Tag(tag) = event.view() {
            let list = tag.tag_owned();
            match list.scope() {
                gst::TagScope::Global => of_file.push(list),
                _ => of_track.push(list),
            }
        }
        std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
}

fn trouble_of(message: &gst::message::Error) -> Trouble {
    use gst::StreamError;
    let error = message.error();
    let text = error.message().trim_end_matches('.').to_owned();
    match error.kind::<StreamError>() {
        Some(StreamError::TypeNotFound | StreamError::WrongType) => Trouble::NotMedia(text),
        Some(StreamError::CodecNotFound) => Trouble::NoPlugin(text),
        _ => Trouble::Broken(text),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
