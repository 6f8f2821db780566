//! What this machine can do: elements that are found *and* tried.

use std::{collections::BTreeSet, sync::OnceLock, time::Duration};

use gst::prelude::*;
use mps_proto::v1::{AudioCodec, VideoCodec};

use crate::pass::containers;

/// How long a trial may take; a GPU opens its device in it.
const TRIAL_DEADLINE: gst::ClockTime = gst::ClockTime::from_seconds(5);
const TRIAL_FRAMES: i32 = 5;

/// An element, what it gives, and how it is tried.
struct Candidate {
    capability: &'static str,
    element: &'static str,
    trial: Trial,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// Five small pictures through the element.
    Video,
    /// A tone through the element.
    Audio,
}

const fn candidate(capability: &'static str, element: &'static str, trial: Trial) -> Candidate {
    Candidate {
        capability,
        element,
        trial,
    }
}

/// GPU encoders first: NVIDIA, VA-API, Intel, Apple; then software, the best first.
const H264_ENCODERS: &[&str] = &[
    "nvh264enc",
    "nvcudah264enc",
    "vah264enc",
    "vah264lpenc",
    "qsvh264enc",
    "msdkh264enc",
    "amfh264enc",
    "v4l2h264enc",
    "vtenc_h264",
    "x264enc",
    "openh264enc",
];
const H265_ENCODERS: &[&str] = &[
    "nvh265enc",
    "nvcudah265enc",
    "vah265enc",
    "vah265lpenc",
    "qsvh265enc",
    "msdkh265enc",
    "amfh265enc",
    "v4l2h265enc",
    "vtenc_h265",
    "x265enc",
];
const SOFTWARE_ENCODERS: &[&str] = &["x264enc", "openh264enc", "x265enc", "av1enc", "vp8enc", "vp9enc", "mpeg2enc"];
/// Pixel format that 10 bits need.
const TEN_BITS: &str = "I420_10LE";

/// Encoders of each codec, with the Debian package that brings the software one.
fn video_encoders(codec: VideoCodec) -> (&'static [&'static str], &'static str) {
    match codec {
        VideoCodec::H264 => (H264_ENCODERS, "gstreamer1.0-plugins-ugly"),
        VideoCodec::H265 => (H265_ENCODERS, "gstreamer1.0-plugins-bad"),
        VideoCodec::Av1 => (&["av1enc"], "gstreamer1.0-plugins-bad"),
        VideoCodec::Vp8 => (&["vp8enc"], "gstreamer1.0-plugins-good"),
        VideoCodec::Vp9 => (&["vp9enc"], "gstreamer1.0-plugins-good"),
        VideoCodec::Mpeg2 => (&["mpeg2enc"], "gstreamer1.0-plugins-bad"),
        _ => (&[], "gstreamer1.0-plugins-base"),
    }
}

/// Debian package that brings a software encoder of a codec.
pub fn video_package(codec: VideoCodec) -> &'static str {
    video_encoders(codec).1
}

/// Capabilities of video encoders: codec and bits.
const VIDEO: &[(&str, VideoCodec, i32)] = &[
    ("encode.h264", VideoCodec::H264, 8),
    ("encode.h264-10", VideoCodec::H264, 10),
    ("encode.h265", VideoCodec::H265, 8),
    ("encode.h265-10", VideoCodec::H265, 10),
    ("encode.av1", VideoCodec::Av1, 8),
    ("encode.av1-10", VideoCodec::Av1, 10),
    ("encode.vp8", VideoCodec::Vp8, 8),
    ("encode.vp9", VideoCodec::Vp9, 8),
    ("encode.vp9-10", VideoCodec::Vp9, 10),
    ("encode.mpeg2", VideoCodec::Mpeg2, 8),
];

const OTHERS: &[Candidate] = &[
    candidate("encode.aac", "avenc_aac", Trial::Audio),
    candidate("encode.mp3", "lamemp3enc", Trial::Audio),
    candidate("encode.mp2", "twolamemp2enc", Trial::Audio),
    candidate("encode.ac3", "avenc_ac3", Trial::Audio),
    candidate("encode.eac3", "avenc_eac3", Trial::Audio),
    candidate("encode.opus", "opusenc", Trial::Audio),
    candidate("encode.vorbis", "vorbisenc", Trial::Audio),
    candidate("encode.flac", "flacenc", Trial::Audio),
    candidate("encode.jpeg", "jpegenc", Trial::Video),
    candidate("encode.png", "pngenc", Trial::Video),
    candidate("encode.webp", "webpenc", Trial::Video),
];

/// What needs no element: code of our own.
const OWN: &[&str] = &[
    "encode.gif",
    "encode.animated-webp",
    "mux.fmp4",
    "overlay.image",
    "overlay.svg",
    "subtitle.soft",
    "enhance.video",
    "denoise.audio",
    "loudness",
];
/// What must only be there: code of our own draws with it.
const DRAWN_BY: &[(&str, &str)] = &[("overlay.text", "textoverlay"), ("subtitle.burn-in", "assrender")];

/// The encoder of an audio codec; PCM needs none.
pub fn audio_encoder(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Mp3 => "lamemp3enc",
        AudioCodec::Mp2 => "twolamemp2enc",
        AudioCodec::Ac3 => "avenc_ac3",
        AudioCodec::Eac3 => "avenc_eac3",
        AudioCodec::Opus => "opusenc",
        AudioCodec::Vorbis => "vorbisenc",
        AudioCodec::Flac => "flacenc",
        AudioCodec::Pcm16 | AudioCodec::Pcm24 => "identity",
        _ => "avenc_aac",
    }
}

/// Debian package that brings an element.
pub fn package_of(element: &str) -> &'static str {
    match element {
        "opusenc" | "vorbisenc" | "oggmux" => "gstreamer1.0-plugins-base",
        "lamemp3enc" | "flacenc" | "vp8enc" | "vp9enc" | "mp4mux" | "qtmux" | "matroskamux" | "webmmux" | "flvmux" | "wavenc" => {
            "gstreamer1.0-plugins-good"
        }
        "twolamemp2enc" | "x264enc" => "gstreamer1.0-plugins-ugly",
        name if name.starts_with("avenc_") => "gstreamer1.0-libav",
        _ => "gstreamer1.0-plugins-bad",
    }
}

/// Caps of what workers are asked to decode, by capability.
const DECODABLE: &[(&str, &str)] = &[
    ("decode.h264", "video/x-h264,stream-format=avc,alignment=au"),
    ("decode.h265", "video/x-h265,stream-format=hvc1,alignment=au"),
    ("decode.vp8", "video/x-vp8"),
    ("decode.vp9", "video/x-vp9"),
    ("decode.av1", "video/x-av1,stream-format=obu-stream,alignment=frame"),
    ("decode.mpeg2", "video/mpeg,mpegversion=2,systemstream=false,parsed=true"),
    ("decode.mpeg4", "video/mpeg,mpegversion=4,systemstream=false,parsed=true"),
    ("decode.prores", "video/x-prores,variant=standard"),
    ("decode.aac", "audio/mpeg,mpegversion=4,stream-format=raw,framed=true"),
    ("decode.mp3", "audio/mpeg,mpegversion=1,layer=3,parsed=true"),
    ("decode.opus", "audio/x-opus"),
    ("decode.vorbis", "audio/x-vorbis"),
    ("decode.flac", "audio/x-flac,framed=true"),
    ("decode.ac3", "audio/x-ac3,framed=true,alignment=frame"),
    ("decode.jpeg", "image/jpeg"),
    ("decode.png", "image/png"),
    ("decode.webp", "image/webp"),
];

/// Names that plans ask for (the table stands in mps-plan), each after a trial of 5 frames; sorted. Takes a second or two.
pub fn discover() -> Vec<String> {
    let mut found = BTreeSet::new();
    for (capability, codec, bits) in VIDEO {
        if video_encoder(*codec, *bits).is_some_and(works) {
            found.insert((*capability).to_owned());
        }
    }
    for other in OTHERS {
        if !found.contains(other.capability) && exists(other.element) && tried(other.element, other.trial) {
            found.insert(other.capability.to_owned());
        }
    }
    // Muxers are tried with each output: here they must only be there.
    let muxers = containers::muxers().filter(|(_, muxer)| exists(muxer));
    found.extend(muxers.map(|(capability, _)| capability.to_owned()));
    let drawn = DRAWN_BY.iter().filter(|(_, element)| exists(element));
    found.extend(drawn.map(|(capability, _)| (*capability).to_owned()));
    found.extend(OWN.iter().map(|capability| (*capability).to_owned()));
    found.extend(decodable().map(str::to_owned));
    found.into_iter().collect()
}

fn decodable() -> impl Iterator<Item = &'static str> {
    let decoders: Vec<_> = gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
        .into_iter()
        .collect();
    let takes = move |caps: &str| {
        caps.parse::<gst::Caps>()
            .is_ok_and(|caps| decoders.iter().any(|factory| factory.can_sink_any_caps(&caps)))
    };
    DECODABLE
        .iter()
        .filter(move |(_, caps)| takes(caps))
        .map(|(capability, _)| *capability)
}

/// The best encoder element for a codec and bits among those that passed, by rank (GPU first); `None` when there is none.
/// GPU encoders are tried once in a process; software ones are taken when they are there.
pub fn video_encoder(codec: VideoCodec, bit_depth: i32) -> Option<&'static str> {
    static H264: OnceLock<Option<&'static str>> = OnceLock::new();
    static H265: OnceLock<Option<&'static str>> = OnceLock::new();
    let candidates = video_encoders(codec).0;
    if bit_depth > 8 {
        // Of hardware nothing is known until one takes the format.
        return candidates
            .iter()
            .find(|element| is_software(element) && takes_ten_bits(element))
            .copied();
    }
    match codec {
        VideoCodec::H264 => *H264.get_or_init(|| best(candidates)),
        VideoCodec::H265 => *H265.get_or_init(|| best(candidates)),
        _ => best(candidates),
    }
}

fn takes_ten_bits(element: &str) -> bool {
    let caps = gst::Caps::builder("video/x-raw").field("format", TEN_BITS).build();
    gst::ElementFactory::find(element).is_some_and(|factory| factory.can_sink_any_caps(&caps))
}

fn best(candidates: &[&'static str]) -> Option<&'static str> {
    candidates
        .iter()
        .find(|element| exists(element) && (is_software(element) || works(element)))
        .copied()
}

/// Whether an encoder element runs on the CPU.
pub fn is_software(element: &str) -> bool {
    SOFTWARE_ENCODERS.contains(&element)
}

fn works(element: &str) -> bool {
    tried(element, Trial::Video)
}

fn exists(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

fn tried(element: &str, trial: Trial) -> bool {
    let passed = run_trial(element, trial);
    if let Err(reason) = &passed {
        tracing::warn!(element, %reason, "an element is installed but does not work");
    }
    passed.is_ok()
}

/// Source, converter, element and sink; passes when the end of the stream comes within the deadline, behind some data.
fn run_trial(element: &str, trial: Trial) -> Result<(), String> {
    let pipeline = StoppedAtEnd(gst::Pipeline::with_name("trial"));
    let source = make(if trial == Trial::Audio { "audiotestsrc" } else { "videotestsrc" })?;
    source.set_property("num-buffers", TRIAL_FRAMES);
    let converter = make(if trial == Trial::Audio { "audioconvert" } else { "videoconvert" })?;
    let filter = make("capsfilter")?;
    filter.set_property("caps", trial_caps(trial));
    let tried = make(element)?;
    let sink = make("fakesink")?;
    let chain = [&source, &converter, &filter, &tried, &sink];
    pipeline
        .0
        .add_many(chain)
        .and_then(|()| gst::Element::link_many(chain))
        .map_err(|error| error.to_string())?;
    let bytes = count_bytes(&sink);
    pipeline.0.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    wait_for_end(&pipeline.0)?;
    match bytes.load(std::sync::atomic::Ordering::Acquire) {
        0 => Err("it gave no data".into()),
        _ => Ok(()),
    }
}

fn make(factory: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory).build().map_err(|error| error.to_string())
}

/// Small, but not below what hardware takes.
fn trial_caps(trial: Trial) -> gst::Caps {
    let builder = gst::Caps::builder(if trial == Trial::Audio { "audio/x-raw" } else { "video/x-raw" });
    match trial {
        Trial::Audio => builder.field("rate", 48_000).field("channels", 2).build(),
        _ => builder
            .field("width", 256)
            .field("height", 144)
            .field("framerate", gst::Fraction::new(25, 1))
            .build(),
    }
}

fn count_bytes(sink: &gst::Element) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let bytes = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = bytes.clone();
    if let Some(pad) = sink.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            counted.fetch_add(info.buffer().map_or(0, |buffer| buffer.size()), std::sync::atomic::Ordering::AcqRel);
            gst::PadProbeReturn::Ok
        });
    }
    bytes
}

fn wait_for_end(pipeline: &gst::Pipeline) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("no bus")?;
    let message = bus.timed_pop_filtered(TRIAL_DEADLINE, &[gst::MessageType::Eos, gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err(format!("no end within {} s", Duration::from(TRIAL_DEADLINE).as_secs())),
    }
}

struct StoppedAtEnd(gst::Pipeline);

impl Drop for StoppedAtEnd {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_debian_has_is_found_and_tried() {
        gst::init().unwrap();
        let found = discover();
        for wanted in [
            "decode.h264",
            "encode.aac",
            "encode.h264",
            "encode.jpeg",
            "encode.mp3",
            "encode.png",
            "encode.webp",
            "mux.mp4",
        ] {
            assert!(found.iter().any(|name| name == wanted), "{wanted} is missing in {found:?}");
        }
        assert!(found.is_sorted());
    }

    #[test]
    fn an_element_that_is_not_there_is_no_capability() {
        gst::init().unwrap();
        assert!(run_trial("no-such-encoder", Trial::Video).is_err());
    }
}
