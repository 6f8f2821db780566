//! Colours of JPEG: BT.601 in full range, made in place from the film's own YUV. GStreamer leaves the range as it is between two formats of
//! one matrix, and by way of 8-bit RGB it is off by some levels.

use gst::prelude::*;
use gst_video::{VideoFrameExt, VideoFrameRef, VideoInfo};

use super::colour::{BT601 as JPEG, shares};

/// Fixed point.
const ONE: f64 = 65_536.0;

/// Converts each I420 picture of limited range that passes the pad.
pub fn convert_at(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let video = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        if let (Some(video), Some(gst::PadProbeData::Buffer(buffer))) = (video, &mut info.data)
            && let Ok(mut frame) = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &video)
        {
            convert(&mut frame, &Conversion::from(&video));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What becomes of a pixel, in fixed point.
#[derive(Debug)]
struct Conversion {
    luma: i32,
    /// Share of Cb and Cr in the new Y, Cb and Cr.
    of_chroma: [[i32; 2]; 3],
}

impl Conversion {
    fn from(video: &VideoInfo) -> Self {
        let (red, blue) = shares(video.colorimetry().matrix());
        let column = |cb: f64, cr: f64| {
            let (r, b) = (2.0 * (1.0 - red) * cr, 2.0 * (1.0 - blue) * cb);
            let g = -(red * r + blue * b) / (1.0 - red - blue);
            let y = JPEG.0 * r + (1.0 - JPEG.0 - JPEG.1) * g + JPEG.1 * b;
            [y, (b - y) / (2.0 * (1.0 - JPEG.1)), (r - y) / (2.0 * (1.0 - JPEG.0))]
        };
        let (from_cb, from_cr) = (column(1.0, 0.0), column(0.0, 1.0));
        // Chroma of limited range has 224 steps.
        let fixed = |value: f64| (value * ONE * 255.0 / 224.0).round() as i32;
        let pairs = from_cb.into_iter().zip(from_cr).map(|(cb, cr)| [fixed(cb), fixed(cr)]);
        let mut of_chroma = [[0; 2]; 3];
        for (place, pair) in of_chroma.iter_mut().zip(pairs) {
            *place = pair;
        }
        Self {
            luma: (ONE * 255.0 / 219.0).round() as i32,
            of_chroma,
        }
    }

    fn mixed(&self, row: usize, cb: i32, cr: i32) -> i32 {
        let [of_cb, of_cr] = self.of_chroma.get(row).copied().unwrap_or_default();
        of_cb * cb + of_cr * cr
    }
}

fn convert(frame: &mut VideoFrameRef<&mut gst::BufferRef>, conversion: &Conversion) {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let strides: Vec<usize> = frame.plane_stride().iter().map(|stride| *stride as usize).collect();
    let [luma_stride, cb_stride, cr_stride, ..] = strides[..] else {
        return;
    };
    let [luma, cb_plane, cr_plane, _] = frame.planes_data_mut();
    let halves = width.div_ceil(2);
    let mut offsets = vec![0; halves];
    for row in 0..height.div_ceil(2) {
        let cbs = cb_plane.get_mut(row * cb_stride..row * cb_stride + halves);
        let crs = cr_plane.get_mut(row * cr_stride..row * cr_stride + halves);
        let (Some(cbs), Some(crs)) = (cbs, crs) else { return };
        for ((cb, cr), offset) in cbs.iter_mut().zip(crs).zip(&mut offsets) {
            let (old_cb, old_cr) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
            *offset = conversion.mixed(0, old_cb, old_cr) - 16 * conversion.luma;
            *cb = rounded(conversion.mixed(1, old_cb, old_cr) + (128 << 16));
            *cr = rounded(conversion.mixed(2, old_cb, old_cr) + (128 << 16));
        }
        for line in (2 * row..height).take(2) {
            let Some(values) = luma.get_mut(line * luma_stride..line * luma_stride + width) else {
                return;
            };
            for (pair, offset) in values.chunks_mut(2).zip(&offsets) {
                for value in pair {
                    *value = rounded(i32::from(*value) * conversion.luma + offset);
                }
            }
        }
    }
}

fn rounded(value: i32) -> u8 {
    ((value + (1 << 15)) >> 16).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(colorimetry: &str, pixel: [u8; 3]) -> [u8; 3] {
        gst::init().unwrap();
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", 2)
            .field("height", 2)
            .field("framerate", gst::Fraction::new(0, 1))
            .field("colorimetry", colorimetry)
            .build();
        let info = VideoInfo::from_caps(&caps).unwrap();
        let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
        let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), &info).unwrap();
        for (plane, value) in pixel.into_iter().enumerate() {
            frame.plane_data_mut(plane as u32).unwrap().fill(value);
        }
        convert(&mut frame, &Conversion::from(&info));
        [0, 1, 2].map(|plane| frame.plane_data(plane).unwrap()[0])
    }

    #[test]
    fn black_white_and_colours_become_those_of_jpeg() {
        for colours in ["bt601", "bt709"] {
            assert_eq!(converted(colours, [16, 128, 128]), [0, 128, 128]);
            assert_eq!(converted(colours, [235, 128, 128]), [255, 128, 128]);
        }
        // Pure red of either matrix.
        let red = [76, 85, 255];
        for (colours, pixel) in [("bt601", [81, 90, 240]), ("bt709", [63, 102, 240])] {
            let found = converted(colours, pixel);
            assert!(
                found.iter().zip(red).all(|(found, wanted)| found.abs_diff(wanted) <= 2),
                "{colours}: {found:?}"
            );
        }
    }
}
