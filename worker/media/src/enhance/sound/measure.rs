//! A pass before the pass: how loud the sound is that a node will encode.

use std::{sync::Arc, time::Duration};

use mps_proto::worker::v1::Failure;

use super::{
    chain::Treatment,
    loudness::{self, Loudness, Meter, Settled, Target},
};
use crate::{
    job::{Branch, Checking, Job, Made, Members, Needs, Preparing},
    pass::{
        self, Graph, Order, Range,
        audio::AudioEncode,
        counters::{self, NodeCounters},
        elements::{broken, caps_filter, link, make, pad},
    },
    rules::Clip,
};

/// Finds what brings the sound of tracks (one, or several that are mixed) to a target.
pub fn reach(target: Target, settings: &AudioEncode, tracks: &[usize], clip: Clip, preparing: &Preparing) -> Result<Settled, Failure> {
    loudness::settle(target, settings.treatment.denoise, &mut |treatment| {
        measured(treatment, settings, tracks, clip, preparing)
    })
}

fn measured(
    treatment: Treatment,
    settings: &AudioEncode,
    tracks: &[usize],
    clip: Clip,
    preparing: &Preparing,
) -> Result<Loudness, Failure> {
    let meter = Meter::default();
    let jobs: Vec<Box<dyn Job>> = vec![Box::new(Measure {
        settings: AudioEncode {
            treatment,
            ..settings.clone()
        },
        tracks: tracks.to_vec(),
        clip,
        meter: meter.clone(),
    })];
    let members: Members = Arc::new(|_| {});
    let order = Order {
        input: preparing.input,
        facts: preparing.facts,
        jobs: &jobs,
        folder: preparing.folder,
        max_pixels: preparing.max_pixels,
        timelines: preparing.timelines,
        members: &members,
    };
    let outcome = pass::run(&order, &|_| (preparing.tick)())?;
    match outcome.jobs.into_iter().next() {
        Some(Err(failure)) => Err(failure),
        _ => Ok(meter.loudness()),
    }
}

/// A job that makes nothing.
#[derive(Debug)]
struct Measure {
    settings: AudioEncode,
    tracks: Vec<usize>,
    clip: Clip,
    meter: Meter,
}

impl Job for Measure {
    fn needs(&self) -> Needs {
        Needs {
            decoded_tracks: self.tracks.iter().copied().collect(),
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range {
            start: self.clip.start,
            stop: self.clip.end,
        }
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        // A pass that is made again measures again.
        self.meter.reset();
        let raw = graph.raw_sound(node, &self.settings, self.clip, &self.tracks)?;
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "F32LE")
            .field("layout", "interleaved")
            .build();
        let convert = make(graph.pipeline, "audioconvert", &format!("n{node}-meter-convert"))?;
        let filter = caps_filter(graph.pipeline, &format!("n{node}-meter-format"), &caps)?;
        let sink = make(graph.pipeline, "fakesink", &format!("n{node}-meter"))?;
        gst::prelude::ObjectExt::set_property(&sink, "async", false);
        gst::prelude::ObjectExt::set_property(&sink, "sync", false);
        link(&[&raw, &convert, &filter, &sink])?;
        let entry = pad(&sink, "sink")?;
        self.meter.listen(&entry);
        counters::mark_done(&entry, graph.counters, node);
        Ok(Box::new(Nothing))
    }

    fn position(&self, _counters: &NodeCounters, _duration: Option<Duration>) -> (Option<f64>, u64) {
        (None, 0)
    }
}

struct Nothing;

impl Branch for Nothing {
    fn check(self: Box<Self>, _checking: &Checking) -> Result<Made, Failure> {
        Err(broken("a measurement makes no files"))
    }
}
