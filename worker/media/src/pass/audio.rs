//! The branch from decoded sound to compressed audio. Nodes that want the same sound share one encoder.

use std::sync::Arc;

use gst::prelude::*;
use mps_proto::{
    v1::{AudioCodec, ErrorReason},
    worker::v1::Failure,
};

use super::{
    channels,
    clip::Window,
    counters::{self, Counters},
    elements::{broken, caps_filter, link, make, pad, raw_branch, sound_queue},
    mp3_header, priming,
    tags::{self, Kept},
};
use crate::{
    capabilities,
    enhance::sound::{self, Treatment},
    failure,
};

/// How sound is encoded, with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioEncode {
    pub codec: AudioCodec,
    pub bitrate_bps: i64,
    pub sample_rate_hz: i32,
    pub channels: i32,
    /// Whether lossless codecs keep more than 16 bits of a sample.
    pub wide: bool,
    /// Noise reduction, gain and limit.
    pub treatment: Treatment,
    /// Whether silence stands where the input has no sound, from the very beginning.
    pub filled: bool,
    /// Whether the file says itself what encoder and decoder add to the sound: then nothing is left out.
    pub says_delay: bool,
    /// Of an encoder that writes tags into its own header: which of the input's.
    pub own_tags: Option<Kept>,
}

/// Bit rates in kbit/s that MP3 has; any other is an average.
const MP3_KBPS: [i32; 14] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
/// Bit rates in kbit/s of layer II from 32 kHz on, and below.
const MP2_KBPS: [i32; 14] = [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const MP2_LOW_KBPS: [i32; 14] = [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// Speakers of 5.1: front left, right, centre, low frequencies, rear left, right.
const SURROUND_MASK: u64 = 0x3f;

/// Builds an encoder and a tee of its packets; several tees are mixed. `node` is the first of those that use it.
pub fn encode(
    pipeline: &gst::Pipeline,
    tees: &[gst::Element],
    node: usize,
    prefix: &str,
    job: &AudioEncode,
    window: &Window,
    counters: &Arc<Counters>,
) -> Result<gst::Element, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let raw = raw(pipeline, tees, prefix, job, window)?;
    let encoder = encoder(pipeline, &name("encode"), job)?;
    counters::count(&pad(&encoder, "sink")?, counters, move |counters| {
        counters.nodes.get(node).map(|node| &node.audio)
    });
    let packets = make(pipeline, "tee", &name("packets"))?;
    let mut chain = vec![raw, encoder.clone()];
    if let Some(parser) = parser(job.codec) {
        chain.push(make(pipeline, parser, &name("parse"))?);
    }
    let last = chain.last().cloned().ok_or_else(|| broken("empty chain"))?;
    chain.push(packets.clone());
    let (entry, exit) = (pad(&encoder, "sink")?, pad(&last, "src")?);
    if let Some(kept) = job.own_tags {
        tags::filter(&entry, kept, true);
    }
    if job.says_delay {
        priming::keep_end(&entry);
        mp3_header::tell_samples(&entry, &exit);
    } else {
        priming::take_out(job.codec, &entry, &exit, job.sample_rate_hz);
    }
    link(&chain.iter().collect::<Vec<_>>())?;
    Ok(packets)
}

/// Samples as the encoder takes them, treated; gives the last element.
pub fn raw(
    pipeline: &gst::Pipeline,
    tees: &[gst::Element],
    prefix: &str,
    job: &AudioEncode,
    window: &Window,
) -> Result<gst::Element, Failure> {
    let treatment = treatment(pipeline, prefix, job)?;
    let last = match tees {
        [tee] => track(pipeline, tee, prefix, window, treatment, job.channels, &raw_caps(job))?,
        _ => mix(pipeline, tees, prefix, job, window, treatment)?,
    };
    if !job.filled {
        return Ok(last);
    }
    let fill = make(pipeline, "audiorate", &format!("{prefix}-fill"))?;
    link(&[&last, &fill])?;
    stamp_by_running_time(&pad(&fill, "sink")?);
    Ok(fill)
}

/// Stamps buffers with their running time, so that sound that begins late shows as a gap: an edit list only says so in the segment.
fn stamp_by_running_time(pad: &gst::Pad) {
    let told = std::sync::Mutex::new(None::<gst::FormattedSegment<gst::ClockTime>>);
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER, move |_, info| {
        let Ok(mut told) = told.lock() else {
            return gst::PadProbeReturn::Ok;
        };
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                let nothing = || gst::event::CustomDownstream::new(gst::Structure::new_empty("mps-nothing"));
                let replacement = match event.view() {
                    // A demuxer tells of gaps where the film jumps, and brings the sound later.
                    gst::EventView::Gap(_) => Some(nothing()),
                    gst::EventView::Segment(segment) => segment.segment().downcast_ref::<gst::ClockTime>().map(|segment| {
                        // One segment for all: to a second one the sound would seem to begin anew.
                        match told.replace(segment.clone()) {
                            None => gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()),
                            Some(_) => nothing(),
                        }
                    }),
                    _ => None,
                };
                if let Some(replacement) = replacement {
                    *event = replacement;
                }
            }
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let time = told
                    .as_ref()
                    .zip(buffer.pts())
                    .and_then(|(segment, pts)| segment.to_running_time(pts));
                if let Some(time) = time {
                    buffer.make_mut().set_pts(time);
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Elements that improve the sound.
fn treatment(pipeline: &gst::Pipeline, prefix: &str, job: &AudioEncode) -> Result<Vec<gst::Element>, Failure> {
    if job.treatment.is_idle() {
        return Ok(Vec::new());
    }
    sound::elements(pipeline, prefix, job.treatment, job.sample_rate_hz, job.channels)
}

/// One track up to samples of the wanted form.
fn track(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    prefix: &str,
    window: &Window,
    treatment: Vec<gst::Element>,
    count: i32,
    caps: &gst::Caps,
) -> Result<gst::Element, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let (branch_pad, guard) = raw_branch(pipeline, tee, &name("guard"))?;
    window.apply_to_audio(tee, &branch_pad);
    let filter = caps_filter(pipeline, &name("format"), caps)?;
    let mut chain = vec![guard, sound_queue(pipeline, &name("queue"))?];
    chain.extend(treatment);
    chain.extend([
        channels::mixer(pipeline, &name("convert"), count)?,
        make(pipeline, "audioresample", &name("resample"))?,
        filter.clone(),
    ]);
    link(&chain.iter().collect::<Vec<_>>())?;
    Ok(filter)
}

/// All tracks as one, each as loud as leaves room for the others.
fn mix(
    pipeline: &gst::Pipeline,
    tees: &[gst::Element],
    prefix: &str,
    job: &AudioEncode,
    window: &Window,
    treatment: Vec<gst::Element>,
) -> Result<gst::Element, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let mixer = make(pipeline, "audiomixer", &name("mix"))?;
    let caps = raw_builder(job).field("format", "F32LE").field("layout", "interleaved").build();
    for (number, tee) in tees.iter().enumerate() {
        let last = track(
            pipeline,
            tee,
            &name(&format!("track{number}")),
            window,
            Vec::new(),
            job.channels,
            &caps,
        )?;
        let entry = mixer
            .request_pad_simple("sink_%u")
            .ok_or_else(|| broken("the mixer gives no pad"))?;
        entry.set_property("volume", 1.0 / tees.len() as f64);
        pad(&last, "src")?.link(&entry).map_err(|error| broken(&error.to_string()))?;
    }
    let filter = caps_filter(pipeline, &name("mixed"), &raw_caps(job))?;
    let mut chain = vec![mixer];
    chain.extend(treatment);
    chain.extend([
        make(pipeline, "audioconvert", &name("mixed-convert"))?,
        make(pipeline, "audioresample", &name("mixed-resample"))?,
        filter.clone(),
    ]);
    link(&chain.iter().collect::<Vec<_>>())?;
    Ok(filter)
}

fn raw_builder(job: &AudioEncode) -> gst::caps::Builder<gst::caps::NoFeature> {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("rate", job.sample_rate_hz)
        .field("channels", job.channels);
    match job.channels {
        6 => caps.field("channel-mask", gst::Bitmask::new(SURROUND_MASK)),
        _ => caps,
    }
}

fn raw_caps(job: &AudioEncode) -> gst::Caps {
    let caps = raw_builder(job);
    match job.codec {
        AudioCodec::Pcm16 => caps.field("format", "S16LE").build(),
        AudioCodec::Pcm24 => caps.field("format", "S24LE").build(),
        AudioCodec::Flac if !job.wide => caps.field("format", "S16LE").build(),
        _ => caps.build(),
    }
}

fn encoder(pipeline: &gst::Pipeline, name: &str, job: &AudioEncode) -> Result<gst::Element, Failure> {
    let factory = capabilities::audio_encoder(job.codec);
    if gst::ElementFactory::find(factory).is_none() {
        return Err(failure::data(
            ErrorReason::Unsupported,
            format!(
                "this worker has no encoder for {}: GStreamer's element {factory} is missing",
                job.codec.as_str_name()
            ),
            &format!("install the Debian package {}", capabilities::package_of(factory)),
        ));
    }
    let encoder = make(pipeline, factory, name)?;
    let bps = i32::try_from(job.bitrate_bps).unwrap_or(128_000);
    match job.codec {
        AudioCodec::Mp3 => {
            encoder.set_property_from_str("target", "bitrate");
            let kbps = (bps / 1000).clamp(8, 320);
            encoder.set_property("cbr", MP3_KBPS.contains(&kbps));
            encoder.set_property("bitrate", kbps);
        }
        AudioCodec::Mp2 => {
            encoder.set_property_from_str("mode", if job.channels == 1 { "mono" } else { "stereo" });
            encoder.set_property_from_str("bitrate", &mp2_kbps(bps / 1000, job).to_string());
        }
        AudioCodec::Aac | AudioCodec::Ac3 | AudioCodec::Eac3 => encoder.set_property_from_str("bitrate", &bps.to_string()),
        AudioCodec::Opus => {
            encoder.set_property("bitrate", bps);
            encoder.set_property_from_str("bitrate-type", "vbr");
        }
        AudioCodec::Vorbis => encoder.set_property("bitrate", bps),
        _ => {}
    }
    Ok(encoder)
}

/// The rate that layer II has next to a wanted one; stereo begins at 64 and mono ends at 192 kbit/s (ISO/IEC 11172-3).
fn mp2_kbps(wanted: i32, job: &AudioEncode) -> i32 {
    let low = job.sample_rate_hz < 32_000;
    let rates = if low { MP2_LOW_KBPS } else { MP2_KBPS };
    let fits = |rate: &i32| low || if job.channels == 1 { *rate <= 192 } else { *rate >= 64 };
    rates
        .into_iter()
        .filter(fits)
        .min_by_key(|rate| (rate - wanted).abs())
        .unwrap_or(128)
}

fn parser(codec: AudioCodec) -> Option<&'static str> {
    match codec {
        AudioCodec::Mp3 | AudioCodec::Mp2 => Some("mpegaudioparse"),
        AudioCodec::Ac3 | AudioCodec::Eac3 => Some("ac3parse"),
        AudioCodec::Vorbis | AudioCodec::Opus | AudioCodec::Flac | AudioCodec::Pcm16 | AudioCodec::Pcm24 => None,
        _ => Some("aacparse"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(codec: AudioCodec, rate: i32, channels: i32, bitrate_bps: i64) -> AudioEncode {
        AudioEncode {
            codec,
            bitrate_bps,
            sample_rate_hz: rate,
            channels,
            wide: false,
            treatment: Treatment::default(),
            filled: false,
            says_delay: false,
            own_tags: None,
        }
    }

    /// Packets that the encoder gives of a tenth of a second, or what it says instead.
    fn packets(job: &AudioEncode) -> Result<u64, String> {
        let pipeline = gst::Pipeline::new();
        let running = crate::pass::Running(pipeline.clone());
        let source = make(&pipeline, "audiotestsrc", "source").unwrap();
        source.set_property("num-buffers", 3);
        source.set_property_from_str("wave", "white-noise");
        source.set_property("samplesperbuffer", job.sample_rate_hz / 30);
        let convert = make(&pipeline, "audioconvert", "convert").unwrap();
        let filter = caps_filter(&pipeline, "form", &raw_caps(job)).unwrap();
        let encoder = encoder(&pipeline, "encoder", job).unwrap();
        let sink = make(&pipeline, "fakesink", "sink").unwrap();
        let counters = Arc::new(Counters::default());
        counters::count(&pad(&sink, "sink").unwrap(), &counters, |counters| Some(&counters.decoded_sound));
        link(&[&source, &convert, &filter, &encoder, &sink]).unwrap();
        let _ = pipeline.set_state(gst::State::Playing);
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(10), &kinds);
        drop(running);
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(counters.decoded_sound.count()),
            Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
            _ => Err("no end".into()),
        }
    }

    #[test]
    fn every_bit_rate_that_the_plan_allows_starts() {
        crate::init().unwrap();
        let codecs = [
            AudioCodec::Aac,
            AudioCodec::Mp3,
            AudioCodec::Mp2,
            AudioCodec::Ac3,
            AudioCodec::Eac3,
            AudioCodec::Opus,
            AudioCodec::Vorbis,
        ];
        let mut wrong = Vec::new();
        for codec in codecs {
            let rates: &[i32] = match codec {
                AudioCodec::Opus => &[16_000, 24_000, 48_000],
                AudioCodec::Ac3 | AudioCodec::Eac3 => &[32_000, 44_100, 48_000],
                _ => &[16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
            };
            let counts: &[i32] = if [AudioCodec::Mp3, AudioCodec::Mp2].contains(&codec) {
                &[1, 2]
            } else {
                &[1, 2, 6]
            };
            for (rate, channels) in rates.iter().flat_map(|rate| counts.iter().map(|count| (*rate, *count))) {
                let (least, most) = mps_plan::audio_bitrates(codec, Some(rate), Some(channels));
                for bitrate in [least, most, 128_000.clamp(least, most)] {
                    match packets(&job(codec, rate, channels, bitrate)) {
                        Ok(count) if count > 0 => {}
                        trouble => wrong.push(format!("{codec:?} {rate} Hz {channels} channels {bitrate}: {trouble:?}")),
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
