//! A pass before the pass: how loud the sound is that a node will encode.

use std::{cell::RefCell, sync::Arc, time::Duration};

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

/// What was measured before a pass, so that nodes whose sound is alike measure it once.
#[derive(Debug, Default)]
pub struct Heard(RefCell<Vec<(Sound, Loudness)>>);

/// Sound that is measured: what does not change its samples is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sound {
    settings: AudioEncode,
    tracks: Vec<usize>,
    clip: Clip,
}

impl Sound {
    fn of(treatment: Treatment, settings: &AudioEncode, tracks: &[usize], clip: Clip) -> Self {
        let settings = AudioEncode {
            treatment,
            bitrate_bps: 0,
            says_delay: false,
            own_tags: None,
            ..settings.clone()
        };
        Self {
            settings,
            tracks: tracks.to_vec(),
            clip,
        }
    }
}

impl Heard {
    /// How loud a sound is: as it was measured already, or measured now.
    fn or_measured(&self, sound: Sound, measure: impl FnOnce(&Sound) -> Result<Loudness, Failure>) -> Result<Loudness, Failure> {
        let known = self
            .0
            .borrow()
            .iter()
            .find(|(known, _)| *known == sound)
            .map(|(_, loudness)| *loudness);
        if let Some(loudness) = known {
            return Ok(loudness);
        }
        let loudness = measure(&sound)?;
        self.0.borrow_mut().push((sound, loudness));
        Ok(loudness)
    }
}

/// Finds what brings the sound of tracks (one, or several that are mixed) to a target.
pub fn reach(target: Target, settings: &AudioEncode, tracks: &[usize], clip: Clip, preparing: &Preparing) -> Result<Settled, Failure> {
    loudness::settle(target, settings.treatment.denoise, &mut |treatment| {
        let sound = Sound::of(treatment, settings, tracks, clip);
        preparing.heard.or_measured(sound, |sound| measured(sound, preparing))
    })
}

fn measured(sound: &Sound, preparing: &Preparing) -> Result<Loudness, Failure> {
    let meter = Meter::default();
    let jobs: Vec<Box<dyn Job>> = vec![Box::new(Measure {
        sound: sound.clone(),
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
    sound: Sound,
    meter: Meter,
}

impl Job for Measure {
    fn needs(&self) -> Needs {
        Needs {
            decoded_tracks: self.sound.tracks.iter().copied().collect(),
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range {
            start: self.sound.clip.start,
            stop: self.sound.clip.end,
        }
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        // A pass that is made again measures again.
        self.meter.reset();
        let raw = graph.raw_sound(node, &self.sound.settings, self.sound.clip, &self.sound.tracks)?;
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

#[cfg(test)]
mod tests {
    use mps_proto::v1::AudioCodec;

    use super::*;

    #[test]
    fn sound_that_is_alike_is_measured_once() {
        let settings = |bitrate_bps, channels| AudioEncode {
            codec: AudioCodec::Aac,
            bitrate_bps,
            sample_rate_hz: 48_000,
            channels,
            wide: false,
            treatment: Treatment::default(),
            filled: false,
            says_delay: bitrate_bps > 100_000,
            own_tags: None,
        };
        let whole = Clip {
            start: Duration::ZERO,
            end: None,
        };
        let part = Clip {
            end: Some(Duration::from_secs(1)),
            ..whole
        };
        let louder = Treatment {
            gain_mdb: 1000,
            ..Treatment::default()
        };
        let plain = Treatment::default();
        let (heard, passes) = (Heard::default(), std::cell::Cell::new(0));
        let measure = |treatment, settings: &AudioEncode, tracks: &[usize], clip| {
            let sound = Sound::of(treatment, settings, tracks, clip);
            let loudness = heard.or_measured(sound, |_| {
                passes.set(passes.get() + 1);
                Ok(Loudness {
                    lufs: Some(f64::from(-passes.get())),
                    peak_dbtp: 0.0,
                })
            });
            (loudness.unwrap().lufs, passes.get())
        };
        assert_eq!(measure(plain, &settings(128_000, 2), &[0], whole), (Some(-1.0), 1));
        assert_eq!(
            measure(plain, &settings(64_000, 2), &[0], whole),
            (Some(-1.0), 1),
            "another bit rate"
        );
        assert_eq!(measure(louder, &settings(64_000, 2), &[0], whole), (Some(-2.0), 2));
        assert_eq!(measure(plain, &settings(64_000, 1), &[0], whole), (Some(-3.0), 3));
        assert_eq!(measure(plain, &settings(64_000, 2), &[1], whole), (Some(-4.0), 4));
        assert_eq!(measure(plain, &settings(64_000, 2), &[0], part), (Some(-5.0), 5));
        assert_eq!(measure(louder, &settings(128_000, 2), &[0], whole), (Some(-2.0), 5));
        let failed = heard.or_measured(Sound::of(plain, &settings(1, 6), &[0], whole), |_| Err(broken("no sound")));
        assert!(failed.is_err());
        assert_eq!(measure(plain, &settings(1, 6), &[0], whole).1, 6, "a failure is not kept");
    }
}
