//! The branches of pictures: one for each rendition. Where it looks the same, a smaller one is scaled from the next larger one, which is
//! faster than from the input; deinterlacing, frame rate and tone mapping are done once then.

use mps_proto::worker::v1::Failure;

use super::{AdaptiveStream, copies, ended, resume};
use crate::{
    nodes::transcode::Video,
    pass::{
        Graph,
        clip::{self, Window},
        counters,
        elements::{make, pad, raw_branch, raw_queue},
        encoders::{self, VideoEncode},
        needed, video,
    },
    segments::Feed,
};

impl AdaptiveStream {
    /// In the order of the renditions.
    pub(super) fn build_films(&self, graph: &Graph, node: usize) -> Result<Vec<Feed>, Failure> {
        let mut feeds = Vec::new();
        let mut larger: Option<(&VideoEncode, gst::Element)> = None;
        for (number, video) in self.videos.iter().enumerate() {
            let Video::Encode(settings) = video else {
                feeds.push(self.build_copy(graph, node, copies::Kind::Film)?);
                continue;
            };
            let prefix = format!("n{node}-v{number}");
            let mut chain = match larger.take().filter(|(larger, _)| follows(settings, larger)) {
                Some((_, tee)) => {
                    let (_, guard) = raw_branch(graph.pipeline, &tee, &format!("{prefix}-guard"))?;
                    let mut chain = vec![guard, raw_queue(graph.pipeline, &format!("{prefix}-queue"))?];
                    chain.extend(settings.look.after_larger().shaped(graph.pipeline, &prefix)?);
                    chain
                }
                None => self.shaped(graph, &prefix, settings)?,
            };
            let next = self.videos.get(number + 1);
            if matches!(next, Some(Video::Encode(smaller)) if follows(smaller, settings)) {
                let tee = make(graph.pipeline, "tee", &format!("{prefix}-tee"))?;
                chain.push(tee.clone());
                chain.push(raw_queue(graph.pipeline, &format!("{prefix}-own-queue"))?);
                larger = Some((settings, tee));
            }
            chain.extend(settings.look.marked(graph.pipeline, &prefix)?);
            let encoder = encoders::chain(graph.pipeline, &prefix, settings, false)?;
            if let Some(entry) = encoder.first().filter(|_| number == 0) {
                counters::count(&pad(entry, "sink")?, graph.counters, move |counters| {
                    counters.nodes.get(node).map(|node| &node.video)
                });
            }
            chain.extend(encoder);
            feeds.push(Feed {
                entry: ended(graph.pipeline, &prefix, chain)?,
                begin: self.video_begin(),
                copied: false,
            });
        }
        Ok(feeds)
    }

    /// From the input's pictures to those of a rendition without marks.
    fn shaped(&self, graph: &Graph, prefix: &str, settings: &VideoEncode) -> Result<Vec<gst::Element>, Failure> {
        let fields = graph.source.decoded_fields.as_ref().filter(|_| settings.fields);
        let tee = needed(fields.or(graph.source.decoded_video.as_ref()))?;
        let window = Window::raw(self.part_from(self.video_begin()));
        let (branch_pad, guard) = raw_branch(graph.pipeline, tee, &format!("{prefix}-guard"))?;
        if let Some(length) = settings.still {
            clip::show_for(&branch_pad, length);
        }
        window.apply_to_video(&branch_pad);
        let mut chain = vec![guard, raw_queue(graph.pipeline, &format!("{prefix}-queue"))?];
        chain.extend(video::shaped(graph.pipeline, prefix, settings)?);
        if let Some(last) = chain.last() {
            resume::drop_before(&pad(last, "src")?, self.begin() - self.video_begin());
        }
        Ok(chain)
    }
}

/// Whether a smaller rendition is made from a larger one.
fn follows(smaller: &VideoEncode, larger: &VideoEncode) -> bool {
    smaller.frame_rate == larger.frame_rate && !smaller.fields && !larger.fields && smaller.look.follows(&larger.look)
}
