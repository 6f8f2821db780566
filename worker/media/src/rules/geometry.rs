//! Sizes: from the input's picture as it is shown to the output's pixels.

use mps_proto::v1::{Fit, MediaStream};

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
}

/// What happens to a picture: cut, scale, bars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geometry {
    pub width: i32,
    pub height: i32,
    /// Bars fill the box where the aspects differ.
    pub bars: bool,
    /// Share of the shown width and height that is cut away on each side before scaling.
    pub crop: (f64, f64),
}

impl Geometry {
    /// `step`: sides are multiples of it (2 for 4:2:0 video).
    pub fn resolve(frame: Frame, width: Option<i32>, height: Option<i32>, fit: Fit, allow_upscale: bool, step: i32) -> Self {
        let plain = |width: f64, height: f64| Self {
            width: multiple(width, step),
            height: multiple(height, step),
            bars: false,
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
        let boxed = |bars: bool, crop: (f64, f64), shrink: f64| Self {
            width: multiple(width * shrink, step),
            height: multiple(height * shrink, step),
            bars,
            crop,
        };
        match fit {
            Fit::Pad => boxed(true, (0.0, 0.0), limit(across.min(down)) / across.min(down)),
            Fit::Stretch => boxed(false, (0.0, 0.0), shrink),
            Fit::Crop => {
                let cover = across.max(down);
                let cut = |side: f64, scale: f64| ((1.0 - side / scale) / 2.0).max(0.0);
                boxed(false, (cut(across, cover), cut(down, cover)), shrink)
            }
            _ => {
                let scale = limit(across.min(down));
                Self {
                    width: multiple(frame.width * scale, step),
                    height: multiple(frame.height * scale, step),
                    bars: false,
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
        assert_eq!((pad.width, pad.height, pad.bars), (1000, 1000, true));
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
