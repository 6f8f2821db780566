//! What each element of a pass is there for, so that an error costs the nodes that it concerns and no others. Recorded while the pipeline
//! is built: what an element is called says nothing.

use std::collections::{HashMap, HashSet};

use gst::prelude::*;

use crate::{job::Needs, probe::Place};

/// Pads that are followed from a parser to where its stream ends.
const MAX_STEPS: usize = 256;

/// What an element is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Reads the file.
    Input,
    /// Takes a stream as it stands in the file.
    Parsed(Place),
    /// Decodes a stream, and what is done to it for all nodes.
    Decoded(Place),
    /// One of the sound encoders that nodes share.
    Encoder(usize),
    Node(usize),
}

/// Whose an element is.
#[derive(Debug, Default)]
pub struct Owners {
    parts: HashMap<gst::Element, Part>,
    /// Where streams leave what reads the file.
    entries: HashMap<gst::Pad, Place>,
    needs: Vec<Needs>,
    /// By shared encoder: the nodes that use it.
    encoders: Vec<Vec<usize>>,
    cut: HashSet<gst::Element>,
}

/// Where an error came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Nodes that it costs.
    pub nodes: Vec<usize>,
    /// Whether it arose in what reads the file for all.
    pub in_reader: bool,
    /// Whether it arose there or in a decoder, which the input can be blamed for.
    pub in_input: bool,
    /// Whether it arose in what belongs to one node alone.
    pub is_own: bool,
}

impl Owners {
    /// What came into the pipeline since the last call is there for this.
    pub fn record(&mut self, pipeline: &gst::Pipeline, part: Part) {
        for element in pipeline.children() {
            self.parts.entry(element).or_insert(part);
        }
    }

    /// A pad that takes a stream from what reads the file.
    pub fn enter(&mut self, pad: &gst::Pad, stream: Place) {
        self.entries.insert(pad.clone(), stream);
    }

    /// Who needs what; once all is built.
    pub fn settle(&mut self, needs: impl Iterator<Item = Needs>, encoders: Vec<Vec<usize>>) {
        self.needs = needs.collect();
        self.encoders = encoders;
    }

    /// What all nodes need.
    pub fn needs(&self) -> Needs {
        self.needs.iter().fold(Needs::default(), |all, needs| all.and(*needs))
    }

    /// Whom an error of this object concerns.
    pub fn origin(&self, object: Option<&gst::Object>) -> Origin {
        if let Some(stream) = object.and_then(|object| self.entries.get(object.downcast_ref::<gst::Pad>()?)) {
            return Origin {
                nodes: self.users(Part::Parsed(*stream)),
                in_reader: true,
                in_input: true,
                is_own: false,
            };
        }
        let all = || (0..self.needs.len()).collect();
        let Some((element, part)) = object.and_then(|object| self.part_of(object)) else {
            return Origin {
                nodes: all(),
                in_reader: true,
                in_input: true,
                is_own: false,
            };
        };
        let inside = object.is_some_and(|object| object != element.upcast_ref::<gst::Object>());
        // Decoders stand in bins that find them; what is done to pictures and samples behind them is ours.
        let is_bin = element.is::<gst::Bin>();
        let nodes = match part {
            Part::Input => match object.and_then(|object| object.downcast_ref::<gst::Element>()).filter(|_| inside) {
                Some(parser) => self.users_of_all(&self.streams_behind(parser)),
                None => all(),
            },
            _ => self.users(part),
        };
        Origin {
            nodes,
            in_reader: part == Part::Input,
            in_input: part == Part::Input || (is_bin && matches!(part, Part::Decoded(_))),
            is_own: matches!(part, Part::Node(_)),
        }
    }

    /// Closes what leads to nobody but nodes that failed: what their elements would wait for, or refuse, must hold up no others.
    pub fn cut(&mut self, failed: &dyn Fn(usize) -> bool) {
        let heads = self.parts.iter().filter(|(element, _)| is_head(element));
        let dead = heads.filter(|(_, part)| **part != Part::Input && self.users(**part).iter().all(|node| failed(*node)));
        let dead: Vec<gst::Element> = dead.map(|(element, _)| element.clone()).collect();
        for element in dead {
            if self.cut.insert(element.clone()) {
                close(&element);
            }
        }
    }

    /// The element of the pipeline's own that an object lies in, and what it is there for.
    fn part_of(&self, object: &gst::Object) -> Option<(gst::Element, Part)> {
        let mut current = Some(object.clone());
        while let Some(object) = current {
            if let Some(element) = object.downcast_ref::<gst::Element>()
                && let Some(part) = self.parts.get(element)
            {
                return Some((element.clone(), *part));
            }
            current = object.parent();
        }
        None
    }

    fn users(&self, part: Part) -> Vec<usize> {
        match part {
            Part::Node(node) => vec![node],
            Part::Encoder(number) => self.encoders.get(number).cloned().unwrap_or_default(),
            Part::Input => (0..self.needs.len()).collect(),
            Part::Parsed(stream) => self.nodes(|needs| decodes(needs, stream) || copies(needs, stream)),
            Part::Decoded(stream) => self.nodes(|needs| decodes(needs, stream)),
        }
    }

    fn users_of_all(&self, streams: &HashSet<Place>) -> Vec<usize> {
        self.nodes(|needs| streams.iter().any(|stream| decodes(needs, *stream) || copies(needs, *stream)))
    }

    fn nodes(&self, need: impl Fn(&Needs) -> bool) -> Vec<usize> {
        let nodes = self.needs.iter().enumerate().filter(|(_, needs)| need(needs));
        nodes.map(|(node, _)| node).collect()
    }

    /// The streams that come out of an element inside what reads the file: of a demuxer all of them, of a parser its own.
    fn streams_behind(&self, element: &gst::Element) -> HashSet<Place> {
        let mut found = HashSet::new();
        let mut ahead = element.src_pads();
        for _ in 0..MAX_STEPS {
            let Some(entry) = ahead.pop().and_then(|pad| pad.peer()) else {
                if ahead.is_empty() {
                    break;
                }
                continue;
            };
            match self.entries.get(&entry) {
                Some(stream) => {
                    found.insert(*stream);
                }
                None => ahead.extend(pads_behind(&entry)),
            }
        }
        found
    }
}

/// Pads by which what enters one goes on: out of a bin, or out of the element.
fn pads_behind(entry: &gst::Pad) -> Vec<gst::Pad> {
    match entry.parent() {
        // The inner side of a pad that a bin shows.
        Some(parent) if parent.is::<gst::GhostPad>() => parent.downcast::<gst::Pad>().into_iter().collect(),
        Some(parent) => parent
            .downcast::<gst::Element>()
            .map(|element| element.src_pads())
            .unwrap_or_default(),
        None => Vec::new(),
    }
}

fn decodes(needs: &Needs, stream: Place) -> bool {
    match stream {
        Place::Film => needs.decoded_video || needs.decoded_fields,
        Place::Sound(track) => needs.decoded_tracks.contains(track),
    }
}

fn copies(needs: &Needs, stream: Place) -> bool {
    match stream {
        Place::Film => needs.copied_video,
        Place::Sound(track) => needs.copied_tracks.contains(track),
    }
}

/// Whether a branch of a tee begins with the element.
fn is_head(element: &gst::Element) -> bool {
    element.factory().is_some_and(|factory| factory.name() == "errorignore")
}

fn close(head: &gst::Element) {
    let Some(entry) = head.static_pad("sink") else { return };
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
    // Of what is dropped instead, GStreamer 1.22 complains: the probe has freed it already.
    entry.add_probe(kinds, |_, _| gst::PadProbeReturn::Handled);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Tracks;

    fn element(pipeline: &gst::Pipeline, factory: &str) -> gst::Element {
        let element = gst::ElementFactory::make(factory).build().unwrap();
        pipeline.add(&element).unwrap();
        element
    }

    /// A reader with a demuxer and a parser for each of film and sound in it, as parsebin is one.
    fn reader(pipeline: &gst::Pipeline, queue: &gst::Element) -> (Vec<gst::Element>, Vec<gst::Pad>) {
        let bin = gst::Bin::new();
        pipeline.add(&bin).unwrap();
        let demuxer = gst::ElementFactory::make("tee").build().unwrap();
        bin.add(&demuxer).unwrap();
        let (mut inside, mut entries) = (vec![demuxer.clone()], Vec::new());
        for name in ["film", "sound"] {
            let parser = gst::ElementFactory::make("identity").build().unwrap();
            bin.add(&parser).unwrap();
            demuxer.link(&parser).unwrap();
            let shown = gst::GhostPad::builder_with_target(&parser.static_pad("src").unwrap()).unwrap();
            let shown = shown.name(name).build();
            bin.add_pad(&shown).unwrap();
            let entry = queue.request_pad_simple("sink_%u").unwrap();
            shown.link(&entry).unwrap();
            inside.push(parser);
            entries.push(entry);
        }
        (inside, entries)
    }

    fn blamed(owners: &Owners, object: &impl IsA<gst::Object>) -> (Vec<usize>, bool) {
        let origin = owners.origin(Some(object.upcast_ref()));
        (origin.nodes, origin.in_input)
    }

    #[test]
    fn an_error_concerns_those_who_need_what_broke() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let mut owners = Owners::default();
        let queue = element(&pipeline, "multiqueue");
        let (inside, entries) = reader(&pipeline, &queue);
        owners.record(&pipeline, Part::Input);
        owners.enter(&entries[0], Place::Film);
        owners.enter(&entries[1], Place::Sound(0));
        let decoder = gst::Bin::new();
        pipeline.add(&decoder).unwrap();
        let codec = gst::ElementFactory::make("identity").build().unwrap();
        decoder.add(&codec).unwrap();
        let convert = element(&pipeline, "identity");
        owners.record(&pipeline, Part::Decoded(Place::Sound(0)));
        let encoder = element(&pipeline, "identity");
        owners.record(&pipeline, Part::Encoder(0));
        let muxer = element(&pipeline, "identity");
        owners.record(&pipeline, Part::Node(2));
        let film = Needs {
            decoded_video: true,
            ..Needs::default()
        };
        let sound = Needs {
            decoded_tracks: Tracks::FIRST,
            ..Needs::default()
        };
        let copy = Needs {
            copied_tracks: Tracks::FIRST,
            ..Needs::default()
        };
        owners.settle([film, sound, film.and(sound), copy].into_iter(), vec![vec![1, 2]]);

        assert_eq!(blamed(&owners, &inside[0]), (vec![0, 1, 2, 3], true), "the demuxer");
        assert_eq!(blamed(&owners, &inside[1]), (vec![0, 2], true), "the film's parser");
        assert_eq!(blamed(&owners, &inside[2]), (vec![1, 2, 3], true), "the sound's parser");
        assert_eq!(blamed(&owners, &entries[1]), (vec![1, 2, 3], true), "a stream that is not there");
        assert_eq!(blamed(&owners, &codec), (vec![1, 2], true), "a copy needs no decoder");
        assert_eq!(
            blamed(&owners, &convert),
            (vec![1, 2], false),
            "what is done to samples is no fault of the input"
        );
        assert_eq!(blamed(&owners, &encoder), (vec![1, 2], false));
        assert_eq!(blamed(&owners, &muxer), (vec![2], false));
        assert_eq!(blamed(&owners, &pipeline), (vec![0, 1, 2, 3], true));
    }

    #[test]
    fn only_heads_that_lead_to_failed_nodes_alone_are_closed() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let mut owners = Owners::default();
        let shared = element(&pipeline, "errorignore");
        owners.record(&pipeline, Part::Encoder(0));
        let own = element(&pipeline, "errorignore");
        owners.record(&pipeline, Part::Node(1));
        owners.settle([Needs::default(), Needs::default()].into_iter(), vec![vec![0, 1]]);
        owners.cut(&|node| node == 1);
        assert!(owners.cut.contains(&own) && !owners.cut.contains(&shared));
        owners.cut(&|_| true);
        assert!(owners.cut.contains(&shared));
    }
}
