//! What lies on pictures: watermarks and burnt-in subtitles.

mod draw;
mod mark;
mod picture;
mod raster;
#[cfg(test)]
mod tests;
mod text;
mod vector;

use std::{path::Path, sync::Arc, time::Duration};

use mps_proto::{
    v1::ErrorReason,
    worker::v1::{Failure, PlanWatermark},
};

pub use draw::{Layer, Overlay};
pub use mark::color;
pub use raster::Raster;
pub use text::{Rendered, TextStyle, escaped, rendered};

use crate::{failure, job::Context, pass::picture::Step};
use mark::Mark;

/// The marks of a node on pictures of a size. `length`: that of the output, where it is known; `None` for pictures, too.
pub fn watermarks(
    marks: &[PlanWatermark],
    context: &Context,
    size: (i32, i32),
    length: Option<Duration>,
) -> Result<Vec<Arc<dyn Step>>, Failure> {
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    let mut layers: Vec<Arc<dyn Layer>> = Vec::with_capacity(marks.len());
    for mark in marks {
        layers.push(Arc::new(Mark::resolve(mark, context, size, length)?));
    }
    Ok(vec![Arc::new(Overlay {
        layers,
        begin: Duration::ZERO,
    })])
}

/// The fetched file of a side input.
pub fn side_input(id: &str, context: &Context) -> Result<Vec<u8>, Failure> {
    let path = context.side_inputs.get(id).ok_or_else(|| {
        failure::node(
            ErrorReason::InputUnavailable,
            format!("the side input {id} was not fetched"),
            "report it with the task's nodes",
        )
    })?;
    std::fs::read(Path::new(path)).map_err(|error| {
        failure::node(
            ErrorReason::InputUnavailable,
            format!("the side input {id} cannot be read: {error}"),
            "look at the worker's disk",
        )
    })
}
