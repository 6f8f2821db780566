//! How a file is read: filesrc and parsebin, and when all its streams stand at the parser's pads.

mod caps;
mod patch;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use gst::prelude::*;

pub use patch::{Patches, Table};

/// What demuxers are told of a file before they open it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Number of a transport stream's programme; `None`: the first one.
    pub program: Option<u16>,
    /// What is read otherwise than it stands in the file.
    pub patches: Patches,
    /// Sample formats of PCM by the ids of streams, where the demuxer does not know the order of their bytes.
    pub formats: BTreeMap<String, &'static str>,
}

/// filesrc and parsebin, linked and in the pipeline; gives parsebin. Names of elements begin with the prefix.
pub fn open(pipeline: &gst::Pipeline, path: &Path, reading: &Reading, prefix: &str) -> Result<gst::Element, String> {
    let source = element("filesrc", &format!("{prefix}-file"))?;
    source.set_property("location", path);
    let parser = element("parsebin", &format!("{prefix}-parse"))?;
    pipeline.add_many([&source, &parser]).map_err(|error| error.to_string())?;
    source.link(&parser).map_err(|error| error.to_string())?;
    reading.patches.apply_to(&source, path);
    let formats = reading.formats.clone();
    parser.connect_pad_added(move |_, pad| caps::correct(pad, &formats));
    if let (Some(program), Some(bin)) = (reading.program, parser.downcast_ref::<gst::Bin>()) {
        bin.connect_element_added(move |_, element| {
            if element.factory().is_some_and(|factory| factory.name() == "tsdemux") {
                element.set_property("program-number", i32::from(program));
            }
        });
    }
    Ok(parser)
}

fn element(factory: &str, name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory)
        .name(name)
        .build()
        .map_err(|error| error.to_string())
}

/// What tells a pad's stream from the others of its file, in each reading alike; empty where the file is one stream.
pub fn stream_id(pad: &gst::Pad) -> String {
    let whole = pad.stream_id().unwrap_or_default();
    whole.rsplit_once('/').map_or_else(String::new, |(_, own)| own.to_owned())
}

/// Calls once when every stream that the demuxers found has its pad, with the streams' ids as they follow each other in the file; `parser`
/// is parsebin, and what links its pads is connected before. Some demuxers (FLV) never say that they have found all.
pub fn when_all_known(parser: &gst::Element, tell: impl Fn(&[String]) + Send + Sync + 'static) {
    let Some(bin) = parser.downcast_ref::<gst::Bin>() else { return };
    let arrivals = Arc::new(Mutex::new(Arrivals::default()));
    let tell = Arc::new(tell);
    let (seen, told) = (arrivals.clone(), tell.clone());
    bin.connect_element_added(move |_, element| {
        if !is_demuxer(element) {
            return;
        }
        let name = element.name().to_string();
        lock(&seen).demuxers.push((name.clone(), None));
        let (seen, told) = (seen.clone(), told.clone());
        element.connect_no_more_pads(move |demuxer| {
            let ids = demuxer.src_pads().iter().map(stream_id).collect();
            let known = lock(&seen).complete(&name, ids);
            known.iter().for_each(|order| told(order));
        });
    });
    bin.connect_pad_added(move |_, pad| {
        let id = stream_id(pad);
        let known = lock(&arrivals).show(id);
        known.iter().for_each(|order| tell(order));
    });
}

/// Streams that were found so far.
#[derive(Default)]
struct Arrivals {
    /// Each with the number of its streams, once it has found all.
    demuxers: Vec<(String, Option<usize>)>,
    /// In the order of the demuxers.
    order: Vec<String>,
    shown: usize,
    told: bool,
}

impl Arrivals {
    fn complete(&mut self, name: &str, ids: Vec<String>) -> Option<Vec<String>> {
        if let Some((_, streams)) = self.demuxers.iter_mut().find(|(known, _)| known == name) {
            *streams = Some(ids.len());
        }
        ids.into_iter().for_each(|id| self.note(id));
        self.all()
    }

    fn show(&mut self, id: String) -> Option<Vec<String>> {
        self.shown += 1;
        self.note(id);
        self.all()
    }

    fn note(&mut self, id: String) {
        if !self.order.contains(&id) {
            self.order.push(id);
        }
    }

    /// The order of all streams, the first time that none is awaited. A demuxer behind another one takes one of its streams.
    fn all(&mut self) -> Option<Vec<String>> {
        let found: Option<Vec<usize>> = self.demuxers.iter().map(|(_, streams)| *streams).collect();
        let found = found?;
        let expected = (1 + found.iter().sum::<usize>()).saturating_sub(found.len());
        if self.told || self.shown == 0 || self.shown < expected {
            return None;
        }
        self.told = true;
        Some(self.order.clone())
    }
}

/// Whether an element may give several streams, as parsebin judges it.
fn is_demuxer(element: &gst::Element) -> bool {
    let Some(factory) = element.factory() else { return false };
    let streams = |template: &gst::StaticPadTemplate| match template.presence() {
        gst::PadPresence::Request => 2,
        _ if template.name_template().contains('%') => 2,
        _ => 1,
    };
    let sources = factory.static_pad_templates();
    let sources = sources.iter().filter(|template| template.direction() == gst::PadDirection::Src);
    factory.metadata("klass").is_some_and(|class| class.contains("Demux")) && sources.map(streams).sum::<i32>() >= 2
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn all_streams_are_known_once_each_has_its_pad() {
        let mut arrivals = Arrivals::default();
        arrivals.demuxers.push(("ts".into(), None));
        assert_eq!(arrivals.complete("ts", names("100 1f0 110")), None);
        assert_eq!(arrivals.show("100".into()), None);
        assert_eq!(arrivals.show("110".into()), None);
        assert_eq!(arrivals.show("1f0".into()), Some(names("100 1f0 110")));
        assert_eq!(arrivals.show("111".into()), None);
    }

    #[test]
    fn a_demuxer_that_says_so_late_is_waited_for() {
        let mut arrivals = Arrivals::default();
        arrivals.demuxers.push(("ps".into(), None));
        assert_eq!(arrivals.show("e0".into()), None);
        assert_eq!(arrivals.complete("ps", names("e0")), Some(names("e0")));
    }

    #[test]
    fn a_file_of_one_stream_needs_no_demuxer() {
        assert_eq!(Arrivals::default().show(String::new()), Some(vec![String::new()]));
    }

    #[test]
    fn a_demuxer_inside_another_takes_one_of_its_streams() {
        let mut arrivals = Arrivals::default();
        arrivals.demuxers.extend([("avi".into(), None), ("dv".into(), None)]);
        assert_eq!(arrivals.complete("avi", names("1")), None);
        assert_eq!(arrivals.complete("dv", names("2 3")), None);
        assert_eq!(arrivals.show("2".into()), None);
        assert!(arrivals.show("3".into()).is_some());
    }
}
