//! Snapshots at offsets.

use std::time::Duration;

use mps_proto::{
    v1::{ErrorReason, ImageFormat, SnapshotSettings},
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use super::{Branch, Checking, Context, Job, Made, Needs, Resolved};
use crate::{
    check::{Expectation, check_output},
    failure,
    outputs::{CHECK_DEADLINE, described},
    pass::{
        Graph, Range,
        counters::NodeCounters,
        output_path,
        pictures::{PictureStyle, Pictures},
    },
    rules::{self, Frame, Geometry, offsets, stream_missing},
};

/// Pictures at offsets.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub style: PictureStyle,
    /// In order of their offsets.
    pub pictures: Vec<Picture>,
}

#[derive(Debug, Clone)]
pub struct Picture {
    pub output: PlanOutput,
    pub offset: Duration,
}

pub(super) fn resolve(node: &PlanNode, settings: &SnapshotSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let stream = rules::film(facts).ok_or_else(|| stream_missing("the input has no picture", "leave the snapshots out"))?;
    rules::unless_undecodable(stream, facts)?;
    let mut pictures = Vec::with_capacity(node.offsets.len());
    for (text, output) in node.offsets.iter().zip(&node.outputs) {
        pictures.push(Picture {
            output: output.clone(),
            offset: offsets::picture(text, rules::duration(facts))?,
        });
    }
    pictures.sort_by_key(|picture| picture.offset);
    let geometry = Geometry::resolve(Frame::of(stream), settings.width_px, settings.height_px, settings.fit(), false, 1);
    Ok(Box::new(Snapshots {
        style: PictureStyle {
            format: settings.format(),
            quality: settings.quality.unwrap_or(85),
            geometry,
        },
        pictures,
    }))
}

impl Job for Snapshots {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: true,
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range::around_pictures(self.pictures.iter().map(|picture| picture.offset))
    }

    fn is_idle(&self) -> bool {
        self.pictures.is_empty()
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let files = self.pictures.iter().map(|picture| output_path(graph.order.folder, &picture.output));
        let offsets = self.pictures.iter().map(|picture| picture.offset).collect();
        let pictures = Pictures::start(graph, node, &self.style, offsets, files.collect())?;
        Ok(Box::new(Taken {
            job: self.clone(),
            pictures: Some(pictures),
            times: Vec::new(),
        }))
    }

    fn position(&self, counters: &NodeCounters, _duration: Option<Duration>) -> (Option<f64>, u64) {
        let written = counters.pictures();
        (Some(written as f64 / self.pictures.len().max(1) as f64), written)
    }

    fn looks_at(&self) -> Option<Vec<Duration>> {
        Some(self.pictures.iter().map(|picture| picture.offset).collect())
    }

    fn between(&self, start: Duration, end: Duration) -> Option<Box<dyn Job>> {
        let mut part = self.clone();
        part.pictures.retain(|picture| picture.offset >= start && picture.offset < end);
        Some(Box::new(part))
    }
}

/// The branch that takes pictures.
struct Taken {
    job: Snapshots,
    pictures: Option<Pictures>,
    /// Media time of each picture; `None`: there is none.
    times: Vec<Option<Duration>>,
}

impl Branch for Taken {
    fn stop(&mut self) -> Result<(), Failure> {
        if let Some(pictures) = self.pictures.take() {
            self.times = pictures.finish()?;
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.times.len() == self.job.pictures.len() && self.times.iter().all(Option::is_some)
    }

    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let mut made = Made::default();
        for (number, picture) in self.job.pictures.iter().enumerate() {
            let time = self.times.get(number).copied().flatten().ok_or_else(|| missing(picture.offset))?;
            let path = output_path(checking.folder, &picture.output);
            let media = check_output(&path, &expectation(&self.job.style), CHECK_DEADLINE)?;
            made.files.push(described(&picture.output, &path, media, Some(time)));
        }
        Ok(made)
    }
}

/// What a picture of a style must be.
pub(super) fn expectation(style: &PictureStyle) -> Expectation {
    Expectation {
        width_px: style.geometry.width,
        height_px: style.geometry.height,
        video_codec: Some(codec(style.format).to_owned()),
        ..Expectation::default()
    }
}

fn codec(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
        _ => "mjpeg",
    }
}

fn missing(offset: Duration) -> Failure {
    failure::data(
        ErrorReason::OffsetOutOfRange,
        format!("there is no picture at {:.3} s", offset.as_secs_f64()),
        "the picture ends before the sound does; choose an earlier offset",
    )
}
