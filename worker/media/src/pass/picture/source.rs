//! From a decoder's pictures to those that branches take: whole, cut to what is shown, of one shape, upright. What nothing has to be done to
//! passes untouched.

use gst::prelude::*;
use mps_proto::{
    v1::{Flip, VideoProperties},
    worker::v1::Failure,
};

use super::{
    deinterlace, direction,
    steady::{self, Shape},
    weave,
};
use crate::{
    parse::shown::{Edges, Fields},
    pass::elements::{make, pad},
    probe::InputFacts,
    rules,
};

/// Codecs whose streams say the shape of pixels before they are decoded.
const PARSED: [&str; 4] = ["h264", "hevc", "mpeg2video", "mpeg1video"];

/// So many times its rate pictures of a film come at least, where the rate is an average.
const AVERAGE: f64 = 1.1;

/// What has to be done to the pictures of a film.
pub struct Source {
    codec: String,
    video: VideoProperties,
    edges: Edges,
    raw_fields: Option<Fields>,
    /// Pictures per second where they come quickest, where the film has no rate or tells an average.
    pace: Option<i32>,
}

impl Source {
    pub fn of(facts: &InputFacts) -> Self {
        let film = rules::film(facts);
        let pace = film.and_then(|stream| facts.of_stream(stream.index)?.pace);
        let told = rules::frame_rate(film).map_or(0.0, |(num, den)| f64::from(num) / f64::from(den));
        Self {
            codec: rules::film(facts).map(|stream| stream.codec.clone()).unwrap_or_default(),
            video: rules::film(facts).and_then(|stream| stream.video.clone()).unwrap_or_default(),
            edges: facts.edges,
            raw_fields: facts.raw_fields,
            pace: pace.filter(|pace| told * AVERAGE < f64::from(*pace)),
        }
    }

    /// Tells what follows the rate of the quickest pictures of a film without a steady one: decoders tell an average, or the tick of a clock,
    /// and encoders choose their level by it.
    pub fn tell_pace(&self, entry: &gst::Pad) {
        if let Some(pace) = self.pace {
            change_caps(entry, move |caps| caps.set("framerate", gst::Fraction::new(pace, 1)));
        }
    }

    /// Straight behind the decoder: pictures of both fields, without borders. To be linked in order.
    pub fn whole(&self, pipeline: &gst::Pipeline) -> Result<Vec<gst::Element>, Failure> {
        let rate = gst::Fraction::new(self.video.frame_rate_num.max(0), self.video.frame_rate_den.max(1));
        let weave = weave::element(pipeline, "video-weave", rate)?;
        let entry = pad(&weave, "sink")?;
        if let Some(fields) = self.raw_fields {
            change_caps(&entry, move |caps| tell_fields(caps, fields));
        }
        let mut chain = vec![weave];
        if self.edges != Edges::default() {
            let aspect = gst::Fraction::new(self.video.pixel_aspect_num.max(1), self.video.pixel_aspect_den.max(1));
            change_caps(&entry, move |caps| caps.set("pixel-aspect-ratio", aspect));
            chain.extend(self.cut(pipeline)?);
        }
        Ok(chain)
    }

    fn cut(&self, pipeline: &gst::Pipeline) -> Result<[gst::Element; 2], Failure> {
        let crop = make(pipeline, "videocrop", "video-edges")?;
        let Edges { left, right, top, bottom } = self.edges;
        for (property, pixels) in [("left", left), ("right", right), ("top", top), ("bottom", bottom)] {
            crop.set_property(property, pixels);
        }
        Ok([make(pipeline, "videoconvert", "video-edges-convert")?, crop])
    }

    /// Pictures of one shape, as they are coded. Names begin with `prefix`.
    pub fn steady(&self, pipeline: &gst::Pipeline, prefix: &str) -> Result<[gst::Element; 2], Failure> {
        let video = &self.video;
        let told = Shape {
            width: video.width_px,
            height: video.height_px,
            pixel_aspect: gst::Fraction::new(video.pixel_aspect_num.max(1), video.pixel_aspect_den.max(1)),
        };
        let told = steady::Told {
            shape: told,
            knows_pixels: PARSED.contains(&self.codec.as_str()),
        };
        steady::elements(
            pipeline,
            prefix,
            Some(told).filter(|told| told.shape.width > 0 && told.shape.height > 0),
        )
    }

    /// Progressive pictures of one shape, upright.
    pub fn upright(&self, pipeline: &gst::Pipeline) -> Result<Vec<gst::Element>, Failure> {
        // Decoders know better than headers which pictures are of fields: those that are not pass.
        let mut chain = deinterlace(pipeline, "video", false)?.to_vec();
        chain.extend(self.steady(pipeline, "video-steady")?);
        if let Some(direction) = direction(self.video.rotation_deg, self.flip()) {
            let flip = make(pipeline, "videoflip", "video-upright")?;
            flip.set_property_from_str("video-direction", direction);
            chain.extend([make(pipeline, "videoconvert", "video-upright-convert")?, flip]);
        }
        Ok(chain)
    }

    /// Films are mirrored from left to right before they are rotated, which is another movement behind a quarter turn.
    fn flip(&self) -> Flip {
        match (self.video.mirrored, self.video.rotation_deg) {
            (false, _) => Flip::None,
            (true, 90 | 270) => Flip::Vertical,
            (true, _) => Flip::Horizontal,
        }
    }
}

/// Changes the caps of what comes to a pad.
fn change_caps(pad: &gst::Pad, change: impl Fn(&mut gst::CapsRef) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(told) = event.view()
        {
            let mut caps = told.caps_owned();
            change(caps.make_mut());
            *event = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

fn tell_fields(caps: &mut gst::CapsRef, fields: Fields) {
    let order = match fields {
        Fields::None => return,
        Fields::TopFirst => "top-field-first",
        Fields::BottomFirst => "bottom-field-first",
    };
    caps.set("interlace-mode", "interleaved");
    caps.set("field-order", order);
}
