//! Snapshots at offsets.

use std::{sync::PoisonError, time::Duration};

use mps_proto::{
    v1::SnapshotSettings,
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use super::{Branch, Checking, Context, Job, Made, Needs, Resolved, style};
use crate::{
    check::check_output,
    outputs::{CHECK_DEADLINE, described},
    pass::{
        Graph, Range,
        counters::NodeCounters,
        output_path,
        pick::Times,
        pictures::{self, PictureStyle, ToFiles, Written},
    },
    rules::{self, offsets},
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
    let stream = style::film(facts, "leave the snapshots out")?;
    let mut pictures = Vec::with_capacity(node.offsets.len());
    for (text, output) in node.offsets.iter().zip(&node.outputs) {
        pictures.push(Picture {
            output: output.clone(),
            offset: offsets::picture(text, rules::duration(facts), facts.still_picture)?,
        });
    }
    pictures.sort_by_key(|picture| picture.offset);
    Ok(Box::new(Snapshots {
        style: style::resolve(node, settings, stream, context)?,
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
        let files: Vec<_> = self
            .pictures
            .iter()
            .map(|picture| output_path(graph.order.folder, &picture.output))
            .collect();
        let times = Times {
            at: self.looks_at().unwrap_or_default(),
            then_every: None,
        };
        let (taker, written) = ToFiles::new(files);
        let chain = self.style.elements(graph.pipeline, &format!("n{node}-picture"))?;
        pictures::start(graph, node, times, chain, Box::new(taker))?;
        Ok(Box::new(Taken {
            job: self.clone(),
            written,
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
    written: Written,
}

impl Branch for Taken {
    fn is_complete(&self) -> bool {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).len() == self.job.pictures.len()
    }

    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let mut made = Made::default();
        let times = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, picture) in self.job.pictures.iter().enumerate() {
            let time = times.get(number).copied().ok_or_else(|| style::missing(picture.offset))?;
            let path = output_path(checking.folder, &picture.output);
            let media = check_output(&path, &style::expectation(&self.job.style), CHECK_DEADLINE, checking.tick)?;
            made.files.push(described(&picture.output, &path, media, Some(time)));
        }
        Ok(made)
    }
}
