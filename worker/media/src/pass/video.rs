//! The branch from decoded pictures to compressed video.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{
    clip::Window,
    counters::{self, Counters},
    elements::{branch, broken, caps_filter, link, make, pad, raw_queue},
    encoders::{self, VideoEncode},
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
    let (branch_pad, guard) = branch(pipeline, tee, &name("guard"))?;
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
    if let Some((num, den)) = job.frame_rate {
        let rate = make(pipeline, "videorate", &name("rate"))?;
        end_with_input(&pad(&rate, "sink")?, &pad(&rate, "src")?);
        chain.push(rate);
        let caps = gst::Caps::builder("video/x-raw")
            .field("framerate", gst::Fraction::new(num, den))
            .build();
        chain.push(caps_filter(pipeline, &name("rate-caps"), &caps)?);
    }
    chain.extend(job.look.shaped(pipeline, prefix)?);
    Ok(chain)
}

/// At the end videorate gives one picture more, which would begin where the last one of the input ends.
fn end_with_input(entry: &gst::Pad, exit: &gst::Pad) {
    let end = Arc::new(AtomicU64::new(0));
    let seen = end.clone();
    entry.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let times = info.buffer().and_then(|buffer| Some((buffer.pts()?, buffer.duration()?)));
        if let Some((pts, length)) = times {
            seen.fetch_max((pts + length).nseconds(), Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
    exit.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let pts = info.buffer().and_then(|buffer| buffer.pts());
        let end = end.load(Relaxed);
        match pts {
            // Distances of stamps are cut to nanoseconds.
            Some(pts) if end > 0 && pts.nseconds() + 1_000 >= end => gst::PadProbeReturn::Drop,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}
