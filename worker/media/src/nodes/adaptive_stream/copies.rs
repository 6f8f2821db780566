//! The input's packets as they are, in the form that segments take.

use mps_proto::worker::v1::Failure;

use super::{AdaptiveStream, ended};
use crate::{
    pass::{
        Graph,
        elements::{caps_filter, make, mux_queue},
        file::copied,
        needed, timestamper,
    },
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
        let (facts, source, starts) = (graph.order.facts, graph.source, graph.order.starts);
        let (tee, stream, name, start) = match kind {
            Kind::Film => (source.copied_video.as_ref(), rules::film(facts), "video".to_owned(), starts.video),
            Kind::Sound { number, track } => (
                source.copied_tracks.get(&track),
                rules::sounds(facts).get(track).copied(),
                format!("copy{number}"),
                starts.audio,
            ),
        };
        let stamps = timestamper(facts).filter(|_| matches!(kind, Kind::Film));
        let window = graph.window(self.clip, start);
        let mut chain = vec![copied(graph.pipeline, needed(tee)?, node, &name, &window, stamps, graph.counters)?];
        let prefix = format!("n{node}-{name}");
        let (parser, caps) = form(stream.map_or("", |stream| stream.codec.as_str()));
        chain.push(mux_queue(graph.pipeline, &format!("{prefix}-queue"))?);
        chain.push(make(graph.pipeline, parser, &format!("{prefix}-parse"))?);
        if let Some(caps) = caps {
            chain.push(caps_filter(graph.pipeline, &format!("{prefix}-caps"), &caps)?);
        }
        Ok(Feed {
            entry: ended(graph.pipeline, &prefix, chain)?,
            begin: std::time::Duration::ZERO,
            copied: true,
        })
    }
}

/// The parser of a codec and the form in which segments take its packets.
fn form(codec: &str) -> (&'static str, Option<gst::Caps>) {
    let film = |media: &str, format: &str| {
        let caps = gst::Caps::builder(media).field("stream-format", format);
        Some(caps.field("alignment", "au").build())
    };
    match codec {
        "hevc" => ("h265parse", film("video/x-h265", "hvc1")),
        "av1" => {
            let caps = gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream");
            ("av1parse", Some(caps.field("alignment", "tu").build()))
        }
        "aac" => {
            let caps = gst::Caps::builder("audio/mpeg")
                .field("mpegversion", 4)
                .field("stream-format", "raw");
            ("aacparse", Some(caps.build()))
        }
        "mp3" => ("mpegaudioparse", None),
        "ac3" | "eac3" => ("ac3parse", None),
        _ => ("h264parse", film("video/x-h264", "avc")),
    }
}
