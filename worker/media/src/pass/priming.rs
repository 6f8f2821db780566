//! What encoders and their decoders put before the sound. No muxer writes an edit list for it: silence in front of the encoder makes the delay
//! whole packets, which are dropped, and the rest moves up.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use gst::prelude::*;
use mps_proto::v1::AudioCodec;

struct Priming {
    /// Samples of silence put in front.
    silence: i64,
    /// Samples by which the packets move up.
    shift: i64,
}

/// How far containers' clocks round.
const ROUNDING: gst::ClockTime = gst::ClockTime::from_mseconds(3);

/// Takes the delay of an encoder out. `entry`: where its samples come in; `exit`: where its packets, parsed, go out.
pub fn take_out(codec: AudioCodec, entry: &gst::Pad, exit: &gst::Pad, sample_rate_hz: i32) {
    let Some(priming) = priming(codec) else { return };
    put_silence(entry, priming.silence, sample_rate_hz);
    drop_first(exit, priming.shift, sample_rate_hz);
}

/// Lets packets behind the end of the samples pass.
pub fn keep_end(entry: &gst::Pad) {
    put_silence(entry, 0, 1);
}

/// Measured with GStreamer 1.22: the delay of encoder and decoder together in samples, and the length of a packet.
fn priming(codec: AudioCodec) -> Option<Priming> {
    let whole = |delay: i64, packet: i64| {
        Some(Priming {
            silence: (packet - delay % packet) % packet,
            shift: packet,
        })
    };
    match codec {
        AudioCodec::Aac => whole(1024, 1024),
        // LAME (576) and every decoder (529). Later packets lean on the bits of earlier ones: no silence, so that the second one is whole.
        AudioCodec::Mp3 => Some(Priming { silence: 0, shift: 1105 }),
        AudioCodec::Mp2 => whole(481, 1152),
        AudioCodec::Ac3 | AudioCodec::Eac3 => whole(256, 1536),
        _ => None,
    }
}

/// Puts silence in front of the first samples and moves the others back by it.
fn put_silence(entry: &gst::Pad, samples: i64, sample_rate_hz: i32) {
    let moved = gst::ClockTime::from_nseconds(nanoseconds(samples, sample_rate_hz).unsigned_abs());
    let first = AtomicBool::new(samples > 0);
    entry.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if let Some(endless) = endless_segment(event) {
                    *event = endless;
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                if first.swap(false, Relaxed) {
                    if let Some(padded) = with_silence(pad, buffer, samples) {
                        *buffer = padded;
                    }
                } else if let Some(pts) = buffer.pts().filter(|_| samples > 0) {
                    buffer.make_mut().set_pts(pts + moved);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// The segment without its end: the last packets lie behind it until they move up, and parsers drop what lies behind the end.
fn endless_segment(event: &gst::Event) -> Option<gst::Event> {
    let gst::EventView::Segment(segment) = event.view() else {
        return None;
    };
    let mut endless = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
    endless.set_stop(gst::ClockTime::NONE);
    Some(gst::event::Segment::builder(&endless).seqnum(event.seqnum()).build())
}

fn with_silence(pad: &gst::Pad, buffer: &gst::Buffer, samples: i64) -> Option<gst::Buffer> {
    let caps = pad.current_caps()?;
    let info = gst_audio::AudioInfo::from_caps(&caps).ok()?;
    let silent_bytes = usize::try_from(samples).ok()? * usize::try_from(info.bpf()).ok()?;
    // All formats of encoders are signed: silence is zero.
    let mut bytes = vec![0u8; silent_bytes];
    bytes.extend_from_slice(&buffer.map_readable().ok()?);
    let mut padded = gst::Buffer::from_mut_slice(bytes);
    let target = padded.get_mut()?;
    buffer
        .copy_into(target, gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS, ..)
        .ok()?;
    let silent = gst::ClockTime::from_nseconds(nanoseconds(samples, info.rate() as i32).unsigned_abs());
    target.set_duration(buffer.duration().map(|length| length + silent));
    Some(padded)
}

/// The first packet goes, the rest moves up. Clocks of containers round: a second packet that would begin before zero begins at zero, since
/// muxers drop what is before it.
fn drop_first(pad: &gst::Pad, shift_samples: i64, sample_rate_hz: i32) {
    let shift = nanoseconds(shift_samples, sample_rate_hz);
    let seen = AtomicU32::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        match (seen.fetch_add(1, Relaxed), &mut info.data) {
            (0, _) => return gst::PadProbeReturn::Drop,
            (1, Some(gst::PadProbeData::Buffer(buffer))) => {
                if let Some(pts) = not_before(pad, buffer, gst::ClockTime::from_nseconds(shift.unsigned_abs())) {
                    let buffer = buffer.make_mut();
                    buffer.set_pts(pts);
                    buffer.set_dts(pts);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    pad.set_offset(-shift);
}

/// The stamp that puts a buffer at a running time, when it comes a little before it.
fn not_before(pad: &gst::Pad, buffer: &gst::Buffer, time: gst::ClockTime) -> Option<gst::ClockTime> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    let pts = buffer.pts()?;
    let missing = time.checked_sub(segment.to_running_time(pts)?)?;
    (missing < ROUNDING).then(|| pts + missing)
}

fn nanoseconds(samples: i64, sample_rate_hz: i32) -> i64 {
    samples * 1_000_000_000 / i64::from(sample_rate_hz.max(1))
}
