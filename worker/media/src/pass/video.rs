//! The branch from decoded pictures to compressed video.

use std::sync::Arc;

use mps_proto::worker::v1::Failure;

use super::{
    clip::{self, Window},
    counters::{self, Counters},
    elements::{broken, link, pad, raw_branch, raw_queue},
    encoders::{self, VideoEncode},
    pace::Pace,
    pacer,
};

/// Builds the branch of a node's only film; gives its last element. `byte_stream`: with start codes.
pub fn encode(
    pipeline: &gst::Pipeline,
    tee: &gst::Element,
    node: usize,
    job: &VideoEncode,
    byte_stream: bool,
    window: &Window,
    counters: &Arc<Counters>,
) -> Result<gst::Element, Failure> {
    let prefix = format!("n{node}-video");
    let name = |part: &str| format!("{prefix}-{part}");
    let (branch_pad, guard) = raw_branch(pipeline, tee, &name("guard"))?;
    if let Some(length) = job.still {
        clip::show_for(&branch_pad, length);
    }
    window.apply_to_video(&branch_pad);
    let mut chain = vec![guard, raw_queue(pipeline, &name("queue"))?];
    chain.extend(pictures(pipeline, &prefix, job)?);
    let encoder = encoders::chain(pipeline, &prefix, job, byte_stream)?;
    let entry = encoder.first().ok_or_else(|| broken("empty chain"))?;
    counters::count(&pad(entry, "sink")?, counters, move |counters| {
        counters.nodes.get(node).map(|node| &node.video)
    });
    chain.extend(encoder);
    link(&chain.iter().collect::<Vec<_>>())?;
    chain.pop().ok_or_else(|| broken("empty chain"))
}

/// From decoded pictures to those that the encoder takes: frame rate, then looks.
pub fn pictures(pipeline: &gst::Pipeline, prefix: &str, job: &VideoEncode) -> Result<Vec<gst::Element>, Failure> {
    let mut chain = shaped(pipeline, prefix, job)?;
    chain.extend(job.look.marked(pipeline, prefix)?);
    Ok(chain)
}

/// The same before marks.
pub fn shaped(pipeline: &gst::Pipeline, prefix: &str, job: &VideoEncode) -> Result<Vec<gst::Element>, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let mut chain = Vec::new();
    let constant = job.frame_rate.map(|(num, den)| Pace::Constant(num, den));
    let standing = job.stand.map(|(num, den)| Pace::Standing(num, den));
    let pace = constant.or(standing);
    let pacer = pace
        .map(|pace| pacer::element(pipeline, &name("pace"), pace, job.begin))
        .transpose()?;
    let shape = job.look.shaped(pipeline, prefix)?;
    if job.still.is_some() {
        // The only picture is shaped once, and told often.
        chain.extend(shape);
        chain.extend(pacer);
    } else {
        chain.extend(pacer);
        chain.extend(shape);
    }
    Ok(chain)
}
