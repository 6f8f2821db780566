//! From the file to a tee of decoded pictures, one of each decoded track of sound, and tees of both as they stand in the file.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{
    Order,
    counters::{self, Counters},
    elements::{broken, demux_queue, guard, link, make, pad, raw_queue},
    owners::{Owners, Part},
    picture, stamps,
    streams::{self, Role},
    unparsed,
};
use crate::{
    job::Needs,
    probe::{self, InputFacts, Place},
    reading, rules,
    timeline::Epochs,
};

/// The tees that branches hang on; those of sound by the track's position.
#[derive(Default)]
pub struct Source {
    pub decoded_video: Option<gst::Element>,
    /// Interlaced where the input is.
    pub decoded_fields: Option<gst::Element>,
    pub copied_video: Option<gst::Element>,
    pub decoded_tracks: BTreeMap<usize, gst::Element>,
    pub copied_tracks: BTreeMap<usize, gst::Element>,
    /// In front of the film's decoder.
    pub decoder_entry: Option<gst::Pad>,
    /// Source pads of the demuxer's queues: where a seek waits for the first data.
    pub gates: Vec<gst::Pad>,
    pub owners: Owners,
}

/// Pads that streams of the file go to.
struct Entries {
    video: Option<gst::Pad>,
    audio: BTreeMap<usize, gst::Pad>,
}

impl Entries {
    fn of(&self, place: Place) -> Option<&gst::Pad> {
        match place {
            Place::Film => self.video.as_ref(),
            Place::Sound(track) => self.audio.get(&track),
        }
    }

    fn all(&self) -> impl Iterator<Item = &gst::Pad> {
        self.video.iter().chain(self.audio.values())
    }
}

impl Source {
    /// A media file.
    pub fn file(pipeline: &gst::Pipeline, order: &Order, needs: Needs, counters: &Arc<Counters>) -> Result<Self, Failure> {
        let parse = reading::open(pipeline, order.input, &order.facts.reading, "source").map_err(|error| broken(&error))?;
        unparsed::leave(&parse, needs);
        let queue = demux_queue(pipeline)?;
        let mut source = Self::default();
        source.owners.record(pipeline, Part::Input);
        if let Some(file) = parse.static_pad("sink").and_then(|sink| sink.peer()) {
            counters::count_input(&file, counters);
        }
        let entries = Entries {
            video: source.add_video(pipeline, &queue, order, needs, counters)?,
            audio: source.add_sound(pipeline, &queue, order, needs, counters)?,
        };
        route(pipeline, &parse, entries, order.facts, counters);
        Ok(source)
    }

    fn add_video(
        &mut self,
        pipeline: &gst::Pipeline,
        queue: &gst::Element,
        order: &Order,
        needs: Needs,
        counters: &Arc<Counters>,
    ) -> Result<Option<gst::Pad>, Failure> {
        let decodes = needs.decoded_video || needs.decoded_fields;
        if !decodes && !needs.copied_video {
            return Ok(None);
        }
        let (entry, tee) = self.entry(pipeline, queue, "video", Place::Film)?;
        if decodes {
            let head = self.add_pictures(pipeline, order, needs, counters)?;
            let pad = decode(pipeline, &tee, &head, "video", counters)?;
            correct_range(&pad, order.facts);
            self.decoder_entry = Some(pad);
            self.owners.record(pipeline, Part::Decoded(Place::Film));
        }
        self.copied_video = needs.copied_video.then_some(tee);
        Ok(Some(entry))
    }

    fn add_sound(
        &mut self,
        pipeline: &gst::Pipeline,
        queue: &gst::Element,
        order: &Order,
        needs: Needs,
        counters: &Arc<Counters>,
    ) -> Result<BTreeMap<usize, gst::Pad>, Failure> {
        let mut entries = BTreeMap::new();
        for track in needs.decoded_tracks.and(needs.copied_tracks).iter() {
            let kind = format!("audio{track}");
            let (entry, tee) = self.entry(pipeline, queue, &kind, Place::Sound(track))?;
            if needs.decoded_tracks.contains(track) {
                let (head, decoded) = decoded_audio(pipeline, &kind, order, counters)?;
                decode(pipeline, &tee, &head, &kind, counters)?;
                self.decoded_tracks.insert(track, decoded);
                self.owners.record(pipeline, Part::Decoded(Place::Sound(track)));
            }
            if needs.copied_tracks.contains(track) {
                self.copied_tracks.insert(track, tee);
            }
            entries.insert(track, entry);
        }
        Ok(entries)
    }

    /// Pictures that code of our own reads; `head` gives RGBA.
    pub fn raw_pictures(pipeline: &gst::Pipeline, head: &gst::Element, order: &Order, counters: &Arc<Counters>) -> Result<Self, Failure> {
        let mut source = Self::default();
        source.owners.record(pipeline, Part::Input);
        let needs = Needs {
            decoded_video: true,
            ..Needs::default()
        };
        let entry = source.add_pictures(pipeline, order, needs, counters)?;
        link(&[head, &entry])?;
        source.owners.record(pipeline, Part::Decoded(Place::Film));
        counters.video_decoders.store(1, Relaxed);
        Ok(source)
    }

    /// A queue of the demuxer and a tee behind it.
    fn entry(
        &mut self,
        pipeline: &gst::Pipeline,
        queue: &gst::Element,
        kind: &str,
        stream: Place,
    ) -> Result<(gst::Pad, gst::Element), Failure> {
        let sink = queue
            .request_pad_simple("sink_%u")
            .ok_or_else(|| broken("the demuxer's queue gives no pad"))?;
        let number = sink.name().trim_start_matches("sink_").to_owned();
        let gate = pad(queue, &format!("src_{number}"))?;
        let tee = make(pipeline, "tee", &format!("{kind}-parsed"))?;
        gate.link(&pad(&tee, "sink")?).map_err(|error| broken(&error.to_string()))?;
        self.gates.push(gate);
        self.owners.enter(&sink, stream);
        self.owners.record(pipeline, Part::Parsed(stream));
        Ok((sink, tee))
    }
}

/// Links the film and the wanted tracks of sound to their entries; everything else ends in nothing. A stream that the probe saw and that is
/// not there is an error at once: what waits for it would wait for ever.
fn route(pipeline: &gst::Pipeline, parse: &gst::Element, entries: Entries, facts: &InputFacts, counters: &Arc<Counters>) {
    let entries = Arc::new(entries);
    let places = facts.places();
    let (weak, ways) = (pipeline.downgrade(), entries.clone());
    let (epochs, counters) = (Arc::new(Mutex::new(Epochs::default())), counters.clone());
    parse.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let place = places.get(&reading::stream_id(pad));
        let role = match place {
            Some(Place::Film) => Role::Film,
            Some(Place::Sound(track)) => Role::Sound(*track),
            _ => Role::Other,
        };
        streams::watch(pad, role, &epochs, &counters);
        let entry = place.and_then(|place| ways.of(*place)).filter(|entry| !entry.is_linked());
        if entry.is_none_or(|entry| pad.link(entry).is_err()) {
            discard(&pipeline, pad);
        }
    });
    let weak = pipeline.downgrade();
    reading::when_all_known(parse, move |_| {
        let Some(pipeline) = weak.upgrade() else { return };
        for missing in entries.all().filter(|entry| !entry.is_linked()) {
            let message = gst::message::Error::builder(gst::StreamError::Demux, "a stream that the header names is not in the file")
                .src(missing)
                .build();
            let _ = pipeline.post_message(message);
        }
    });
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
    let guard = guard(pipeline, &format!("{kind}-decode-guard"))?;
    let queue = raw_queue(pipeline, &format!("{kind}-decode-queue"))?;
    let decoder = make(pipeline, "decodebin", &format!("{kind}-decode"))?;
    link(&[parsed, &guard, &queue, &decoder])?;
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

/// Tells the decoder the range that the film's headers tell, where the demuxer says nothing or something else.
fn correct_range(entry: &gst::Pad, facts: &InputFacts) {
    let video = rules::film(facts).and_then(|stream| stream.video.as_ref());
    let Some(full) = video.and_then(|video| probe::is_full_range(&video.colorimetry)) else {
        return;
    };
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
        {
            let mut caps = told.caps_owned();
            let colours = caps.structure(0).and_then(|caps| caps.get::<&str>("colorimetry").ok());
            let colours = probe::with_range(colours.unwrap_or_default(), full);
            if !colours.is_empty() {
                caps.make_mut().set("colorimetry", colours);
                *event = gst::event::Caps::builder(&caps).seqnum(told.seqnum()).build();
            }
        }
        gst::PadProbeReturn::Ok
    });
}

impl Source {
    /// The chain from the decoder to the tees of pictures; gives its first element.
    fn add_pictures(
        &mut self,
        pipeline: &gst::Pipeline,
        order: &Order,
        needs: Needs,
        counters: &Arc<Counters>,
    ) -> Result<gst::Element, Failure> {
        let facts = order.facts;
        let video = rules::film(facts).and_then(|stream| stream.video.clone()).unwrap_or_default();
        let timeline = order.timelines.video.clone();
        let pictures = picture::Source::of(facts);
        let mut chain = vec![stamps::element(pipeline, "video-raw", timeline, counters)?];
        if let Some(stamps) = chain.first() {
            pictures.tell_pace(&pad(stamps, "sink")?);
        }
        chain.extend(pictures.whole(pipeline)?);
        chain.push(picture::levels::element(pipeline, "video-levels")?);
        let takes_fields = video.interlaced && needs.decoded_fields;
        if takes_fields && needs.decoded_video {
            chain.extend(self.add_fields(pipeline, &pictures)?);
        }
        if takes_fields && !needs.decoded_video {
            chain.extend(pictures.steady(pipeline, "video-steady")?);
        } else {
            chain.extend(pictures.upright(pipeline)?);
        }
        let tee = make(pipeline, "tee", "video-tee")?;
        tee.set_property("allow-not-linked", true);
        counters::count_decoded(&pad(&tee, "sink")?, counters, |counters| Some(&counters.decoded));
        chain.push(tee.clone());
        link(&chain.iter().collect::<Vec<_>>())?;
        if needs.decoded_fields && self.decoded_fields.is_none() {
            self.decoded_fields = Some(tee.clone());
        }
        self.decoded_video = Some(tee);
        chain.first().cloned().ok_or_else(|| broken("empty chain"))
    }

    /// A tee of fields beside the pictures that are made of them; gives what both come from.
    fn add_fields(&mut self, pipeline: &gst::Pipeline, pictures: &picture::Source) -> Result<[gst::Element; 2], Failure> {
        let split = make(pipeline, "tee", "video-fields-split")?;
        let [scale, shape] = pictures.steady(pipeline, "video-fields-steady")?;
        let tee = make(pipeline, "tee", "video-fields-tee")?;
        tee.set_property("allow-not-linked", true);
        link(&[&split, &scale, &shape, &tee])?;
        self.decoded_fields = Some(tee);
        Ok([split, raw_queue(pipeline, "video-fields-queue")?])
    }
}

fn decoded_audio(
    pipeline: &gst::Pipeline,
    kind: &str,
    order: &Order,
    counters: &Arc<Counters>,
) -> Result<(gst::Element, gst::Element), Failure> {
    let head = stamps::element(pipeline, &format!("{kind}-raw"), order.timelines.heard.clone(), counters)?;
    let tee = make(pipeline, "tee", &format!("{kind}-tee"))?;
    counters::count_decoded(&pad(&tee, "sink")?, counters, |counters| Some(&counters.decoded_sound));
    link(&[&head, &tee])?;
    Ok((head, tee))
}
