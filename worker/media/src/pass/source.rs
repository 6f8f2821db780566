//! From the file to one tee of decoded pictures, one of decoded sound, and tees of both as they stand in the file.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{
    counters::{self, Counters},
    elements::{broken, caps_filter, demux_queue, link, make, pad, raw_queue},
};
use crate::{nodes::Needs, probe::InputFacts, rules};

/// The tees that branches hang on.
pub struct Source {
    pub decoded_video: Option<gst::Element>,
    pub decoded_audio: Option<gst::Element>,
    pub copied_video: Option<gst::Element>,
    pub copied_audio: Option<gst::Element>,
    /// Source pads of the demuxer's queues: where a seek waits for the first data.
    pub gates: Vec<gst::Pad>,
}

impl Source {
    /// A media file.
    pub fn file(
        pipeline: &gst::Pipeline,
        path: &Path,
        facts: &InputFacts,
        needs: Needs,
        counters: &Arc<Counters>,
    ) -> Result<Self, Failure> {
        let parse = parser(pipeline, path)?;
        let queue = demux_queue(pipeline)?;
        let mut source = Self {
            decoded_video: None,
            decoded_audio: None,
            copied_video: None,
            copied_audio: None,
            gates: Vec::new(),
        };
        let (mut video_entry, mut audio_entry) = (None, None);
        if needs.decoded_video || needs.copied_video {
            let (entry, tee) = source.entry(pipeline, &queue, "video")?;
            video_entry = Some(entry);
            if needs.decoded_video {
                let decoded = decoded_video(pipeline, facts, counters)?;
                let entry = decode(pipeline, &tee, &decoded.0, "video", counters)?;
                correct_range(&entry, facts);
                source.decoded_video = Some(decoded.1);
            }
            source.copied_video = needs.copied_video.then_some(tee);
        }
        if needs.decoded_audio || needs.copied_audio {
            let (entry, tee) = source.entry(pipeline, &queue, "audio")?;
            audio_entry = Some(entry);
            if needs.decoded_audio {
                let decoded = decoded_audio(pipeline, counters)?;
                decode(pipeline, &tee, &decoded.0, "audio", counters)?;
                source.decoded_audio = Some(decoded.1);
            }
            source.copied_audio = needs.copied_audio.then_some(tee);
        }
        let still = facts.still_picture;
        route(pipeline, &parse, video_entry, audio_entry, still);
        Ok(source)
    }

    /// Raw pictures from elsewhere, such as an animated GIF's; `head` gives RGBA.
    pub fn raw_pictures(
        pipeline: &gst::Pipeline,
        head: &gst::Element,
        facts: &InputFacts,
        counters: &Arc<Counters>,
    ) -> Result<Self, Failure> {
        let decoded = decoded_video(pipeline, facts, counters)?;
        link(&[head, &decoded.0])?;
        counters.video_decoders.store(1, Relaxed);
        Ok(Self {
            decoded_video: Some(decoded.1),
            decoded_audio: None,
            copied_video: None,
            copied_audio: None,
            gates: Vec::new(),
        })
    }

    /// A queue of the demuxer and a tee behind it.
    fn entry(&mut self, pipeline: &gst::Pipeline, queue: &gst::Element, kind: &str) -> Result<(gst::Pad, gst::Element), Failure> {
        let sink = queue
            .request_pad_simple("sink_%u")
            .ok_or_else(|| broken("the demuxer's queue gives no pad"))?;
        let number = sink.name().trim_start_matches("sink_").to_owned();
        let gate = pad(queue, &format!("src_{number}"))?;
        let tee = make(pipeline, "tee", &format!("{kind}-parsed"))?;
        gate.link(&pad(&tee, "sink")?).map_err(|error| broken(&error.to_string()))?;
        self.gates.push(gate);
        Ok((sink, tee))
    }
}

/// filesrc and parsebin.
fn parser(pipeline: &gst::Pipeline, path: &Path) -> Result<gst::Element, Failure> {
    let source = make(pipeline, "filesrc", "source-file")?;
    source.set_property("location", path);
    let parse = make(pipeline, "parsebin", "source-parse")?;
    link(&[&source, &parse])?;
    Ok(parse)
}

/// Links the first film and the first sound to their entries; everything else ends in nothing.
fn route(pipeline: &gst::Pipeline, parse: &gst::Element, video: Option<gst::Pad>, audio: Option<gst::Pad>, still: bool) {
    let weak = pipeline.downgrade();
    let (video_pad, audio_pad) = (video.clone(), audio.clone());
    parse.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let kind = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
        let entry = if kind.starts_with("video/") || (still && kind.starts_with("image/")) || is_motion_jpeg(&kind, &caps) {
            video_pad.as_ref()
        } else if kind.starts_with("audio/") {
            audio_pad.as_ref()
        } else {
            None
        };
        match entry.filter(|entry| !entry.is_linked()) {
            Some(entry) if pad.link(entry).is_ok() => {}
            _ => discard(&pipeline, pad),
        }
    });
    let weak = pipeline.downgrade();
    parse.connect_no_more_pads(move |_| {
        let missing = video.iter().chain(&audio).any(|entry| !entry.is_linked());
        if let Some(pipeline) = weak.upgrade().filter(|_| missing) {
            let message = gst::message::Error::builder(gst::StreamError::Demux, "a stream that the header names is not in the file")
                .src(&pipeline)
                .build();
            let _ = pipeline.post_message(message);
        }
    });
}

/// Motion JPEG is film although its type is a picture's.
fn is_motion_jpeg(kind: &str, caps: &gst::Caps) -> bool {
    let rate = caps
        .structure(0)
        .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok());
    kind == "image/jpeg" && rate.is_some_and(|rate| rate.numer() > 0)
}

fn discard(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let Ok(sink) = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()
    else {
        return;
    };
    if pipeline.add(&sink).is_err() {
        return;
    }
    let _ = sink.sync_state_with_parent();
    if let Some(entry) = sink.static_pad("sink") {
        let _ = pad.link(&entry);
    }
}

/// A decoder between the tee of parsed media and a chain of raw media; gives the pad in front of it.
fn decode(
    pipeline: &gst::Pipeline,
    parsed: &gst::Element,
    raw: &gst::Element,
    kind: &str,
    counters: &Arc<Counters>,
) -> Result<gst::Pad, Failure> {
    let queue = raw_queue(pipeline, &format!("{kind}-decode-queue"))?;
    let decoder = make(pipeline, "decodebin", &format!("{kind}-decode"))?;
    link(&[parsed, &queue, &decoder])?;
    if kind == "video" {
        count_decoders(&decoder, counters);
    }
    let weak = raw.downgrade();
    decoder.connect_pad_added(move |_, pad| {
        let entry = weak.upgrade().and_then(|raw| raw.static_pad("sink"));
        if let Some(entry) = entry.filter(|entry| !entry.is_linked()) {
            let _ = pad.link(&entry);
        }
    });
    pad(&queue, "src")
}

fn count_decoders(decoder: &gst::Element, counters: &Arc<Counters>) {
    let Some(bin) = decoder.downcast_ref::<gst::Bin>() else { return };
    let counters = counters.clone();
    bin.connect_element_added(move |_, element| {
        let class = element
            .factory()
            .map(|factory| factory.metadata("klass").unwrap_or_default().to_owned())
            .unwrap_or_default();
        if class.contains("Decoder") && (class.contains("Video") || class.contains("Image")) {
            counters.video_decoders.fetch_add(1, Relaxed);
        }
    });
}

/// Whether the film's colours use the full range, as those of JPEG do.
fn is_full_range(facts: &InputFacts) -> bool {
    rules::film(facts).is_some_and(|stream| {
        let colorimetry = stream.video.as_ref().map_or("", |video| video.colorimetry.as_str());
        colorimetry.starts_with("1:") || ["jpeg", "mjpeg"].contains(&stream.codec.as_str())
    })
}

/// Tells the decoder the range that MP4's demuxer does not.
fn correct_range(entry: &gst::Pad, facts: &InputFacts) {
    let video = rules::film(facts).and_then(|stream| stream.video.as_ref());
    let Some(colorimetry) = video.map(|video| video.colorimetry.clone()).filter(|told| told.starts_with("1:")) else {
        return;
    };
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
        {
            let mut caps = told.caps_owned();
            caps.make_mut().set("colorimetry", colorimetry.as_str());
            *event = gst::event::Caps::new(&caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Upright, progressive pictures: the chain's first element and the tee at its end.
fn decoded_video(pipeline: &gst::Pipeline, facts: &InputFacts, counters: &Arc<Counters>) -> Result<(gst::Element, gst::Element), Failure> {
    let video = rules::film(facts).and_then(|stream| stream.video.clone()).unwrap_or_default();
    let mut chain = vec![make(pipeline, "identity", "video-raw")?];
    if is_full_range(facts) {
        // By way of RGB: between two YUV formats of one matrix the scaler leaves the range as it is.
        chain.push(make(pipeline, "videoconvert", "video-range-convert")?);
        let caps = gst::Caps::builder("video/x-raw").field("format", "BGRx").build();
        chain.push(caps_filter(pipeline, "video-range", &caps)?);
    }
    if video.interlaced {
        chain.push(make(pipeline, "videoconvert", "video-deinterlace-convert")?);
        let deinterlace = make(pipeline, "deinterlace", "video-deinterlace")?;
        // The method yadif stamps two pictures alike in 1.22.
        deinterlace.set_property_from_str("method", "greedyh");
        // One picture per frame, not per field.
        deinterlace.set_property_from_str("fields", "top");
        chain.push(deinterlace);
    }
    if let Some(direction) = match video.rotation_deg {
        90 => Some("90r"),
        180 => Some("180"),
        270 => Some("90l"),
        _ => None,
    } {
        let flip = make(pipeline, "videoflip", "video-upright")?;
        flip.set_property_from_str("video-direction", direction);
        chain.push(flip);
    }
    let tee = make(pipeline, "tee", "video-tee")?;
    counters::count(&pad(&tee, "sink")?, counters, |counters| Some(&counters.decoded));
    chain.push(tee.clone());
    link(&chain.iter().collect::<Vec<_>>())?;
    let head = chain.first().cloned().ok_or_else(|| broken("empty chain"))?;
    Ok((head, tee))
}

fn decoded_audio(pipeline: &gst::Pipeline, counters: &Arc<Counters>) -> Result<(gst::Element, gst::Element), Failure> {
    let head = make(pipeline, "identity", "audio-raw")?;
    let tee = make(pipeline, "tee", "audio-tee")?;
    counters::count(&pad(&tee, "sink")?, counters, |counters| Some(&counters.decoded_sound));
    link(&[&head, &tee])?;
    Ok((head, tee))
}
