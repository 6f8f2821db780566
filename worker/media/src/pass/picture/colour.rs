//! Colours of a chain: which the output has, and how the input's are told.

use gst::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoInfo, VideoTransferFunction};
use mps_pixels::matrix::Shares;
use mps_proto::v1::MediaStream;

use super::to_rgb;

/// Kinds of high dynamic range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hdr {
    /// SMPTE ST 2084.
    Pq,
    /// ARIB STD-B67.
    Hlg,
}

impl Hdr {
    /// That of a stream; `None`: it has standard range.
    pub fn of(stream: &MediaStream) -> Option<Self> {
        match stream.video.as_ref()?.hdr.as_str() {
            "pq" => Some(Self::Pq),
            "hlg" => Some(Self::Hlg),
            _ => None,
        }
    }
}

/// Packed RGB of 8 bits, or with alpha where pictures are clear in parts and stay so: a format of looks.
pub const RGB: &str = "RGB";
/// Shares of red and blue in luma.
pub const BT709: Shares = (0.2126, 0.0722);
pub const BT601: Shares = (0.299, 0.114);

/// Those of a matrix; what nobody knows is BT.601.
pub fn shares(matrix: VideoColorMatrix) -> Shares {
    match matrix {
        VideoColorMatrix::Bt709 => BT709,
        VideoColorMatrix::Bt2020 => (0.2627, 0.0593),
        VideoColorMatrix::Smpte240m => (0.212, 0.087),
        _ => BT601,
    }
}

/// Makes the filter behind the scaler follow the input: the scaler would choose colours by size. `format`: of the look; `keeps_clear`: clear parts
/// stay clear.
pub fn follow(entry: &gst::Pad, filter: &gst::Element, caps: gst::Caps, format: &'static str, keeps_clear: bool) {
    let weak = filter.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let told = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(told)) => told.caps_owned(),
            _ => return gst::PadProbeReturn::Ok,
        };
        if let (Some(filter), Ok(input)) = (weak.upgrade(), VideoInfo::from_caps(&told)) {
            let mut caps = caps.clone();
            let (format, colours) = match format {
                RGB if input.is_rgb() => (to_rgb::input_format(&input, keeps_clear), "sRGB".to_owned()),
                RGB => (to_rgb::input_format(&input, keeps_clear), limited(&input).to_string()),
                format => (format, limited(&input).to_string()),
            };
            caps.make_mut().set("format", format);
            caps.make_mut().set("colorimetry", colours);
            filter.set_property("caps", &caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// The input's colours in limited range; RGB becomes BT.709.
fn limited(input: &VideoInfo) -> VideoColorimetry {
    let (colours, range) = (input.colorimetry(), VideoColorRange::Range16_235);
    if input.is_rgb() || colours.matrix() == VideoColorMatrix::Rgb {
        return VideoColorimetry::new(
            range,
            VideoColorMatrix::Bt709,
            VideoTransferFunction::Bt709,
            VideoColorPrimaries::Bt709,
        );
    }
    VideoColorimetry::new(range, colours.matrix(), colours.transfer(), colours.primaries())
}
