//! ASS drawn into the picture by libass, with the fonts of the worker.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::{cues::refused, feed};
use crate::{
    pass::{
        elements::{broken, make, pad},
        picture::Step,
    },
    rules::Clip,
};

/// A script: styles, and lines with their times.
#[derive(Debug)]
pub struct Script {
    header: String,
    lines: Vec<feed::Timed>,
}

impl Script {
    /// Lines are cut to the clip.
    pub fn parse(text: &str, clip: Clip) -> Result<Self, Failure> {
        let (mut header, mut fields) = (String::new(), Vec::new());
        let (mut in_events, mut lines) = (false, Vec::new());
        for line in text.lines() {
            if line.starts_with('[') {
                in_events = line.trim().eq_ignore_ascii_case("[events]");
            }
            if let Some(names) = line.strip_prefix("Format:").filter(|_| in_events) {
                fields = names.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
            }
            match line.strip_prefix("Dialogue:").filter(|_| in_events) {
                Some(dialogue) => lines.extend(timed(dialogue, &fields, lines.len(), clip)?),
                // Fonts inside the file are left out: only those of the worker are used.
                None if in_events || !line.starts_with("fontname:") => {
                    header.push_str(line);
                    header.push('\n');
                }
                None => {}
            }
        }
        if fields.is_empty() {
            return Err(refused("the ASS file has no events"));
        }
        lines.sort_by_key(|line| line.start);
        Ok(Self { header, lines })
    }
}

/// In the words of Matroska: order, then the fields but the times.
fn timed(dialogue: &str, fields: &[String], order: usize, clip: Clip) -> Result<Option<feed::Timed>, Failure> {
    let values: Vec<&str> = dialogue.trim_start().splitn(fields.len().max(1), ',').collect();
    let value = |name: &str| fields.iter().position(|field| field == name).and_then(|at| values.get(at)).copied();
    let time = |name: &str| {
        value(name)
            .and_then(clock)
            .ok_or_else(|| refused("a line of the ASS file has no time"))
    };
    let (start, end) = (time("start")?, time("end")?);
    if end <= start.max(clip.start) || clip.end.is_some_and(|clip_end| start >= clip_end) {
        return Ok(None);
    }
    let rest = ["layer", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
        .map(|name| value(name).unwrap_or(if name == "layer" { "0" } else { "" }));
    Ok(Some(feed::Timed {
        start: start.saturating_sub(clip.start),
        end: end.saturating_sub(clip.start),
        text: format!("{order},{}", rest.join(",")),
    }))
}

/// "0:00:01.50".
fn clock(text: &str) -> Option<Duration> {
    let parts: Vec<f64> = text.trim().split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    Duration::try_from_secs_f64(hours * 3600.0 + minutes * 60.0 + seconds).ok()
}

/// Holds pictures until the script's header was read: the element passes on undrawn what comes before it.
fn hold_until_told(pictures: &gst::Pad, text: &gst::Pad) -> Result<(), Failure> {
    let kind = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
    let block = pictures
        .add_probe(kind, |_, _| gst::PadProbeReturn::Ok)
        .ok_or_else(|| broken("pictures cannot be held"))?;
    let block = Mutex::new(Some(block));
    let pictures = pictures.downgrade();
    text.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        // The header comes with the caps; what comes after the caps tells that they were read.
        let before = [gst::EventType::StreamStart, gst::EventType::Caps];
        if info.event().is_some_and(|event| before.contains(&event.type_())) {
            return gst::PadProbeReturn::Ok;
        }
        let block = block.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(pictures), Some(block)) = (pictures.upgrade(), block) {
            pictures.remove_probe(block);
        }
        gst::PadProbeReturn::Remove
    })
    .ok_or_else(|| broken("the script cannot be watched"))?;
    Ok(())
}

impl Step for Script {
    fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let render = make(pipeline, "assrender", &format!("{prefix}-ass"))?;
        render.set_property("embeddedfonts", false);
        // Else pictures do not wait for lines that are on their way.
        render.set_property("wait-text", true);
        let header = gst::Buffer::from_slice(self.header.clone().into_bytes());
        let caps = gst::Caps::builder("application/x-ass").field("codec_data", header).build();
        let source = feed::source(pipeline, &format!("{prefix}-ass-lines"), &caps, self.lines.clone())?;
        let queue = make(pipeline, "queue", &format!("{prefix}-ass-queue"))?;
        queue.set_property("max-size-buffers", 0u32);
        queue.set_property("max-size-time", 0u64);
        source.link(&queue).map_err(|error| broken(&error.to_string()))?;
        let text = pad(&render, "text_sink")?;
        pad(&queue, "src")?.link(&text).map_err(|error| broken(&error.to_string()))?;
        hold_until_told(&pad(&render, "video_sink")?, &text)?;
        Ok(vec![render])
    }

    fn later(&self, begin: Duration) -> Option<Arc<dyn Step>> {
        let seen = self.lines.iter().filter(|line| line.end > begin);
        let moved = |line: &feed::Timed| feed::Timed {
            start: line.start.saturating_sub(begin),
            end: line.end - begin,
            text: line.text.clone(),
        };
        Some(Arc::new(Self {
            header: self.header.clone(),
            lines: seen.map(moved).collect(),
        }))
    }
}
