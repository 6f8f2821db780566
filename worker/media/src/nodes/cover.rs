//! The cover: the best of candidates sampled through the film.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gst::prelude::*;
use mps_proto::{
    v1::{Fit, SnapshotSettings},
    worker::v1::{Failure, PlanNode, PlanOutput},
};

use super::{Branch, Checking, Context, Job, Made, Needs, Resolved, cover_score, first_output, style};
use crate::{
    check::check_output,
    outputs::{CHECK_DEADLINE, described},
    pass::{
        Graph, Range,
        counters::NodeCounters,
        elements::{caps_filter, make, pad},
        output_path,
        pick::Times,
        pictures::{self, Arrived, PictureStyle, Taker, write_one},
    },
    rules::{self, Frame, Geometry},
};

/// Candidates of a long film, and how far apart those of a short one are.
const MOST_CANDIDATES: u32 = 40;
const LEAST_DISTANCE: Duration = Duration::from_millis(500);
/// Side of the pictures that are compared.
const COMPARED_PX: i32 = 480;
/// A later picture must be better by this, or the earlier one stays.
const CLEARLY: f64 = 1.01;

/// The search for a cover, or the part of it that a leap makes.
#[derive(Debug, Clone)]
struct Cover {
    output: PlanOutput,
    style: PictureStyle,
    compared: (i32, i32),
    times: Times,
    /// Shared by the parts.
    best: Best,
}

type Best = Arc<Mutex<Option<Candidate>>>;

#[derive(Debug)]
struct Candidate {
    score: f64,
    time: Duration,
    buffer: gst::Buffer,
    caps: gst::Caps,
}

pub(super) fn resolve(node: &PlanNode, settings: &SnapshotSettings, context: &Context) -> Resolved {
    let facts = context.facts;
    let stream = style::film(facts, "leave the cover out")?;
    let end = rules::stream_end(facts, stream).filter(|_| !facts.still_picture);
    let small = Geometry::resolve(Frame::of(stream), Some(COMPARED_PX), Some(COMPARED_PX), Fit::Contain, false, 1);
    Ok(Box::new(Cover {
        output: first_output(node)?,
        style: style::resolve(node, settings, stream, context)?,
        compared: (small.width, small.height),
        times: candidates(end),
        best: Best::default(),
    }))
}

/// In the middle of parts of equal length; of an unknown one each few seconds.
fn candidates(end: Option<Duration>) -> Times {
    let Some(end) = end else {
        return Times {
            at: vec![Duration::ZERO],
            then_every: None,
        };
    };
    let count = ((end.as_secs_f64() / LEAST_DISTANCE.as_secs_f64()) as u32).clamp(1, MOST_CANDIDATES);
    let part = end / count;
    Times {
        at: (0..count).map(|number| part * number + part / 2).collect(),
        then_every: None,
    }
}

impl Job for Cover {
    fn needs(&self) -> Needs {
        Needs {
            decoded_video: true,
            ..Needs::default()
        }
    }

    fn part(&self) -> Range {
        Range::around_pictures(self.times.at.iter().copied())
    }

    fn is_idle(&self) -> bool {
        self.times.at.is_empty()
    }

    fn build(&self, graph: &mut Graph, node: usize) -> Result<Box<dyn Branch>, Failure> {
        let name = |part: &str| format!("n{node}-picture-{part}");
        let scale = make(graph.pipeline, "videoconvertscale", &name("scale"))?;
        scale.set_property("add-borders", false);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "GRAY8")
            .field("width", self.compared.0)
            .field("height", self.compared.1)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .build();
        let size = caps_filter(graph.pipeline, &name("size"), &caps)?;
        let whole = keep_whole(&pad(&scale, "sink")?);
        let chooser = Chooser {
            whole,
            width: self.compared.0.max(1) as usize,
            height: self.compared.1.max(1) as usize,
            best: self.best.clone(),
        };
        pictures::start(graph, node, self.times.clone(), vec![scale, size], Box::new(chooser))?;
        Ok(Box::new(Chosen(self.clone())))
    }

    fn position(&self, counters: &NodeCounters, _duration: Option<Duration>) -> (Option<f64>, u64) {
        let taken = counters.pictures();
        (Some((taken as f64 / self.times.at.len().max(1) as f64).min(1.0)), taken)
    }

    fn looks_at(&self) -> Option<Vec<Duration>> {
        Some(self.times.at.clone())
    }

    fn between(&self, start: Duration, end: Duration) -> Option<Box<dyn Job>> {
        Some(Box::new(Self {
            times: self.times.between(start, end),
            ..self.clone()
        }))
    }
}

/// The picture that is being compared, in full size.
type Whole = Arc<Mutex<Option<(gst::Buffer, gst::Caps)>>>;

fn keep_whole(pad: &gst::Pad) -> Whole {
    let whole = Whole::default();
    let kept = whole.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let (Some(gst::PadProbeData::Buffer(buffer)), Some(caps)) = (&info.data, pad.current_caps()) {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((buffer.clone(), caps));
        }
        gst::PadProbeReturn::Ok
    });
    whole
}

/// Keeps the best candidate.
struct Chooser {
    whole: Whole,
    width: usize,
    height: usize,
    best: Best,
}

impl Taker for Chooser {
    fn picture(&mut self, picture: &Arrived) -> io::Result<()> {
        let stride = picture.bytes.len() / self.height;
        let score = cover_score::score(picture.bytes, self.width, stride);
        let Some((buffer, caps)) = self.whole.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let mut best = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        if best.as_ref().is_some_and(|best| score <= best.score * CLEARLY) {
            return Ok(());
        }
        // A copy, so that the decoder gets its memory back.
        let buffer = buffer.copy_deep().map_err(io::Error::other)?;
        *best = Some(Candidate {
            score,
            time: picture.time,
            buffer,
            caps,
        });
        Ok(())
    }
}

/// The branch that looks for the cover. The first part's check writes it.
struct Chosen(Cover);

impl Branch for Chosen {
    fn is_complete(&self) -> bool {
        self.0.best.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn check(self: Box<Self>, checking: &Checking) -> Result<Made, Failure> {
        let job = &self.0;
        let best = job.best.lock().unwrap_or_else(PoisonError::into_inner).take();
        let path = output_path(checking.folder, &job.output);
        let Some(best) = best else {
            return match path.exists() {
                true => Ok(Made::default()),
                false => Err(style::missing(job.times.get(0).unwrap_or_default())),
            };
        };
        write_one(best.buffer, &best.caps, &job.style, &path)?;
        let media = check_output(&path, &style::expectation(&job.style), CHECK_DEADLINE, checking.tick)?;
        Ok(Made {
            files: vec![described(&job.output, &path, media, Some(best.time))],
            ..Made::default()
        })
    }
}
