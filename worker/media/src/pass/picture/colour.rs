//! Colours of a chain: which the output has, and how the input's are told.

use gst::prelude::*;
use gst_video::{VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoInfo, VideoTransferFunction};
use mps_proto::v1::MediaStream;

/// What becomes of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Matrix, transfer and primaries stay; the range becomes limited.
    OfInput,
    /// A colorimetry in GStreamer's words.
    Fixed(&'static str),
}

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

/// Puts the wanted colours into the filter behind the scaler, at once or as soon as the input's are known.
pub fn fix(colour: Colour, entry: &gst::Pad, filter: &gst::Element, mut caps: gst::Caps) {
    match colour {
        Colour::Fixed(colorimetry) => {
            caps.make_mut().set("colorimetry", colorimetry);
            filter.set_property("caps", &caps);
        }
        Colour::OfInput => follow(entry, filter, caps),
    }
}

/// The scaler would choose by size: the output has the input's colours instead.
fn follow(entry: &gst::Pad, filter: &gst::Element, caps: gst::Caps) {
    let weak = filter.downgrade();
    entry.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let told = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(told)) => told.caps_owned(),
            _ => return gst::PadProbeReturn::Ok,
        };
        if let (Some(filter), Ok(input)) = (weak.upgrade(), VideoInfo::from_caps(&told)) {
            let mut caps = caps.clone();
            caps.make_mut().set("colorimetry", limited(&input).to_string());
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
    let matrix = match colours.matrix() {
        VideoColorMatrix::Unknown if input.height() > 576 => VideoColorMatrix::Bt709,
        VideoColorMatrix::Unknown => VideoColorMatrix::Bt601,
        known => known,
    };
    VideoColorimetry::new(range, matrix, colours.transfer(), colours.primaries())
}
