//! Where an attempt goes on, so that pictures and packets lie where those of an attempt without a break do.

use std::time::Duration;

use gst::prelude::*;
use mps_proto::v1::AudioCodec;

use super::{AdaptiveStream, Sound};
use crate::{
    nodes::{
        Preparing,
        transcode::{Audio, Video},
    },
    pass::{audio::AudioEncode, clip::running_ns},
    rules,
    timeline::{Timeline, nanoseconds},
    walk::{Until, walk_watched},
};

/// How long it may take to find where the streams of the input end.
const LONGEST_WALK: Duration = Duration::from_secs(900);
/// From this sample rate on MP3 has packets of two granules.
const MP3_WHOLE_HZ: i32 = 32_000;

/// Samples of one packet: sound begins again at one of its packets.
fn packet_samples(settings: &AudioEncode) -> u64 {
    match settings.codec {
        AudioCodec::Ac3 | AudioCodec::Eac3 => 1536,
        AudioCodec::Mp3 if settings.sample_rate_hz < MP3_WHOLE_HZ => 576,
        AudioCodec::Mp3 => 1152,
        _ => 1024,
    }
}

impl AdaptiveStream {
    /// Segments that every track has told.
    fn committed(&self) -> u32 {
        let sounds = if self.muxed { 0 } else { self.sounds.len() };
        let tracks = self.videos.len() + sounds + self.texts.len();
        let committed = (0..tracks).map(|track| self.resume.segments.get(track).copied().unwrap_or(0));
        u32::try_from(committed.min().unwrap_or(0)).unwrap_or(0)
    }

    /// The segment before the first one that some track lacks. It is made again and told of no more: so every track has packets, even
    /// where one is whole already, and its encoders are warm where the new segments begin.
    fn first_segment(&self) -> u32 {
        // Copies are cut at key frames of their own, which are found from the beginning on.
        if self.copies() {
            return 0;
        }
        self.committed().min(self.common).saturating_sub(1)
    }

    /// How many whole segments every stream of the input has something in: where the film or the sound ends early, segments go on without it,
    /// and behind its end it would begin with nothing. Headers of many containers do not tell where streams end, so the input is read for it.
    fn common_segments(&self, preparing: &Preparing) -> u32 {
        let streams = usize::from(!self.videos.is_empty()) + self.sounds.len();
        if self.copies() || self.committed() < 2 || streams < 2 {
            return u32::MAX;
        }
        let (facts, timelines) = (preparing.facts, preparing.timelines);
        let walk = walk_watched(preparing.input, &facts.reading, Until::End, LONGEST_WALK, (None, preparing.tick));
        let end = |index: i32, timeline: &Timeline| {
            let id = facts.of_stream(index)?.id.clone()?;
            let track = walk.tracks.iter().find(|track| track.id == id)?;
            Some(timeline.own_end(nanoseconds(track.end?)).saturating_sub(self.clip.start))
        };
        let streams = rules::sounds(facts);
        let film = rules::film(facts).filter(|_| !self.videos.is_empty());
        let film = film.map(|film| end(film.index, &timelines.video).unwrap_or_default());
        let sound = |sound: &Sound| {
            let ends = sound
                .tracks
                .iter()
                .filter_map(|track| end(streams.get(*track)?.index, &timelines.audio));
            ends.max().unwrap_or_default()
        };
        let first = self.sounds.iter().map(sound).chain(film).min().unwrap_or_default();
        u32::try_from(first.as_nanos() / self.span.as_nanos().max(1)).unwrap_or(u32::MAX)
    }

    /// Where this attempt begins, from the beginning of the output.
    pub(super) fn begin(&self) -> Duration {
        self.span * self.first_segment()
    }

    /// Finds where this attempt begins, and tells what is drawn into its pictures.
    pub(super) fn find_begin(&mut self, preparing: &Preparing) {
        self.common = self.common_segments(preparing);
        let begin = self.video_begin();
        for video in &mut self.videos {
            if let Video::Encode(encode) = video {
                encode.look.begin_at(begin);
                encode.begin = begin;
            }
        }
    }

    /// Where pictures are read from: a span before those that are encoded, so that the first one keeps its time wherever it lies beside the
    /// boundary.
    pub(super) fn video_begin(&self) -> Duration {
        self.begin().saturating_sub(self.span)
    }

    /// Sound begins at the packet that an attempt without a break would begin the segment with.
    pub(super) fn sound_begin(&self, sound: &Sound) -> Duration {
        let Audio::Encode(settings) = &sound.how else {
            return Duration::ZERO;
        };
        let packet = packet_samples(settings);
        let rate = u64::try_from(settings.sample_rate_hz).unwrap_or(0).max(1);
        let samples = self.begin().as_nanos() * u128::from(rate) / 1_000_000_000;
        let packets = (u64::try_from(samples).unwrap_or(0) + packet / 2 - 1) / packet;
        let packets = if self.first_segment() == 0 { 0 } else { packets };
        Duration::from_nanos(packets * packet * 1_000_000_000 / rate)
    }
}

/// Drops pictures whose middle lies before a running time.
pub(super) fn drop_before(pad: &gst::Pad, time: Duration) {
    if time.is_zero() {
        return;
    }
    let time = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        let half = buffer.duration().map_or(0, |length| length.nseconds() as i64 / 2);
        match running_ns(pad, buffer) {
            Some(running) if running + half >= time => gst::PadProbeReturn::Ok,
            _ => gst::PadProbeReturn::Drop,
        }
    });
}
