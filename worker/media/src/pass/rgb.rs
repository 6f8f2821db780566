//! Raw pictures as packed 8-bit RGB, converted exactly.

use gst_video::{VideoColorMatrix, VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};

use super::pictures::Arrived;

const PIXEL: usize = 3;
/// Fixed point.
const BITS: u32 = 16;

/// The pixels of a picture in I420 of limited range, RGB or RGBA of 16 bits; `None`: it is of another kind.
pub fn of(picture: &Arrived) -> Option<Vec<u8>> {
    let frame = VideoFrameRef::from_buffer_ref_readable(picture.buffer, picture.video?).ok()?;
    match frame.format() {
        VideoFormat::I420 => Some(of_yuv(&frame)),
        VideoFormat::Rgb => Some(of_rows(&frame, PIXEL, |pixel, packed| packed.extend_from_slice(pixel))),
        VideoFormat::Rgba64Le => Some(of_rows(&frame, 8, |pixel, packed| {
            if let [r0, r1, g0, g1, b0, b1, ..] = *pixel {
                packed.extend([[r0, r1], [g0, g1], [b0, b1]].map(|value| from_16(u16::from_le_bytes(value))));
            }
        })),
        _ => None,
    }
}

fn of_rows(frame: &VideoFrameRef<&gst::BufferRef>, pixel_bytes: usize, take: impl Fn(&[u8], &mut Vec<u8>)) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let mut packed = Vec::with_capacity(width * height * PIXEL);
    for row in 0..height {
        for pixel in line(frame, 0, row, width * pixel_bytes).chunks_exact(pixel_bytes) {
            take(pixel, &mut packed);
        }
    }
    packed
}

/// A row of a plane, without what pads it.
fn line<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>, plane: u32, row: usize, bytes: usize) -> &'a [u8] {
    let stride = frame
        .plane_stride()
        .get(plane as usize)
        .and_then(|stride| usize::try_from(*stride).ok());
    let start = stride.unwrap_or(0) * row;
    let plane = frame.plane_data(plane).unwrap_or_default();
    plane.get(start..start + bytes).unwrap_or_default()
}

fn from_16(value: u16) -> u8 {
    ((u32::from(value) * 255 + 32_767) / 65_535) as u8
}

/// What chroma adds to red, green and blue, in fixed point.
struct Matrix {
    luma: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl Matrix {
    fn of(video: &VideoInfo) -> Self {
        let (red, blue) = match video.colorimetry().matrix() {
            VideoColorMatrix::Bt709 => (0.2126, 0.0722),
            VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
            VideoColorMatrix::Smpte240m => (0.212, 0.087),
            _ => (0.299, 0.114),
        };
        let green = 1.0 - red - blue;
        let fixed = |value: f64| (value * f64::from(1 << BITS)).round() as i32;
        let of_chroma = |value: f64| fixed(value * 255.0 / 224.0);
        Self {
            luma: fixed(255.0 / 219.0),
            red_of_cr: of_chroma(2.0 * (1.0 - red)),
            green_of_cb: of_chroma(-2.0 * (1.0 - blue) * blue / green),
            green_of_cr: of_chroma(-2.0 * (1.0 - red) * red / green),
            blue_of_cb: of_chroma(2.0 * (1.0 - blue)),
        }
    }

    /// What a pair of chroma values adds, with the rounding and the foot of luma.
    fn added(&self, cb: u8, cr: u8) -> [i32; 3] {
        let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
        let foot = (1 << (BITS - 1)) - 16 * self.luma;
        [
            self.red_of_cr * cr + foot,
            self.green_of_cb * cb + self.green_of_cr * cr + foot,
            self.blue_of_cb * cb + foot,
        ]
    }
}

fn of_yuv(frame: &VideoFrameRef<&gst::BufferRef>) -> Vec<u8> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (matrix, halves) = (Matrix::of(frame.info()), width.div_ceil(2));
    let mut packed = vec![0; width * height * PIXEL];
    for (row, target) in packed.chunks_exact_mut((width * PIXEL).max(1)).enumerate() {
        let luma = line(frame, 0, row, width).chunks(2);
        let chroma = line(frame, 1, row / 2, halves).iter().zip(line(frame, 2, row / 2, halves));
        for ((pixels, luma), (cb, cr)) in target.chunks_mut(2 * PIXEL).zip(luma).zip(chroma) {
            let added = matrix.added(*cb, *cr);
            for (pixel, luma) in pixels.chunks_exact_mut(PIXEL).zip(luma) {
                let luma = i32::from(*luma) * matrix.luma;
                for (value, added) in pixel.iter_mut().zip(added) {
                    *value = ((luma + added) >> BITS).clamp(0, 255) as u8;
                }
            }
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yuv_becomes_rgb_by_its_own_matrix() {
        gst::init().unwrap();
        for (colours, red) in [("bt601", [81, 90, 240]), ("bt709", [63, 102, 240])] {
            let info = VideoInfo::builder(VideoFormat::I420, 3, 3)
                .colorimetry(&colours.parse().unwrap())
                .build()
                .unwrap();
            let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
            let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.get_mut().unwrap(), &info).unwrap();
            for (plane, value) in red.into_iter().enumerate() {
                frame.plane_data_mut(plane as u32).unwrap().fill(value);
            }
            drop(frame);
            let frame = VideoFrameRef::from_buffer_ref_readable(&buffer, &info).unwrap();
            let pixels = of_yuv(&frame);
            assert_eq!(pixels.len(), 27);
            let right = |pixel: &[u8]| pixel[0] >= 252 && pixel[1] <= 3 && pixel[2] <= 3;
            assert!(pixels.chunks(3).all(right), "{colours}: {pixels:?}");
        }
    }
}
