//! The input's packets as they are, in the form that segments take.

use mps_proto::{v1::Container, worker::v1::Failure};

use super::{AdaptiveStream, ended};
use crate::{
    pass::{Graph, copy::Copy, elements::mux_queue, needed},
    rules,
    segments::Feed,
};

/// Which stream of the input.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Film,
    /// `number`: among the stream's tracks; `track`: among the input's tracks of sound.
    Sound {
        number: usize,
        track: usize,
    },
}

impl AdaptiveStream {
    pub(super) fn build_copy(&self, graph: &Graph, node: usize, kind: Kind) -> Result<Feed, Failure> {
        let (facts, source, timelines) = (graph.order.facts, graph.source, graph.order.timelines);
        let (tee, stream, name, timeline) = match kind {
            Kind::Film => (
                source.copied_video.as_ref(),
                rules::film(facts),
                "video".to_owned(),
                &timelines.video,
            ),
            Kind::Sound { number, track } => (
                source.copied_tracks.get(&track),
                rules::sounds(facts).get(track).copied(),
                format!("copy{number}"),
                &timelines.audio,
            ),
        };
        let window = graph.packets(self.clip, timeline)?.led(self.lead.whole());
        let copy = Copy {
            tee: needed(tee)?,
            kind: &name,
            codec: stream.map_or("", |stream| stream.codec.as_str()),
            window,
            facts,
        };
        let last = copy.elements(graph.pipeline, node, Container::Hls, graph.counters)?;
        let prefix = format!("n{node}-{name}");
        let chain = vec![last, mux_queue(graph.pipeline, &format!("{prefix}-queue"))?];
        Ok(Feed {
            entry: ended(graph.pipeline, &prefix, chain)?,
            begin: std::time::Duration::ZERO,
            copied: true,
        })
    }
}
