//! The form in which containers take packets as they are: one place for every copy, into files and into segments.

use gst::prelude::*;
use mps_proto::{v1::Container, worker::v1::Failure};

use super::elements::{caps_filter, make};

/// A parser, and what must come out of it.
#[derive(Debug)]
struct Form {
    parser: Option<&'static str>,
    caps: Option<gst::Caps>,
}

/// Adds what brings packets of a codec into the form of a container; nothing where they have it. `codec` as `MediaStream.codec` says it.
pub fn elements(pipeline: &gst::Pipeline, prefix: &str, codec: &str, container: Container) -> Result<Vec<gst::Element>, Failure> {
    let form = form(codec, container);
    let mut chain = Vec::new();
    if let Some(parser) = form.parser {
        let parser = make(pipeline, parser, &format!("{prefix}-parse"))?;
        if container == Container::Ts && parser.has_property("config-interval") {
            // With each key frame, so that players begin anywhere.
            parser.set_property("config-interval", -1);
        }
        chain.push(parser);
    }
    if let Some(caps) = form.caps {
        chain.push(caps_filter(pipeline, &format!("{prefix}-caps"), &caps)?);
    }
    Ok(chain)
}

fn form(codec: &str, container: Container) -> Form {
    let byte_stream = container == Container::Ts;
    let units = |media: &str, format: &str| {
        let caps = gst::Caps::builder(media).field("stream-format", format);
        Some(caps.field("alignment", "au").build())
    };
    let (parser, caps) = match codec {
        "h264" => ("h264parse", units("video/x-h264", if byte_stream { "byte-stream" } else { "avc" })),
        // Apple's players refuse the tag hev1.
        "hevc" => ("h265parse", units("video/x-h265", if byte_stream { "byte-stream" } else { "hvc1" })),
        "av1" => {
            let caps = gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream");
            ("av1parse", Some(caps.field("alignment", "tu").build()))
        }
        "vp9" => {
            let caps = gst::Caps::builder("video/x-vp9").field("alignment", "super-frame");
            ("vp9parse", Some(caps.build()))
        }
        "mpeg1video" | "mpeg2video" => ("mpegvideoparse", None),
        "mpeg4" => ("mpeg4videoparse", None),
        "aac" => {
            let caps = gst::Caps::builder("audio/mpeg").field("mpegversion", 4);
            let format = if byte_stream { "adts" } else { "raw" };
            ("aacparse", Some(caps.field("stream-format", format).build()))
        }
        "mp3" | "mp2" => ("mpegaudioparse", None),
        "ac3" | "eac3" => ("ac3parse", None),
        "dts" => ("dcaparse", None),
        "flac" => ("flacparse", None),
        _ => return Form { parser: None, caps: None },
    };
    Form {
        parser: Some(parser),
        caps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_streams_take_start_codes_and_others_lengths() {
        gst::init().unwrap();
        let of = |codec, container| {
            let caps = form(codec, container).caps.unwrap();
            caps.structure(0).unwrap().get::<String>("stream-format").unwrap()
        };
        assert_eq!(of("h264", Container::Ts), "byte-stream");
        assert_eq!(of("h264", Container::Flv), "avc");
        assert_eq!(of("hevc", Container::Mov), "hvc1");
        assert_eq!(of("aac", Container::Ts), "adts");
        assert_eq!(of("aac", Container::Hls), "raw");
    }
}
