//! Clips and the first samples of MP3: what of a tee's stream a branch takes, exact to the frame and to the sample.

use std::time::Duration;

use gst::prelude::*;

use crate::{rules::Clip, timeline::nanoseconds};

/// A branch of a tee that takes a part of the stream. Behind decoders stamps are the input's own time; packets of copies have the demuxer's.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub clip: Clip,
    /// Own time is so many nanoseconds earlier than the stamps say.
    pub delay: i64,
}

/// A picture that stands long is taken when at least half of this is seen of it.
const SEEN: gst::ClockTime = gst::ClockTime::from_mseconds(100);

impl Window {
    /// The same with what is read before it: its running time begins that much earlier.
    pub fn led(self, lead: Duration) -> Self {
        let by = lead.min(self.clip.start);
        let rest = lead - by;
        Self {
            clip: Clip {
                start: self.clip.start - by,
                end: self.clip.end.map(|end| end + rest),
            },
            delay: self.delay - nanoseconds(rest),
        }
    }

    /// Of raw media.
    pub fn raw(clip: Clip) -> Self {
        Self { clip, delay: 0 }
    }

    /// Where it begins in nanoseconds of stamps; below zero where nothing is shown before the first of them.
    pub fn begin(&self) -> i64 {
        nanoseconds(self.clip.start) + self.delay
    }

    pub fn end(&self) -> Option<i64> {
        self.clip.end.map(|end| nanoseconds(end) + self.delay)
    }

    pub fn is_whole(&self) -> bool {
        self.clip == Clip::WHOLE && self.delay == 0
    }

    /// Takes pictures of which half is seen inside the clip, and cuts what reaches over its ends; its start becomes zero.
    pub fn apply_to_video(&self, branch: &gst::Pad) {
        if self.is_whole() {
            return;
        }
        let (start, end) = (clock(self.clip.start), self.clip.end.map(clock));
        branch.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else {
                return gst::PadProbeReturn::Ok;
            };
            let Some(pts) = buffer.pts() else { return gst::PadProbeReturn::Ok };
            let length = buffer.duration().unwrap_or(gst::ClockTime::MSECOND);
            let Some((from, until)) = seen(pts, length, start, end) else {
                return gst::PadProbeReturn::Drop;
            };
            if (from, until) != (pts, pts + length) {
                let buffer = buffer.make_mut();
                buffer.set_pts(from);
                buffer.set_duration(until.saturating_sub(from));
            }
            gst::PadProbeReturn::Ok
        });
        self.rebase(branch);
    }

    /// Takes samples inside the clip; its start becomes zero.
    pub fn apply_to_audio(&self, tee: &gst::Element, branch: &gst::Pad) {
        if self.is_whole() {
            return;
        }
        let Some(source) = tee.static_pad("sink") else { return };
        let (start, end) = (at(self.begin()), self.end().map(at));
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
        self.replace_segment(branch, self.end().map(at));
    }

    fn replace_segment(&self, branch: &gst::Pad, end: Option<gst::ClockTime>) {
        let start = at(self.begin());
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

/// Gives the only picture of a still input its length, from the beginning on.
pub fn show_for(branch: &gst::Pad, length: Duration) {
    let length = clock(length);
    branch.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::ZERO);
            buffer.set_duration(length);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The part of a picture that is seen inside a clip; `None`: too little of it.
fn seen(
    from: gst::ClockTime,
    length: gst::ClockTime,
    start: gst::ClockTime,
    end: Option<gst::ClockTime>,
) -> Option<(gst::ClockTime, gst::ClockTime)> {
    let least = length.min(SEEN) / 2;
    let until = from + length;
    if from < start && until < start + least {
        return None;
    }
    if end.is_some_and(|end| from + least >= end) {
        return None;
    }
    Some((from.max(start), end.map_or(until, |end| until.min(end))))
}

/// A segment event whose running time is zero at a media time; `None` for other events.
fn clipped_segment(event: &gst::Event, start: gst::ClockTime, end: Option<gst::ClockTime>) -> Option<gst::Event> {
    let gst::EventView::Segment(segment) = event.view() else {
        return None;
    };
    let old = segment.segment().downcast_ref::<gst::ClockTime>()?;
    let (old_start, old_time) = (old.start()?, old.time()?);
    // Media time and stamps run at one pace; the start may lie outside the old segment.
    let late = old_time.saturating_sub(start);
    let mut new = gst::FormattedSegment::<gst::ClockTime>::new();
    new.set_start(old_start + start.saturating_sub(old_time));
    new.set_base(late);
    new.set_time(late);
    new.set_stop(end.map(|end| old_start + end.saturating_sub(old_time)).or(old.stop()));
    Some(gst::event::Segment::builder(&new).seqnum(event.seqnum()).build())
}

/// A segment event that begins at the input's zero instead of where a seek went to: what a decoder gives before that is cut later, by
/// times that are true, and not by the decoder, which takes every picture for as long as a frame. `None` for other events.
pub fn widened_segment(event: &gst::Event) -> Option<gst::Event> {
    let gst::EventView::Segment(segment) = event.view() else {
        return None;
    };
    let mut new = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
    let (start, time) = (new.start()?, new.time()?);
    let by = start.min(time);
    if by.is_zero() || !new.base().is_none_or(|base| base.is_zero()) {
        return None;
    }
    new.set_start(start - by);
    new.set_time(time - by);
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

/// Nanoseconds as GStreamer's time, which begins at zero.
pub fn at(ns: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(0))
}

/// As GStreamer's time.
pub fn clock(time: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(milliseconds)
    }

    #[test]
    fn a_picture_is_taken_when_half_of_it_is_seen_and_a_slide_when_it_stands() {
        assert_eq!(seen(ms(980), ms(40), ms(1000), None), Some((ms(1000), ms(1020))));
        assert_eq!(seen(ms(970), ms(40), ms(1000), None), None);
        assert_eq!(seen(ms(0), ms(4000), ms(2000), Some(ms(3000))), Some((ms(2000), ms(3000))));
        assert_eq!(seen(ms(2980), ms(40), ms(0), Some(ms(3000))), None);
        assert_eq!(seen(ms(2970), ms(40), ms(0), Some(ms(3000))), Some((ms(2970), ms(3000))));
    }

    #[test]
    fn sound_that_begins_behind_the_start_stays_late() {
        gst::init().unwrap();
        let mut late = gst::FormattedSegment::<gst::ClockTime>::new();
        late.set_time(ms(778));
        let event = gst::event::Segment::new(&late);
        let clipped = clipped_segment(&event, ms(0), Some(ms(1500))).unwrap();
        let gst::EventView::Segment(clipped) = clipped.view() else {
            panic!()
        };
        let clipped = clipped.segment().downcast_ref::<gst::ClockTime>().unwrap();
        assert_eq!(clipped.to_running_time(ms(0)), Some(ms(778)));
        assert_eq!(clipped.stop(), Some(ms(722)));
    }
}
