//! Where an attempt goes on, so that pictures and packets lie where those of an attempt without a break do.

use std::time::Duration;

use gst::prelude::*;
use mps_proto::v1::AudioCodec;

use super::{AdaptiveStream, Sound};
use crate::{
    nodes::transcode::{Audio, Video},
    pass::clip::running_ns,
};

/// Samples of one packet: sound begins again at one of its packets.
fn packet_samples(codec: AudioCodec) -> u64 {
    match codec {
        AudioCodec::Ac3 | AudioCodec::Eac3 => 1536,
        _ => 1024,
    }
}

impl AdaptiveStream {
    /// The segment before the first one that some track lacks. It is made again and told of no more: so every track has packets, even
    /// where one is whole already, and its encoders are warm where the new segments begin.
    fn first_segment(&self) -> u32 {
        // Copies are cut at key frames of their own, which are found from the beginning on.
        if self.copies() {
            return 0;
        }
        let tracks = self.videos.len() + self.sounds.len() + self.texts.len();
        let committed = (0..tracks).map(|track| self.resume.segments.get(track).copied().unwrap_or(0));
        u32::try_from(committed.min().unwrap_or(0)).unwrap_or(0).saturating_sub(1)
    }

    /// Where this attempt begins, from the beginning of the output.
    pub(super) fn begin(&self) -> Duration {
        self.span * self.first_segment()
    }

    /// The same with what is drawn into its pictures.
    pub(super) fn begun(mut self) -> Self {
        let begin = self.video_begin();
        for video in &mut self.videos {
            if let Video::Encode(encode) = video {
                encode.look.begin_at(begin);
                encode.begin = begin;
            }
        }
        self
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
        let packet = packet_samples(settings.codec);
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
