//! Snapshots at regular distances: a series.

use std::{path::PathBuf, sync::PoisonError, time::Duration};

use mps_proto::{
    v1::SampleSnapshotSettings,
    worker::v1::{Failure, PlanNode, SeriesFile},
};

use super::{
    Branch, Checking, Context, Job, Made, Needs, Resolved, first_output,
    sampling::{Distance, Sampling, too_many},
    style,
};
use crate::{
    check::check_series,
    pass::{
        Graph, Range,
        counters::NodeCounters,
        pictures::{self, PictureStyle, ToFiles, Written},
    },
    rules::{self, Clip},
};

/// Most pictures of a plan that says nothing.
const DEFAULT_MOST: usize = 10_000;

/// Pictures at regular distances.
#[derive(Debug, Clone)]
struct Samples {
    style: PictureStyle,
    sampling: Sampling,
    /// Beginning of the files' names.
    stem: String,
    format: String,
    /// Pictures of the node that come before this part of it.
    before: usize,
    most: usize,
}

pub(super) fn resolve(node: &PlanNode, settings: &SampleSnapshotSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let stream = style::film(facts, "leave the samples out")?;
    let output = first_output(node)?;
    let clip = Clip::resolve(node.start_offset.as_ref(), node.end_offset.as_ref(), rules::duration(facts), None)?;
    let most = node.series.as_ref().and_then(|series| usize::try_from(series.max_files).ok());
    let most = most.filter(|most| *most > 0).unwrap_or(DEFAULT_MOST);
    let distance = Distance {
        interval: settings.interval,
        percent: settings.interval_percent,
    };
    Ok(Box::new(Samples {
        style: style::resolve(node, &settings.picture.unwrap_or_default(), stream, context)?,
        sampling: Sampling::resolve(&distance, clip, facts, stream, most)?,
        stem: output.output_id,
        format: output.format,
        before: 0,
        most,
    }))
}

impl Samples {
    fn files(&self, folder: &std::path::Path) -> Vec<PathBuf> {
        let count = match self.sampling.times.then_every {
            Some(_) => self.most,
            None => self.sampling.times.at.len(),
        };
        let numbers = self.before..self.before + count;
        numbers
            .map(|number| folder.join(format!("{}-{number}.{}", self.stem, self.format)))
            .collect()
    }
}

impl Job for Samples {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: true,
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        self.sampling.part()
    }

    fn is_idle(&self) -> bool {
        self.sampling.times.at.is_empty()
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let (taker, written) = ToFiles::new(self.files(graph.order.folder));
        let chain = self.style.elements(graph.pipeline, &format!("n{node}-picture"))?;
        pictures::start(graph, node, self.sampling.times.clone(), chain, Box::new(taker))?;
        Ok(Box::new(Taken {
            job: self.clone(),
            written,
        }))
    }

    fn position(&self, counters: &NodeCounters, duration: Option<Duration>) -> (Option<f64>, u64) {
        let written = counters.pictures();
        (self.sampling.share(written, duration), written)
    }

    fn looks_at(&self) -> Option<Vec<Duration>> {
        self.sampling.looks_at()
    }

    fn between(&self, start: Duration, end: Duration) -> Option<Box<dyn Job>> {
        let (before, sampling) = self.sampling.between(start, end);
        Some(Box::new(Self {
            sampling,
            before,
            ..self.clone()
        }))
    }
}

/// The branch that takes pictures.
struct Taken {
    job: Samples,
    written: Written,
}

impl Branch for Taken {
    fn is_complete(&self) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.job.sampling.times.then_every.is_some() || written == self.job.sampling.times.at.len()
    }

    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        if checking.counters.pictures() > self.job.most as u64 {
            return Err(too_many(self.job.most));
        }
        let times = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut files = self.job.files(checking.folder);
        files.truncate(times.len());
        if files.is_empty() {
            return Err(style::missing(self.job.sampling.times.get(0).unwrap_or_default()));
        }
        let media = check_series(
            files.iter().map(PathBuf::as_path),
            &style::expectation(&self.job.style),
            checking.tick,
        )?;
        let series = files.iter().zip(media).zip(times).map(|((path, media), time)| SeriesFile {
            path: path.display().to_string(),
            media: Some(media),
            source_offset: time.try_into().ok(),
        });
        Ok(Made {
            series: series.collect(),
            ..Made::default()
        })
    }
}
