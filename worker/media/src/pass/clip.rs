//! Clips and the first samples of MP3: what of a tee's stream a branch takes, exact to the frame and to the sample.

use std::time::Duration;

use gst::prelude::*;

use crate::rules::Clip;

/// A branch of a tee that takes a part of the stream. `base`: media time at which running time begins (the start of a seek).
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub clip: Clip,
    pub base: Duration,
    /// Media time is this much earlier than the stamps say (an edit list that was taken out, or MP3's encoder and decoder delay).
    pub delay: Duration,
}

impl Window {
    fn is_whole(&self) -> bool {
        self.clip.start <= self.base && self.clip.end.is_none() && self.delay.is_zero()
    }

    /// Takes pictures whose middle lies inside the clip; its start becomes zero.
    pub fn apply_to_video(&self, tee: &gst::Element, branch: &gst::Pad) {
        if self.is_whole() {
            return;
        }
        let Some(source) = tee.static_pad("sink") else { return };
        let (start, end) = (
            clock(self.clip.start + self.delay),
            self.clip.end.map(|end| clock(end + self.delay)),
        );
        branch.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(buffer) = info.buffer() else {
                return gst::PadProbeReturn::Ok;
            };
            let half = buffer.duration().map_or(gst::ClockTime::MSECOND, |length| length / 2);
            match stream_time(&source, buffer) {
                Some(time) if time + half < start => gst::PadProbeReturn::Drop,
                Some(time) if end.is_some_and(|end| time + half >= end) => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Ok,
            }
        });
        self.rebase(branch);
    }

    /// Takes samples inside the clip; its start becomes zero.
    pub fn apply_to_audio(&self, tee: &gst::Element, branch: &gst::Pad) {
        if self.is_whole() {
            return;
        }
        let Some(source) = tee.static_pad("sink") else { return };
        let (start, end) = (
            clock(self.clip.start + self.delay),
            self.clip.end.map(|end| clock(end + self.delay)),
        );
        branch.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
                return gst::PadProbeReturn::Ok;
            };
            match cut(&source, buffer, start, end) {
                Some(Some(inside)) => *buffer = inside,
                Some(None) => return gst::PadProbeReturn::Drop,
                None => {}
            }
            gst::PadProbeReturn::Ok
        });
        self.rebase(branch);
    }

    /// Running time of the branch begins with the clip: its segment is replaced, so that what stands before it has negative time.
    fn rebase(&self, branch: &gst::Pad) {
        self.replace_segment(branch, self.clip.end.map(|end| clock(end + self.delay)));
    }

    fn replace_segment(&self, branch: &gst::Pad, end: Option<gst::ClockTime>) {
        let start = clock(self.clip.start + self.delay);
        branch.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(gst::PadProbeData::Event(event)) = &mut info.data else {
                return gst::PadProbeReturn::Ok;
            };
            if let Some(replacement) = clipped_segment(event, start, end) {
                *event = replacement;
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// A segment event that begins at a media time; `None` for other events.
fn clipped_segment(event: &gst::Event, start: gst::ClockTime, end: Option<gst::ClockTime>) -> Option<gst::Event> {
    let gst::EventView::Segment(segment) = event.view() else {
        return None;
    };
    let old = segment.segment().downcast_ref::<gst::ClockTime>()?;
    // Media time and stamps run at one pace; the start may lie outside the old segment.
    let begin = old.start()? + start.saturating_sub(old.time()?);
    let mut new = gst::FormattedSegment::<gst::ClockTime>::new();
    new.set_start(begin);
    new.set_time(gst::ClockTime::ZERO);
    new.set_stop(end.map(|end| begin + end.saturating_sub(start)).or(old.stop()));
    Some(gst::event::Segment::builder(&new).seqnum(event.seqnum()).build())
}

/// Media time of a buffer: its stamp seen through the segment, which edit lists and B-frames shift.
pub fn stream_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>()?.to_stream_time(buffer.pts()?)
}

/// Running time of a buffer on a pad in nanoseconds; negative before zero.
pub fn running_ns(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<i64> {
    running_ns_at(pad, buffer.pts()?)
}

/// The same of any stamp.
pub fn running_ns_at(pad: &gst::Pad, stamp: gst::ClockTime) -> Option<i64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    match segment.to_running_time_full(stamp)? {
        gst::Signed::Positive(time) => i64::try_from(time.nseconds()).ok(),
        gst::Signed::Negative(time) => i64::try_from(time.nseconds()).ok().map(|time| -time),
    }
}

/// The part of a sound buffer inside the clip; `None` when it cannot be said, and the buffer stays as it is.
fn cut(pad: &gst::Pad, buffer: &gst::Buffer, start: gst::ClockTime, end: Option<gst::ClockTime>) -> Option<Option<gst::Buffer>> {
    let pts = buffer.pts()?;
    let time = stream_time(pad, buffer)?;
    let caps = pad.current_caps()?;
    let info = gst_audio::AudioInfo::from_caps(&caps).ok()?;
    // The clip in the buffer's own stamps.
    let in_stamps = |media: gst::ClockTime| (media + pts).saturating_sub(time);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(in_stamps(start));
    if let Some(end) = end {
        segment.set_stop(in_stamps(end));
    }
    Some(gst_audio::audio_buffer_clip(
        buffer.clone(),
        segment.upcast_ref(),
        info.rate(),
        info.bpf(),
    ))
}

/// As GStreamer's time.
pub fn clock(time: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
}
