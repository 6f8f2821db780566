//! Making and linking elements, each by name; the name's prefix says to which node it belongs.

use gst::prelude::*;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};

use crate::failure;

/// Bytes of compressed media that the demuxer may run ahead of the decoder.
const MAX_AHEAD_BYTES: u32 = 32 << 20;

/// Makes an element and adds it.
pub fn make(pipeline: &gst::Pipeline, factory: &str, name: &str) -> Result<gst::Element, Failure> {
    let element = gst::ElementFactory::make(factory).name(name).build().map_err(|_| {
        failure::data(
            ErrorReason::Unsupported,
            format!("GStreamer's element {factory} is not installed on this worker"),
            "install the GStreamer plugins that the README lists",
        )
    })?;
    pipeline.add(&element).map_err(|error| broken(&error.to_string()))?;
    Ok(element)
}

/// Links a chain.
pub fn link(elements: &[&gst::Element]) -> Result<(), Failure> {
    for pair in elements.windows(2) {
        if let [from, to] = pair {
            from.link(*to)
                .map_err(|_| broken(&format!("{} does not fit {}", from.name(), to.name())))?;
        }
    }
    Ok(())
}

/// A filter that fixes caps.
pub fn caps_filter(pipeline: &gst::Pipeline, name: &str, caps: &gst::Caps) -> Result<gst::Element, Failure> {
    let filter = make(pipeline, "capsfilter", name)?;
    filter.set_property("caps", caps);
    Ok(filter)
}

/// A queue of raw pictures: few, since each is large.
pub fn raw_queue(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    bounded_queue(pipeline, name, 8)
}

/// A queue of raw sound: as many packets as a muxer may wait for pictures that an encoder looks ahead at.
pub fn sound_queue(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    bounded_queue(pipeline, name, 0)
}

fn bounded_queue(pipeline: &gst::Pipeline, name: &str, buffers: u32) -> Result<gst::Element, Failure> {
    let queue = make(pipeline, "queue", name)?;
    queue.set_property("max-size-buffers", buffers);
    queue.set_property("max-size-bytes", if buffers == 0 { MAX_AHEAD_BYTES } else { 0 });
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

/// A queue of compressed media before a muxer: without limits, or passes with several outputs deadlock. What it holds is bounded by how far
/// the demuxer runs ahead.
pub fn mux_queue(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    let queue = make(pipeline, "queue", name)?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-bytes", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

/// The queues between demuxer and decoders, which even out how streams lie in the file.
pub fn demux_queue(pipeline: &gst::Pipeline) -> Result<gst::Element, Failure> {
    let queue = make(pipeline, "multiqueue", "demuxed")?;
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-time", 0u64);
    queue.set_property("max-size-bytes", MAX_AHEAD_BYTES);
    Ok(queue)
}

/// The head of a branch: what breaks behind it takes nothing more, and those in front of it go on as if it did.
pub fn guard(pipeline: &gst::Pipeline, name: &str) -> Result<gst::Element, Failure> {
    let guard = make(pipeline, "errorignore", name)?;
    guard.set_property("ignore-notlinked", true);
    guard.set_property_from_str("convert-to", "ok");
    Ok(guard)
}

/// A new branch of a tee. An error in it stays in it: the tee goes on with the others.
pub fn branch(pipeline: &gst::Pipeline, tee: &gst::Element, name: &str) -> Result<(gst::Pad, gst::Element), Failure> {
    let guard = guard(pipeline, name)?;
    let pad = tee.request_pad_simple("src_%u").ok_or_else(|| broken("the tee gives no pad"))?;
    let sink = guard.static_pad("sink").ok_or_else(|| broken("errorignore has no sink pad"))?;
    pad.link(&sink).map_err(|error| broken(&error.to_string()))?;
    Ok((pad, guard))
}

/// A new branch of a tee of raw media, which takes every form of it: neither questions nor wishes of one branch get past the tee. Elements set
/// themselves up by what arrives, each branch in its own thread; a question that meets one of them in the middle of that gets no answer, and
/// the decoder would stop for all.
pub fn raw_branch(pipeline: &gst::Pipeline, tee: &gst::Element, name: &str) -> Result<(gst::Pad, gst::Element), Failure> {
    let (pad, guard) = branch(pipeline, tee, name)?;
    pad.add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, |_, info| {
        match info.query_mut().map(|query| query.view_mut()) {
            Some(gst::QueryViewMut::Caps(query)) => answer(query, &raw_forms()),
            Some(gst::QueryViewMut::AcceptCaps(query)) => {
                let fits = raw_forms().can_intersect(query.caps());
                query.set_result(fits);
            }
            // Pictures are read as they lie, padded or not: decoders need not copy them.
            Some(gst::QueryViewMut::Allocation(query)) if is_video(query.get().0) => {
                query.add_allocation_meta::<gst_video::VideoMeta>(None);
            }
            _ => return gst::PadProbeReturn::Ok,
        }
        gst::PadProbeReturn::Handled
    });
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
        let is_wish = info.event().is_some_and(|event| event.type_() == gst::EventType::Reconfigure);
        if is_wish {
            gst::PadProbeReturn::Handled
        } else {
            gst::PadProbeReturn::Ok
        }
    });
    Ok((pad, guard))
}

/// Answers a question for caps with what is taken, in the order of whoever asks.
pub fn answer(query: &mut gst::query::Caps, taken: &gst::Caps) {
    let filter = query.filter_owned();
    let asked = filter.map(|filter| filter.intersect_with_mode(taken, gst::CapsIntersectMode::First));
    query.set_result(asked.as_ref().unwrap_or(taken));
}

fn is_video(caps: Option<&gst::CapsRef>) -> bool {
    caps.and_then(|caps| caps.structure(0))
        .is_some_and(|caps| caps.name() == "video/x-raw")
}

fn raw_forms() -> gst::Caps {
    ["video/x-raw", "audio/x-raw"].map(gst::Structure::new_empty).into_iter().collect()
}

/// The pad of an element that exists from its start.
pub fn pad(element: &gst::Element, name: &str) -> Result<gst::Pad, Failure> {
    element
        .static_pad(name)
        .ok_or_else(|| broken(&format!("{} has no pad {name}", element.name())))
}

/// A pipeline that cannot be built: a fault of ours or of the installation, not of the input.
pub fn broken(message: &str) -> Failure {
    failure::node(
        ErrorReason::PipelineFailed,
        format!("the pipeline could not be built: {message}"),
        "report it with the task's nodes",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_that_takes_nothing_yet_does_not_stop_the_decoder() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let tee = make(&pipeline, "tee", "tee").unwrap();
        let (_, guard) = raw_branch(&pipeline, &tee, "guard").unwrap();
        let filter = make(&pipeline, "capsfilter", "filter").unwrap();
        link(&[&guard, &filter]).unwrap();
        filter.set_property("caps", gst::Caps::new_empty());
        let entry = pad(&tee, "sink").unwrap();
        let offered = gst::Caps::builder("video/x-raw").field("width", 640).build();
        assert_eq!(entry.query_caps(Some(&offered)), offered);
        assert!(entry.query_accept_caps(&offered));
        assert!(!entry.query_accept_caps(&gst::Caps::new_empty_simple("video/x-h264")));
        // What the branch wishes does not make those in front of the tee think again.
        let source = make(&pipeline, "identity", "source").unwrap();
        link(&[&source, &tee]).unwrap();
        pipeline.set_state(gst::State::Paused).unwrap();
        let exit = pad(&source, "src").unwrap();
        exit.check_reconfigure();
        assert!(pad(&filter, "sink").unwrap().push_event(gst::event::Reconfigure::new()));
        assert!(!exit.check_reconfigure());
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
