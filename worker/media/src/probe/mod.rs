//! What an input contains and how it must be read.

mod beside;
mod descriptions;
mod elementary;
mod facts;
mod fragments;
mod headers;
mod indexed;
mod length;
mod mp4;
mod mpegts;
mod names;
pub mod pace;
mod picture;
mod pictures;
mod plain_sound;
mod programs;
mod refuse;
mod shape;
mod sniff;
mod streams;
mod tracks;
mod trim;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use beside::Beside;
use descriptions::Description;
use mpegts::Transport;
use mps_proto::{
    rpc,
    v1::{MediaInfo, MediaStream},
    worker::v1::{Failure, InputLimits},
};

use crate::{
    parse::shown::{Edges, Fields},
    ranks,
    reading::Reading,
    walk::{Until, Walk, walk},
};

pub use facts::{Place, StreamFacts};
pub(crate) use indexed::complete_by_index;
pub use picture::size as picture_size;
pub(crate) use pictures::CONTAINERS as PICTURES;
pub use refuse::unreadable;
pub(crate) use sniff::{Look, recognize};
pub(crate) use streams::{is_full_range, with_range};
pub use trim::Trim;

/// What the pass must know of its input beyond `MediaInfo`.
#[derive(Debug, Clone, Default)]
pub struct InputFacts {
    pub media: MediaInfo,
    /// As `media.streams` stands; empty where code of our own reads the pictures.
    pub streams: Vec<StreamFacts>,
    /// What demuxers are told before they open the file.
    pub reading: Reading,
    /// What the header promises; `None` when it promises nothing.
    pub promised_duration: Option<Duration>,
    /// What a transport stream's clock counts, without its jumps.
    pub counted_duration: Option<Duration>,
    /// Frames that the index promises for the first video track; `None` when it promises nothing, or is cut by an edit list.
    pub promised_video_frames: Option<u64>,
    /// Bytes that the container promises and the file lacks: it was cut.
    pub truncated_bytes: u64,
    /// Whether an index says that every byte of media is there: then nothing is cut, whatever a header promises.
    pub is_all_there: bool,
    /// MP4 whose edit list starts inside the media (a clip cut by stream copy): pull-mode qtdemux loses the end of its audio.
    pub edit_list_inside: bool,
    /// Media time of the earliest first presentation of film and sound: the zero of offsets and of outputs.
    pub zero: Duration,
    /// Whether the MP4's index stands in front of the media, so that push mode works.
    pub index_first: bool,
    /// MP4 in fragments.
    pub fragmented: bool,
    /// Pictures that code of our own reads: an animation, or a still that no element reads.
    pub own_pictures: bool,
    /// A still picture: one frame without a duration.
    pub still_picture: bool,
    /// What encoder and decoder add to the sound.
    pub trim: Trim,
    /// MP4 whose only track of sound begins inside its media, by its codec's delay: qtdemux drops as much of its end.
    pub sound_edit: bool,
    /// What is cut away of the film's coded picture; its size is told without it.
    pub edges: Edges,
    /// How raw pictures are made of fields, which they do not say themselves.
    pub raw_fields: Option<Fields>,
    /// Video tracks that are attached pictures, not film.
    pub attached_pictures: usize,
    /// Tracks of sound or film in an MP4 that last less than a fifth of it: the demuxer leaves them out.
    pub left_out_tracks: usize,
    /// Indices of streams of picture or sound that nothing installed decodes.
    pub undecodable: Vec<i32>,
    /// Profiles of Dolby Vision by the indices of films whose pictures are wrong without it.
    pub dolby_vision_alone: BTreeMap<i32, u8>,
    /// What it holds beside its streams.
    pub beside: Beside,
    /// What each node is told of the input.
    pub warnings: Vec<rpc::Status>,
}

/// How much of a file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    /// What `parts` asks for; the rest is zero.
    Parts,
}

/// Reads a file within the deadline and checks it against the limits.
pub fn probe(path: &Path, limits: &InputLimits, deadline: Duration) -> Result<InputFacts, Failure> {
    probe_extent(path, Extent::Whole, limits, deadline)
}

/// The same with a copy that has the file's length, and only those bytes that tell what it contains. Where its length can only be had by
/// reading it whole (a transport stream with jumps of its clock), it is a guess.
pub fn probe_parts(path: &Path, limits: &InputLimits, deadline: Duration) -> Result<InputFacts, Failure> {
    probe_extent(path, Extent::Parts, limits, deadline)
}

fn probe_extent(path: &Path, extent: Extent, limits: &InputLimits, deadline: Duration) -> Result<InputFacts, Failure> {
    let ends = Instant::now() + deadline;
    ranks::set();
    let size_bytes = std::fs::metadata(path).map_err(|error| refuse::unreadable(&error))?.len();
    let looks = sniff::look(path).map_err(|error| refuse::unreadable(&error))?;
    let container = refuse::unless_media(looks)?;
    if pictures::CONTAINERS.contains(&container) {
        refuse::if_too_large(picture::size(path), limits)?;
    }
    let mut facts = match (pictures::facts(path, container)?, container) {
        (Some(facts), _) => facts,
        (None, "caf" | "w64") => plain_sound::facts(path, container, extent, ends)?,
        (None, "mp4") => indexed::facts(path, extent, ends)?,
        _ => walked_facts(path, container, Reading::default(), extent, ends)?,
    };
    facts.media.size_bytes = i64::try_from(size_bytes).unwrap_or(i64::MAX);
    facts.media.bitrate_bps = overall_bitrate(&facts.media);
    refuse::over_limits(&facts.media, limits)?;
    Ok(facts)
}

/// `reading`: what the file's index tells the demuxer.
fn walked_facts(path: &Path, container: &'static str, mut reading: Reading, extent: Extent, ends: Instant) -> Result<InputFacts, Failure> {
    let told = length::read(path, container, extent == Extent::Whole).unwrap_or_default();
    let until = match extent {
        Extent::Whole => length::until(path, container, &told),
        Extent::Parts => Until::FirstPackets,
    };
    let transport = match container {
        "mpegts" if extent == Extent::Parts => mpegts::read_ends(path, ends).unwrap_or_default(),
        "mpegts" => mpegts::read(path, ends).unwrap_or_default(),
        _ => Transport::default(),
    };
    let programs = transport.programs.as_slice();
    if container == "mpegts" {
        reading = programs::reading(programs);
    }
    let mut walk = self::walk(path, &reading, until, ends.saturating_duration_since(Instant::now()));
    let late = length::late(container, &walk);
    if late.is_some() && extent == Extent::Whole && until != Until::End {
        walk = self::walk(path, &reading, Until::End, ends.saturating_duration_since(Instant::now()));
    }
    programs::add_unshown(&mut walk, programs);
    let mut media = describe(&walk, container);
    if !media.streams.iter().any(|stream| matches!(stream.kind.as_str(), "video" | "audio")) {
        return Err(refuse::no_streams(container, walk.trouble.as_ref()));
    }
    let still = pictures::STILLS.contains(&container);
    let mut length = length::Length::of(container, &told, &walk, transport.duration);
    if let Some(late) = late {
        length = length.beginning_late(late, walk.length());
    }
    let zero = if still { Duration::ZERO } else { zero(&walk) };
    let promised = length.promised.map(|promised| length.behind(promised, zero));
    let measured = length.measured.map(|measured| length.behind(measured, zero));
    media.duration = measured.filter(|_| !still).and_then(to_proto);
    fill_lengths(&mut media, &told);
    if still {
        fill_picture_size(path, &mut media);
    }
    let mut facts = InputFacts {
        attached_pictures: media.streams.iter().filter(|stream| stream.kind == "image").count(),
        undecodable: undecodable(&walk),
        streams: stream_facts(&media, &walk),
        reading,
        media,
        promised_duration: promised,
        is_all_there: container == "avi" && length::is_whole_riff(path).unwrap_or(false),
        counted_duration: transport.duration,
        still_picture: still,
        trim: if container == "mp3" { Trim::of_mp3(path) } else { Trim::default() },
        warnings: programs::warning(programs).into_iter().collect(),
        zero,
        ..InputFacts::default()
    };
    if ["matroska", "webm"].contains(&container) {
        let head = descriptions::head(path);
        descriptions::fill(&mut facts, &Description::of_matroska(&head));
        facts.beside = Beside::of_matroska(&head);
    }
    shape::by_file(&mut facts, path);
    Ok(facts)
}

/// Lengths of streams, where the header tells each and shows the same streams as the demuxer.
fn fill_lengths(media: &mut MediaInfo, told: &length::Told) {
    let length::Told::Length(_, lengths) = told else { return };
    let streams: Vec<_> = media.streams.iter_mut().filter(|stream| stream.kind != "image").collect();
    if streams.len() == lengths.len() {
        for (stream, length) in streams.into_iter().zip(lengths) {
            stream.duration = length.and_then(to_proto);
        }
    }
}

fn stream_facts(media: &MediaInfo, walk: &Walk) -> Vec<StreamFacts> {
    let track = |index: i32| usize::try_from(index).ok().and_then(|index| walk.tracks.get(index));
    let streams = media
        .streams
        .iter()
        .map(|stream| track(stream.index).filter(|_| stream.kind != "image"));
    streams.map(|track| track.map(StreamFacts::of).unwrap_or_default()).collect()
}

fn zero(walk: &Walk) -> Duration {
    let timed = |track: &&crate::walk::Track| {
        ["video/", "audio/", "image/"]
            .iter()
            .any(|kind| track.media_type().starts_with(kind))
    };
    walk.tracks
        .iter()
        .filter(timed)
        .filter_map(|track| track.first)
        .min()
        .unwrap_or_default()
}

/// What the contract says of a walked file: container, streams and tags.
pub(crate) fn describe(walk: &Walk, container: &str) -> MediaInfo {
    let described = walk.tracks.iter().enumerate();
    let mut streams: Vec<MediaStream> = described
        .filter_map(|(index, track)| streams::describe(i32::try_from(index).unwrap_or(i32::MAX), track, &walk.tags))
        .collect();
    let next_index = i32::try_from(walk.tracks.len()).unwrap_or(i32::MAX);
    let all_tags: Vec<_> = walk
        .tags
        .iter()
        .chain(walk.tracks.iter().flat_map(|track| &track.tags))
        .cloned()
        .collect();
    streams.extend(streams::attached_pictures(&all_tags, next_index));
    MediaInfo {
        container: container.to_owned(),
        tags: streams::file_tags(&walk.tags),
        streams,
        ..MediaInfo::default()
    }
}

/// Name of a finished file's container.
pub(crate) fn container_of(path: &Path) -> Option<&'static str> {
    match sniff::look(path) {
        Ok(Look::Media(name)) => Some(name),
        _ => None,
    }
}

fn undecodable(walk: &Walk) -> Vec<i32> {
    let kinds = gst::ElementFactoryType::DECODER;
    let decoders: Vec<_> = gst::ElementFactory::factories_with_type(kinds, gst::Rank::MARGINAL)
        .into_iter()
        .collect();
    let timed = |media_type: &str| !media_type.is_empty() && ["video/", "audio/", "image/"].iter().any(|kind| media_type.starts_with(kind));
    let tracks = walk.tracks.iter().zip(0i32..);
    tracks
        .filter(|(track, _)| track.unshown.is_some() || timed(track.media_type()) && !streams::is_decodable(track, &decoders))
        .map(|(_, index)| index)
        .collect()
}

fn fill_picture_size(path: &Path, media: &mut MediaInfo) {
    let Some((width, height)) = picture::size(path) else { return };
    for video in media
        .streams
        .iter_mut()
        .filter_map(|stream| stream.video.as_mut())
        .filter(|video| video.width_px == 0)
    {
        video.width_px = i32::try_from(width).unwrap_or(0);
        video.height_px = i32::try_from(height).unwrap_or(0);
    }
}

pub(crate) fn overall_bitrate(media: &MediaInfo) -> i64 {
    let seconds = media
        .duration
        .map_or(0.0, |duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9);
    if seconds > 0.0 {
        (media.size_bytes as f64 * 8.0 / seconds) as i64
    } else {
        0
    }
}

pub(crate) fn to_proto(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}
