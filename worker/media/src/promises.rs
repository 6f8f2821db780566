//! What headers promise, stream by stream, against what came out of the demuxer: GStreamer ends green over a file that was cut.

use std::{collections::HashMap, sync::atomic::Ordering::Relaxed, time::Duration};

use mps_proto::{
    v1::{ErrorReason, MediaStream},
    worker::v1::Failure,
};

use crate::{
    failure,
    job::{Job, Needs},
    pass::{
        counters::Counters,
        streams::{ReadStream, Role},
    },
    probe::InputFacts,
    rules,
    timeline::{Timeline, Timelines},
};

/// A stream that delivers less of its promise than this is cut.
const WHOLE_SHARE: f64 = 0.98;
/// What a stream may lack at both ends.
const WHOLE_SLACK: Duration = Duration::from_millis(150);
/// Time that the clock counts and no stream has: from here on it is told.
const CLOSED_UP: Duration = Duration::from_millis(500);
/// A stream that ends earlier than promised by more than this, or than its packets are apart, is told to.
const EARLY: Duration = Duration::from_millis(500);
/// Film at the end that came out of the demuxer and not out of the decoder: from here on it is told.
const UNDECODED: Duration = Duration::from_millis(500);

/// Where the streams ended, in own time; only those that ended, since a pass whose nodes have all failed is left early.
#[derive(Debug, Default)]
pub struct Delivered {
    streams: Vec<(Role, End)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct End {
    at: Duration,
    /// The last packet may last as long as the longest one, without a word of it.
    longest: Duration,
}

impl End {
    /// How far it reaches at most.
    fn reach(self) -> Duration {
        self.at + self.longest
    }

    fn is_early(self, wanted: Duration) -> bool {
        self.at + self.longest.max(EARLY) < wanted
    }
}

impl Delivered {
    pub fn of(counters: &Counters, timelines: &Timelines) -> Self {
        let streams = counters.streams.lock().map(|streams| streams.clone()).unwrap_or_default();
        let all_ended = streams.iter().all(|stream| stream.ended.load(Relaxed));
        let end = |stream: &ReadStream| {
            let timeline = match stream.role {
                Role::Sound(_) => &timelines.audio,
                _ => &timelines.video,
            };
            (stream.role, end_of(stream, timeline))
        };
        Self {
            streams: streams.iter().filter(|_| all_ended).map(|stream| end(stream)).collect(),
        }
    }

    fn end(&self, role: Role) -> Option<End> {
        self.streams.iter().find(|(found, _)| *found == role).map(|(_, end)| *end)
    }

    fn latest(&self) -> Option<End> {
        self.streams.iter().map(|(_, end)| *end).max_by_key(|end| end.reach())
    }
}

fn end_of(stream: &ReadStream, timeline: &Timeline) -> End {
    End {
        at: match stream.end.load(Relaxed) {
            i64::MIN => Duration::ZERO,
            end => timeline.own_end(end),
        },
        longest: Duration::from_nanos(u64::try_from(stream.longest_step.load(Relaxed)).unwrap_or(0)),
    }
}

/// Nodes that wanted more than the input has, although its header promises it.
pub fn cut_nodes(jobs: &[Box<dyn Job>], delivered: &Delivered, facts: &InputFacts) -> HashMap<usize, Failure> {
    let cut = |job: &dyn Job| if job.is_idle() { None } else { cut(job, delivered, facts) };
    jobs.iter()
        .enumerate()
        .filter_map(|(number, job)| Some((number, cut(job.as_ref())?)))
        .collect()
}

fn cut(job: &dyn Job, delivered: &Delivered, facts: &InputFacts) -> Option<Failure> {
    let lack = lacking(job, delivered, facts, |end, wanted| is_short(end.reach(), wanted))?;
    Some(truncated(lack.to_string()))
}

/// What of its promise a node did not get, where that is too little to fail it and the pass went to the end.
pub fn early(job: &dyn Job, counters: &Counters, delivered: &Delivered, facts: &InputFacts) -> Option<Lack> {
    // Of missing bytes, and of a clock, something is said already.
    let is_told = facts.truncated_bytes > 0 || facts.counted_duration.is_some();
    if is_told || job.is_idle() || !counters.to_the_end.load(Relaxed) {
        return None;
    }
    lacking(job, delivered, facts, End::is_early)
}

/// A stream that ends before its promise.
#[derive(Debug, Clone, Copy)]
pub struct Lack {
    pub promised: Duration,
    pub end: Duration,
    name: &'static str,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (promised, end) = (self.promised.as_secs_f64(), self.end.as_secs_f64());
        write!(
            f,
            "its header promises {promised:.2} s of {} and {end:.2} s could be read",
            self.name
        )
    }
}

/// The first stream that a node reads and that is short of what it wants, or else the whole.
fn lacking(job: &dyn Job, delivered: &Delivered, facts: &InputFacts, is_short: impl Fn(End, Duration) -> bool) -> Option<Lack> {
    if facts.is_all_there || delivered.streams.is_empty() {
        return None;
    }
    let stop = job.part().stop.unwrap_or(Duration::MAX);
    let lack = |promised: Duration, end: End, name| {
        is_short(end, promised.min(stop)).then_some(Lack {
            promised,
            end: end.at,
            name,
        })
    };
    let of_stream = |(role, name, stream): (Role, &'static str, &MediaStream)| {
        let promised = Duration::try_from(stream.duration?).ok()?;
        lack(promised, delivered.end(role)?, name)
    };
    let whole = || lack(facts.promised_duration?, delivered.latest()?, "media");
    needed(job.needs(), facts).into_iter().find_map(of_stream).or_else(whole)
}

/// Streams that a node reads.
fn needed(needs: Needs, facts: &InputFacts) -> Vec<(Role, &'static str, &MediaStream)> {
    let film = needs.decoded_video || needs.decoded_fields || needs.copied_video;
    let sounds = rules::sounds(facts);
    let tracks = needs.decoded_tracks.and(needs.copied_tracks);
    let film = rules::film(facts).filter(|_| film).map(|stream| (Role::Film, "film", stream));
    let sound = tracks
        .iter()
        .filter_map(|track| Some((Role::Sound(track), "sound", *sounds.get(track)?)));
    film.into_iter().chain(sound).collect()
}

fn is_short(end: Duration, wanted: Duration) -> bool {
    end < wanted.mul_f64(WHOLE_SHARE).saturating_sub(WHOLE_SLACK)
}

pub fn truncated(detail: String) -> Failure {
    failure::data(
        ErrorReason::InputTruncated,
        format!("the input is cut: {detail}"),
        "upload or record the file again, and wait until it is complete",
    )
}

/// How much of a transport stream's time the demuxer closed up, where the pass went to the end: 1.22's takes a hole in the clock of more than half
/// a second for a joint.
pub fn closed_up(counters: &Counters, delivered: &Delivered, facts: &InputFacts) -> Option<Duration> {
    let counted = facts.counted_duration.filter(|_| counters.to_the_end.load(Relaxed))?;
    let lost = counted.saturating_sub(delivered.latest()?.reach());
    (lost > CLOSED_UP).then_some(lost)
}

/// How much of the film's end came out of the demuxer and not out of its decoder, where the pass went to the end.
pub fn undecoded(counters: &Counters, delivered: &Delivered) -> Option<Duration> {
    if !counters.to_the_end.load(Relaxed) {
        return None;
    }
    let decoded = counters.decoded.end();
    let film = delivered.end(Role::Film).filter(|_| !decoded.is_zero())?;
    let lost = film.at.saturating_sub(decoded);
    (lost > UNDECODED && is_short(decoded, film.at)).then_some(lost)
}

/// Containers that stamp every picture.
const STAMPED: &[&str] = &["matroska", "webm"];

/// Pictures that had another one's stamp. Where not every packet gave a picture, two of one stamp may have been its fields, or one may not be shown.
pub fn alike(counters: &Counters, facts: &InputFacts) -> u64 {
    let streams = counters.streams.lock().map(|streams| streams.clone()).unwrap_or_default();
    let Some(film) = streams.iter().find(|stream| stream.role == Role::Film) else {
        return 0;
    };
    let unshown = film.packets.load(Relaxed).saturating_sub(counters.decoded.count());
    let is_stamped = STAMPED.contains(&facts.media.container.as_str());
    let unstamped = film.unstamped.load(Relaxed) * u64::from(is_stamped);
    (film.alike.load(Relaxed) + unstamped).saturating_sub(unshown)
}
