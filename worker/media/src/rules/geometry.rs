//! Sizes: from the input's picture as it is shown to the output's pixels.

use mps_proto::v1::{CropArea, Fit, MediaStream, SizeBasis};

/// The input's picture as it is shown: upright, in square pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    pub width: f64,
    pub height: f64,
}

impl Frame {
    /// Rotation swaps the sides; the pixel aspect stretches the width.
    pub fn of(stream: &MediaStream) -> Self {
        let video = stream.video.clone().unwrap_or_default();
        let aspect = if video.pixel_aspect_num > 0 && video.pixel_aspect_den > 0 {
            f64::from(video.pixel_aspect_num) / f64::from(video.pixel_aspect_den)
        } else {
            1.0
        };
        let (width, height) = (f64::from(video.width_px.max(1)) * aspect, f64::from(video.height_px.max(1)));
        match video.rotation_deg {
            90 | 270 => Self {
                width: height,
                height: width,
            },
            _ => Self { width, height },
        }
    }

    /// What is left when an area of the upright picture's own pixels is cut out; `None` when the area does not lie in it.
    pub fn cut_to(self, stream: &MediaStream, area: &CropArea) -> Option<Self> {
        let (across, down) = pixels(stream);
        let inside = |from: i32, length: i32, side: i32| from >= 0 && length > 0 && from.checked_add(length).is_some_and(|end| end <= side);
        (inside(area.left_px, area.width_px, across) && inside(area.top_px, area.height_px, down)).then(|| Self {
            width: self.width * f64::from(area.width_px) / f64::from(across),
            height: self.height * f64::from(area.height_px) / f64::from(down),
        })
    }

    /// After a rotation by a multiple of 90 degrees.
    pub fn turned(self, degrees: i32) -> Self {
        match degrees {
            90 | 270 => Self {
                width: self.height,
                height: self.width,
            },
            _ => self,
        }
    }

    /// Width and height of the box that settings name by a basis: long and short side change places for a portrait picture.
    pub fn sides(self, basis: SizeBasis, width: Option<i32>, height: Option<i32>) -> (Option<i32>, Option<i32>) {
        if basis == SizeBasis::LongShort && self.height > self.width {
            return (height, width);
        }
        (width, height)
    }
}

/// Width and height of the upright picture in its own pixels, square or not.
pub fn pixels(stream: &MediaStream) -> (i32, i32) {
    let video = stream.video.clone().unwrap_or_default();
    match video.rotation_deg {
        90 | 270 => (video.height_px, video.width_px),
        _ => (video.width_px, video.height_px),
    }
}

/// What happens to a picture: cut, scale, bars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    pub width: i32,
    pub height: i32,
    /// Size of the picture itself where bars fill the rest of the box.
    pub inner: Option<(i32, i32)>,
    /// Share of the shown width and height that is cut away on each side before scaling.
    pub crop: (f64, f64),
}

impl Geometry {
    /// `step`: sides are multiples of it (2 for 4:2:0 video).
    pub fn resolve(frame: Frame, width: Option<i32>, height: Option<i32>, fit: Fit, allow_upscale: bool, step: i32) -> Self {
        let plain = |width: f64, height: f64| Self {
            width: multiple(width, step),
            height: multiple(height, step),
            inner: None,
            crop: (0.0, 0.0),
        };
        let limit = |scale: f64| if allow_upscale { scale } else { scale.min(1.0) };
        match (width.map(f64::from), height.map(f64::from)) {
            (None, None) => plain(frame.width, frame.height),
            (Some(width), None) => {
                let scale = limit(width / frame.width);
                plain(frame.width * scale, frame.height * scale)
            }
            (None, Some(height)) => {
                let scale = limit(height / frame.height);
                plain(frame.width * scale, frame.height * scale)
            }
            (Some(width), Some(height)) => Self::in_box(frame, width, height, fit, allow_upscale, step),
        }
    }

    fn in_box(frame: Frame, width: f64, height: f64, fit: Fit, allow_upscale: bool, step: i32) -> Self {
        let (across, down) = (width / frame.width, height / frame.height);
        let limit = |scale: f64| if allow_upscale { scale } else { scale.min(1.0) };
        // A box that is not reached shrinks as a whole, so that its aspect stays.
        let shrink = limit(across.max(down)) / across.max(down);
        let boxed = |crop: (f64, f64), shrink: f64| Self {
            width: multiple(width * shrink, step),
            height: multiple(height * shrink, step),
            inner: None,
            crop,
        };
        match fit {
            Fit::Pad => {
                let scale = limit(across.min(down));
                let outer = boxed((0.0, 0.0), scale / across.min(down));
                let inner = (
                    multiple(frame.width * scale, step).min(outer.width),
                    multiple(frame.height * scale, step).min(outer.height),
                );
                Self {
                    inner: (inner != (outer.width, outer.height)).then_some(inner),
                    ..outer
                }
            }
            Fit::Stretch => boxed((0.0, 0.0), shrink),
            Fit::Crop => {
                let cover = across.max(down);
                let cut = |side: f64, scale: f64| ((1.0 - side / scale) / 2.0).max(0.0);
                boxed((cut(across, cover), cut(down, cover)), shrink)
            }
            _ => {
                let scale = limit(across.min(down));
                Self {
                    width: multiple(frame.width * scale, step),
                    height: multiple(frame.height * scale, step),
                    inner: None,
                    crop: (0.0, 0.0),
                }
            }
        }
    }
}

fn multiple(side: f64, step: i32) -> i32 {
    (((side / f64::from(step)).round() as i32) * step).max(step.max(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Frame = Frame {
        width: 1920.0,
        height: 1080.0,
    };

    fn size(width: Option<i32>, height: Option<i32>, fit: Fit, upscale: bool) -> (i32, i32) {
        let geometry = Geometry::resolve(HD, width, height, fit, upscale, 2);
        (geometry.width, geometry.height)
    }

    #[test]
    fn sides_follow_the_aspect_and_are_even() {
        assert_eq!(size(None, Some(720), Fit::Contain, false), (1280, 720));
        assert_eq!(size(Some(640), None, Fit::Contain, false), (640, 360));
        assert_eq!(size(Some(1000), Some(1000), Fit::Contain, false), (1000, 562));
        let odd = Frame {
            width: 1279.0,
            height: 719.0,
        };
        let geometry = Geometry::resolve(odd, None, None, Fit::Contain, false, 2);
        assert_eq!((geometry.width, geometry.height), (1280, 720));
    }

    #[test]
    fn pictures_are_not_enlarged_unless_asked() {
        assert_eq!(size(None, Some(2160), Fit::Contain, false), (1920, 1080));
        assert_eq!(size(None, Some(2160), Fit::Contain, true), (3840, 2160));
        assert_eq!(size(Some(4000), Some(4000), Fit::Stretch, false), (1080, 1080));
    }

    #[test]
    fn crop_cuts_what_does_not_fit_and_pad_keeps_the_box() {
        let crop = Geometry::resolve(HD, Some(1000), Some(1000), Fit::Crop, false, 2);
        assert_eq!((crop.width, crop.height), (1000, 1000));
        assert!((crop.crop.0 - 0.21875).abs() < 1e-6 && crop.crop.1.abs() < 1e-9, "{crop:?}");
        let pad = Geometry::resolve(HD, Some(1000), Some(1000), Fit::Pad, false, 2);
        assert_eq!((pad.width, pad.height, pad.inner), (1000, 1000, Some((1000, 562))));
    }

    #[test]
    fn rotation_swaps_the_sides_and_pixels_become_square() {
        let video = mps_proto::v1::VideoProperties {
            width_px: 720,
            height_px: 576,
            pixel_aspect_num: 16,
            pixel_aspect_den: 15,
            rotation_deg: 90,
            ..Default::default()
        };
        let stream = MediaStream {
            video: Some(video),
            ..Default::default()
        };
        assert_eq!(
            Frame::of(&stream),
            Frame {
                width: 576.0,
                height: 768.0
            }
        );
    }
}
