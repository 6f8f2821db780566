//! The check of each output before it is handed over: demuxed whole, and decoded at its start, its end and sampled groups of pictures
//! meanwhile.

mod decode;
mod samples;
mod whole;

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mps_proto::{
    v1::{ErrorReason, MediaInfo, MediaStream},
    worker::v1::Failure,
};

use crate::{
    damage, failure,
    parse::mp3,
    probe,
    reading::Reading,
    walk::{Track, Until, Walk, walk_watched},
};
use samples::{Decoded, Samples, Window};

pub use whole::check_series;

/// What an output must be.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// From the beginning of the first stream to the end of the last; `None` for pictures.
    pub duration: Option<Duration>,
    /// How far times may be off: one frame of video, or one packet of sound.
    pub duration_tolerance: Duration,
    /// How long the last picture stands.
    pub last_picture: Duration,
    /// Codec by `MediaStream.codec`, such as "h264"; `None`: no video.
    pub video_codec: Option<String>,
    pub width_px: i32,
    pub height_px: i32,
    /// Video frames, when they are known exactly.
    pub video_frames: Option<u64>,
    /// Where the picture stands, when it is known.
    pub video_span: Option<Span>,
    /// Tracks of sound, in their order.
    pub sound: Vec<Sound>,
    /// Streams were copied: they may be as damaged as the input was, and start inside a group of pictures.
    pub copied: bool,
    /// The file ends in the middle of copied pictures: those that others refer to may stand behind the end.
    pub hides_end: bool,
}

/// What a track of sound must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sound {
    /// Codec by `MediaStream.codec`.
    pub codec: String,
    /// Where it stands, when it is known.
    pub span: Option<Span>,
}

/// Where a stream begins and ends, by the clock that all streams of the output share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: Duration,
    pub end: Duration,
}

/// How long one picture may take to be checked.
const CHECK_DEADLINE_OF_PICTURE: Duration = Duration::from_secs(60);
/// Packets that the sound of an MP3 is padded with, by encoder and decoder.
const MP3_PADDING_PACKETS: u32 = 3;
/// Files are read at this rate at least, on a busy disk.
const SLOWEST_BYTES_PER_SECOND: u64 = 8 << 20;
/// Files up to this are decoded whole.
const DECODED_WHOLE: Duration = Duration::from_secs(3);
/// How much is decoded at the start and at each sample.
const SAMPLE: Duration = Duration::from_millis(800);
/// How far before its end the last group of pictures is looked for.
const TAIL: Duration = Duration::from_millis(500);
/// A sample in the middle of each file longer than this, and two more in one longer than the second.
const ONE_MORE_FROM: Duration = Duration::from_secs(20);
const THREE_MORE_FROM: Duration = Duration::from_secs(600);

/// Checks a file and says what it contains. The failure has reason OUTPUT_CHECK_FAILED. `deadline`: for a small file, and large ones have longer;
/// `tick`: to be called while something moves.
pub fn check_output(path: &Path, expected: &Expectation, deadline: Duration, tick: &dyn Fn()) -> Result<MediaInfo, Failure> {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    let deadline = deadline + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND);
    check(path, expected, Instant::now() + deadline, tick).map_err(|problem| refused(&problem))
}

fn refused(problem: &str) -> Failure {
    failure::node(
        ErrorReason::OutputCheckFailed,
        format!("the output did not pass its check: {problem}"),
        "the node is tried again; if it fails again, report it with the input",
    )
}

fn check(path: &Path, expected: &Expectation, ends: Instant, tick: &dyn Fn()) -> Result<MediaInfo, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("it cannot be read: {error}"))?
        .len();
    let container = probe::container_of(path).ok_or_else(|| format!("{size} bytes are of no known container"))?;
    // Damage is counted for the whole process: one check at a time can tell whose it is.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    damage::install();
    let before = damage::count();
    let windows = expected.duration.map(windows).unwrap_or_default();
    let samples = Samples::new(windows.clone());
    let walk = walk_watched(path, &Reading::default(), Until::End, left(ends), (Some(&samples.watch()), tick));
    if let Some(trouble) = &walk.trouble {
        return Err(trouble.to_string());
    }
    let mut media = probe::describe(&walk, container);
    media.size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
    let promised = probe::complete_by_index(path, &mut media)?;
    compare_streams(&media, expected)?;
    match expected.duration {
        None => check_picture(path, expected, ends)?,
        Some(duration) => {
            let checked = Film {
                path,
                walk: &walk,
                expected,
                promised,
            };
            checked.check(&mut media, duration)?;
            let decoded = samples.finish(ends)?;
            let damaged = damage::count().saturating_sub(before);
            check_decoding(&walk, &windows, &decoded, damaged, expected)?;
        }
    }
    media.bitrate_bps = probe::overall_bitrate(&media);
    Ok(media)
}

fn left(ends: Instant) -> Duration {
    ends.saturating_duration_since(Instant::now())
}

fn compare_streams(media: &MediaInfo, expected: &Expectation) -> Result<(), String> {
    let of_kind = |kind: &str| media.streams.iter().filter(|stream| stream.kind == kind).collect::<Vec<_>>();
    let videos = of_kind("video");
    compare_codecs("video", &videos, expected.video_codec.as_deref().into_iter())?;
    let sound = expected.sound.iter().map(|sound| sound.codec.as_str());
    compare_codecs("audio", &of_kind("audio"), sound)?;
    for video in videos.iter().filter_map(|stream| stream.video.as_ref()) {
        let told = video.width_px > 0;
        let wanted = (expected.width_px, expected.height_px);
        if told && wanted.0 > 0 && (video.width_px, video.height_px) != wanted {
            return Err(format!(
                "its picture is {}x{}, not {}x{}",
                video.width_px, video.height_px, wanted.0, wanted.1
            ));
        }
    }
    Ok(())
}

fn compare_codecs<'a>(kind: &str, found: &[&MediaStream], expected: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let wanted: Vec<&str> = expected.map(|codec| if codec == "jpeg" { "mjpeg" } else { codec }).collect();
    let codecs: Vec<&str> = found.iter().map(|stream| stream.codec.as_str()).collect();
    if codecs == wanted {
        return Ok(());
    }
    Err(format!(
        "its {kind} streams are [{}], expected [{}]",
        codecs.join(", "),
        wanted.join(", ")
    ))
}

fn check_picture(path: &Path, expected: &Expectation, ends: Instant) -> Result<(), String> {
    let (width, height) = decode::picture(path, left(ends))?;
    let wanted = (expected.width_px, expected.height_px);
    if wanted.0 > 0 && (width, height) != wanted {
        return Err(format!("its picture is {width}x{height}, not {}x{}", wanted.0, wanted.1));
    }
    Ok(())
}

/// A finished film or sound, walked to its end.
struct Film<'a> {
    path: &'a Path,
    walk: &'a Walk,
    expected: &'a Expectation,
    /// Duration by the file's index.
    promised: Option<Duration>,
}

impl Film<'_> {
    fn check(&self, media: &mut MediaInfo, wanted: Duration) -> Result<(), String> {
        let (walk, expected) = (self.walk, self.expected);
        let (video, sound) = (tracks_of(walk, "video/").next(), tracks_of(walk, "audio/"));
        video.map_or(Ok(()), |track| compare_packets("video", track, expected.hides_end))?;
        sound.clone().try_for_each(|track| compare_packets("audio", track, false))?;
        if let (Some(frames), Some(track)) = (expected.video_frames, video)
            && track.packets != frames
        {
            return Err(format!("it has {} video frames, expected {frames}", track.packets));
        }
        let found = self.reach(whole_duration(self.path, walk, media), wanted);
        let slack = expected.duration_tolerance.max(longest_packet(walk)) + mp3_slack(media, sound.clone().next());
        compare_durations("it", found, wanted, slack)?;
        if let Some(promised) = self.promised {
            compare_durations("its header", promised, wanted, slack)?;
        }
        self.compare_spans(slack)?;
        fill_streams(media, walk);
        media.duration = probe::to_proto(self.promised.unwrap_or(found));
        Ok(())
    }

    /// Parsers take the last picture for as long as a frame, also where it stands longer.
    fn reach(&self, found: Duration, wanted: Duration) -> Duration {
        found.max(wanted.min(found + self.expected.last_picture))
    }

    /// Each stream begins where it should beside the others, and is as long as it should be.
    fn compare_spans(&self, slack: Duration) -> Result<(), String> {
        let film = tracks_of(self.walk, "video/").next().zip(self.expected.video_span);
        let wanted = self.expected.sound.iter().map(|sound| sound.span);
        let sound = tracks_of(self.walk, "audio/").zip(wanted);
        let sound = sound.filter_map(|(track, span)| Some((track, span?)));
        let all: Vec<(&Track, Span)> = film.into_iter().chain(sound.clone()).collect();
        let begin_found = all.iter().filter_map(|(track, _)| track.first).min().unwrap_or_default();
        let begin_wanted = all.iter().map(|(_, span)| span.first).min().unwrap_or_default();
        for (number, (track, span)) in all.into_iter().enumerate() {
            // The demuxer of Matroska gives no times of ProRes.
            if track.first.is_none() {
                continue;
            }
            let what = if film.is_some() && number == 0 {
                "its picture"
            } else {
                "its sound"
            };
            let lasts = span.end.saturating_sub(span.first);
            let is_film = film.is_some() && number == 0;
            let found = if is_film { self.reach(length(track), lasts) } else { length(track) };
            compare_durations(what, found, lasts, slack)?;
            let (found, wanted) = (track.first.unwrap_or_default(), span.first);
            let (found, wanted) = (found.saturating_sub(begin_found), wanted.saturating_sub(begin_wanted));
            if found.abs_diff(wanted) > slack {
                let (found, wanted) = (found.as_secs_f64(), wanted.as_secs_f64());
                return Err(format!("{what} begins at {found:.3} s, expected {wanted:.3} s"));
            }
        }
        Ok(())
    }
}

fn tracks_of<'a>(walk: &'a Walk, kind: &'static str) -> impl Iterator<Item = &'a Track> + Clone {
    walk.tracks.iter().filter(move |track| track.media_type().starts_with(kind))
}

fn compare_packets(name: &str, track: &Track, hides_end: bool) -> Result<(), String> {
    match track {
        track if track.packets == 0 => Err(format!("its {name} stream is empty")),
        track if name == "video" && track.key_packets == 0 => Err(format!("its {name} stream has no key frame")),
        track if track.disorder > 0 => Err(format!("{} packets of its {name} stream go back in time", track.disorder)),
        track if track.hidden > 0 && !hides_end => Err(format!("{} packets of its {name} stream stand behind its end", track.hidden)),
        _ => Ok(()),
    }
}

/// From the beginning of the first stream to the end of the longest; what an MP3's encoder put around the sound does not count.
fn whole_duration(path: &Path, walk: &Walk, media: &MediaInfo) -> Duration {
    let header = (media.container == "mp3").then(|| mp3::read(path).ok().flatten()).flatten();
    if let Some(duration) = header.and_then(|header| header.duration()) {
        return duration;
    }
    let begin = walk.tracks.iter().filter_map(|track| track.first).min().unwrap_or_default();
    let end = walk.tracks.iter().filter_map(|track| track.end).max().unwrap_or_default();
    end.saturating_sub(begin)
}

fn length(track: &Track) -> Duration {
    track.end.unwrap_or_default().saturating_sub(track.first.unwrap_or_default())
}

fn longest_packet(walk: &Walk) -> Duration {
    walk.tracks.iter().map(|track| track.longest).max().unwrap_or_default()
}

fn mp3_slack(media: &MediaInfo, audio: Option<&Track>) -> Duration {
    match audio {
        Some(track) if media.container == "mp3" => track.longest * MP3_PADDING_PACKETS,
        _ => Duration::ZERO,
    }
}

fn compare_durations(what: &str, found: Duration, wanted: Duration, slack: Duration) -> Result<(), String> {
    // Clocks of containers round to a millisecond.
    let slack = slack + Duration::from_millis(1);
    if found.abs_diff(wanted) <= slack {
        return Ok(());
    }
    let (found, wanted, slack) = (found.as_secs_f64(), wanted.as_secs_f64(), slack.as_secs_f64());
    Err(format!("{what} lasts {found:.3} s, expected {wanted:.3} s within {slack:.3} s"))
}

fn fill_streams(media: &mut MediaInfo, walk: &Walk) {
    for stream in &mut media.streams {
        let Some(track) = usize::try_from(stream.index).ok().and_then(|index| walk.tracks.get(index)) else {
            continue;
        };
        let length = length(track);
        if stream.duration.is_none() {
            stream.duration = probe::to_proto(length);
        }
        if !length.is_zero() {
            stream.bitrate_bps = (track.bytes as f64 * 8.0 / length.as_secs_f64()) as i64;
        }
    }
}

fn check_decoding(walk: &Walk, windows: &[Window], decoded: &[Decoded], damaged: u64, expected: &Expectation) -> Result<(), String> {
    let video = tracks_of(walk, "video/").next();
    for (window, decoded) in windows.iter().zip(decoded) {
        let covered = |track: &Track| length(track) > window.start + TAIL / 2;
        if video.is_some_and(covered) && decoded.video == 0 && !decoded.too_large {
            return Err(format!("no picture decodes at {:.1} s", window.start.as_secs_f64()));
        }
    }
    // Sound may have holes where a window lies, not everywhere.
    if tracks_of(walk, "audio/").next().is_some() && decoded.iter().all(|decoded| decoded.audio == 0) {
        return Err("no sound decodes".into());
    }
    if damaged > 0 && !expected.copied {
        return Err(format!("its decoder reported damage {damaged} times"));
    }
    let frames = decoded.first().map(|decoded| decoded.video);
    match (windows, video, frames) {
        ([only], Some(track), Some(frames)) if only.end.is_none() && frames != track.packets && !expected.copied => {
            Err(format!("{frames} of its {} video frames decode", track.packets))
        }
        _ => Ok(()),
    }
}

/// Where a file is decoded: whole when it is short, else at its start, its end, and in between.
fn windows(duration: Duration) -> Vec<Window> {
    let to_the_end = |start| Window { start, end: None };
    if duration <= DECODED_WHOLE {
        return vec![to_the_end(Duration::ZERO)];
    }
    let part = |share: f64| {
        let start = duration.mul_f64(share);
        Window {
            start,
            end: Some(start + SAMPLE),
        }
    };
    let mut windows = vec![part(0.0)];
    match duration {
        long if long > THREE_MORE_FROM => windows.extend([part(0.25), part(0.5), part(0.75)]),
        middling if middling > ONE_MORE_FROM => windows.push(part(0.5)),
        _ => {}
    }
    windows.push(to_the_end(duration.saturating_sub(TAIL)));
    windows
}
