//! Gives texts with their times to an element: all at once, since they are small.

use std::time::Duration;

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use crate::pass::elements::{broken, make};

/// One text and when it is seen, from the beginning of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    pub start: Duration,
    pub end: Duration,
    pub text: String,
}

/// A source of texts that ends behind the last.
pub fn source(pipeline: &gst::Pipeline, name: &str, caps: &gst::Caps, texts: Vec<Timed>) -> Result<gst::Element, Failure> {
    let source = make(pipeline, "appsrc", name)?;
    source.set_property("caps", caps);
    source.set_property_from_str("format", "time");
    source.set_property("max-bytes", 0u64);
    source.set_property("max-buffers", 0u64);
    source.set_property("max-time", 0u64);
    for timed in texts {
        let mut buffer = gst::Buffer::from_slice(timed.text.into_bytes());
        if let Some(writable) = buffer.get_mut() {
            let clock = |time: Duration| gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1));
            writable.set_pts(clock(timed.start));
            writable.set_duration(clock(timed.end.saturating_sub(timed.start)));
        }
        let flow = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        flow.into_result().map_err(|error| broken(&error.to_string()))?;
    }
    let flow = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    flow.into_result().map_err(|error| broken(&error.to_string()))?;
    Ok(source)
}
