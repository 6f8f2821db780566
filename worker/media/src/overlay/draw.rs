//! Lays layers over pictures: GStreamer asks for each picture what lies on it, and layers say what they show at that time.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gst::{glib, prelude::*};
use gst_video::{VideoOverlayComposition, VideoOverlayRectangle};
use mps_proto::worker::v1::Failure;

use super::raster::Raster;
use crate::pass::{elements::make, picture::Step};

/// Something that lies on pictures.
pub trait Layer: Debug + Send + Sync {
    /// Number of what it shows at a time of the output; `None`: nothing.
    fn shows(&self, time: Duration) -> Option<usize>;

    /// The picture of a number and where its top left corner lies.
    fn picture(&self, number: usize) -> Result<(Arc<Raster>, i32, i32), Failure>;
}

/// Layers from the lowest to the highest.
#[derive(Debug, Clone)]
pub struct Overlay {
    pub layers: Vec<Arc<dyn Layer>>,
    /// Time of the output at which running time is zero.
    pub begin: Duration,
}

/// What every layer shows.
type Shown = Vec<Option<usize>>;

impl Step for Overlay {
    fn elements(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<Vec<gst::Element>, Failure> {
        let element = make(pipeline, "overlaycomposition", &format!("{prefix}-marks"))?;
        let (layers, begin) = (self.layers.clone(), self.begin);
        let last: Mutex<Option<(Shown, Option<VideoOverlayComposition>)>> = Mutex::new(None);
        element.connect("draw", false, move |values| {
            let element = values.first().and_then(|value| value.get::<gst::Element>().ok());
            let sample = values.get(1).and_then(|value| value.get::<gst::Sample>().ok());
            let time = begin + sample.as_ref().map_or(Duration::ZERO, running_time);
            let shown: Shown = layers.iter().map(|layer| layer.shows(time)).collect();
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.as_ref().is_none_or(|(before, _)| *before != shown) {
                let composition = composed(&layers, &shown).unwrap_or_else(|failure| {
                    if let Some(element) = &element {
                        let message = failure.status.map(|status| status.message).unwrap_or_default();
                        gst::element_error!(element, gst::StreamError::Failed, ("{message}"));
                    }
                    None
                });
                *last = Some((shown, composition));
            }
            let composition = last.as_ref().and_then(|(_, composition)| composition.clone());
            Some(glib::Value::from(composition))
        });
        Ok(vec![element])
    }

    fn later(&self, begin: Duration) -> Option<Arc<dyn Step>> {
        let layers = self.layers.clone();
        Some(Arc::new(Self { layers, begin }))
    }
}

fn running_time(sample: &gst::Sample) -> Duration {
    let time = sample
        .segment()
        .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
        .zip(sample.buffer().and_then(|buffer| buffer.pts()))
        .and_then(|(segment, pts)| segment.to_running_time(pts));
    Duration::from_nanos(time.map_or(0, gst::ClockTime::nseconds))
}

fn composed(layers: &[Arc<dyn Layer>], shown: &Shown) -> Result<Option<VideoOverlayComposition>, Failure> {
    let mut rectangles: Vec<VideoOverlayRectangle> = Vec::new();
    for (layer, number) in layers.iter().zip(shown) {
        if let Some(number) = number {
            let (raster, x, y) = layer.picture(*number)?;
            rectangles.extend(raster.at(x, y));
        }
    }
    if rectangles.is_empty() {
        return Ok(None);
    }
    Ok(VideoOverlayComposition::new(&rectangles).ok())
}
