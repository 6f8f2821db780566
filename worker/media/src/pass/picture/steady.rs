//! Pictures of one shape. Films may change their size on the way: what comes in another shape is laid into that of the film, with bars where
//! its aspect is another one, so that everything behind it sees one size.

use std::sync::Mutex;

use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use crate::pass::elements::{caps_filter, make, pad};

/// Aspects that differ by this share at most are one: headers round.
const SAME_ASPECT: f64 = 0.02;

/// Size in pixels, and the width of one divided by its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub width: i32,
    pub height: i32,
    pub pixel_aspect: gst::Fraction,
}

impl Shape {
    fn of(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        Some(Self {
            width: structure.get("width").ok()?,
            height: structure.get("height").ok()?,
            pixel_aspect: structure.get("pixel-aspect-ratio").unwrap_or(gst::Fraction::new(1, 1)),
        })
    }

    fn aspect(self) -> f64 {
        let pixel = f64::from(self.pixel_aspect.numer()) / f64::from(self.pixel_aspect.denom().max(1));
        f64::from(self.width) * pixel / f64::from(self.height.max(1))
    }

    fn is_like(self, other: Self) -> bool {
        (self.aspect() / other.aspect() - 1.0).abs() < SAME_ASPECT
    }

    fn caps(self) -> gst::Caps {
        gst::Caps::builder("video/x-raw")
            .field("width", self.width)
            .field("height", self.height)
            .field("pixel-aspect-ratio", self.pixel_aspect)
            .build()
    }
}

/// The film's shape by its header.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    pub shape: Shape,
    /// Whether it knows the shape of pixels, and need not take them for squares.
    pub knows_pixels: bool,
}

impl Told {
    /// What pictures are brought to when the first ones come in a shape: those of another aspect are laid into the film's, others set it.
    fn kept(self, first: Shape) -> Shape {
        let film = if self.knows_pixels {
            self.shape
        } else {
            Shape {
                pixel_aspect: first.pixel_aspect,
                ..self.shape
            }
        };
        if film.is_like(first) { first } else { film }
    }
}

/// The elements, to be linked in order.
pub fn elements(pipeline: &gst::Pipeline, name: &str, told: Option<Told>) -> Result<[gst::Element; 2], Failure> {
    let scale = make(pipeline, "videoconvertscale", name)?;
    scale.set_property("add-borders", true);
    let any = gst::Caps::builder("video/x-raw").build();
    let filter = caps_filter(pipeline, &format!("{name}-shape"), &any)?;
    let (weak, first) = (filter.downgrade(), Mutex::new(true));
    pad(&scale, "sink")?.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let shape = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(caps)) => Shape::of(caps.caps()),
            _ => None,
        };
        if let (Some(shape), Ok(mut first)) = (shape, first.lock())
            && std::mem::take(&mut *first)
            && let Some(filter) = weak.upgrade()
        {
            let kept = told.map_or(shape, |told| told.kept(shape));
            filter.set_property("caps", kept.caps());
        }
        gst::PadProbeReturn::Ok
    });
    Ok([scale, filter])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(width: i32, height: i32, num: i32, den: i32) -> Shape {
        Shape {
            width,
            height,
            pixel_aspect: gst::Fraction::new(num, den),
        }
    }

    #[test]
    fn aspects_are_those_of_the_screen() {
        assert!(shape(720, 576, 64, 45).is_like(shape(1920, 1080, 1, 1)));
        assert!(shape(1920, 1088, 1, 1).is_like(shape(1920, 1080, 1, 1)));
        assert!(!shape(720, 576, 64, 45).is_like(shape(720, 576, 16, 15)));
        assert!(!shape(180, 320, 1, 1).is_like(shape(320, 180, 1, 1)));
    }

    #[test]
    fn a_header_that_does_not_know_pixels_takes_those_that_come() {
        let wide = shape(720, 576, 64, 45);
        let told = |knows_pixels| Told {
            shape: shape(720, 576, 1, 1),
            knows_pixels,
        };
        assert_eq!(told(false).kept(wide), wide);
        assert_eq!(told(true).kept(wide), shape(720, 576, 1, 1));
        assert_eq!(told(false).kept(shape(576, 720, 1, 1)), shape(720, 576, 1, 1));
    }
}
