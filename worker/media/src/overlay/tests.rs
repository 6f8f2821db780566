//! Marks and burnt-in subtitles on grey pictures, looked at pixel by pixel.

use std::{collections::BTreeMap, io::Cursor};

use gst::prelude::*;
use image::{Delay, Frame, Rgba, RgbaImage, codecs::gif::GifEncoder};
use mps_proto::{
    v1::{
        ImageWatermark, MediaInfo, Subtitle, SvgWatermark, TextWatermark, WatermarkOrigin, WatermarkSettings,
        image_watermark::{Repeat, Source},
        subtitle::Mode,
    },
    worker::v1::PlanSubtitle,
};

use super::*;
use crate::{pass::Running, probe::InputFacts, rules::Clip, subtitles};

const SIZE: (i32, i32) = (320, 240);
const RATE: i32 = 10;

/// Luma of pictures in time.
type Pictures = Vec<Vec<u8>>;

fn drawn(steps: &[Arc<dyn Step>], count: i32) -> Pictures {
    let pipeline = gst::Pipeline::new();
    let running = Running(pipeline.clone());
    let source = crate::pass::elements::make(&pipeline, "videotestsrc", "source").unwrap();
    source.set_property_from_str("pattern", "solid-color");
    source.set_property("foreground-color", 0xff80_8080u32);
    source.set_property("num-buffers", count);
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", SIZE.0)
        .field("height", SIZE.1)
        .field("framerate", gst::Fraction::new(RATE, 1))
        .build();
    let mut chain = vec![source, crate::pass::elements::caps_filter(&pipeline, "caps", &caps).unwrap()];
    for (number, step) in steps.iter().enumerate() {
        chain.extend(step.elements(&pipeline, &format!("step{number}")).unwrap());
    }
    let sink = crate::pass::elements::make(&pipeline, "appsink", "sink").unwrap();
    sink.set_property("sync", false);
    chain.push(sink.clone());
    crate::pass::elements::link(&chain.iter().collect::<Vec<_>>()).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut pictures = Vec::new();
    let wait = 20_000_000_000u64;
    while let Some(sample) = sink.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&wait]) {
        let data = sample.buffer().unwrap().map_readable().unwrap();
        pictures.push(data[..(SIZE.0 * SIZE.1) as usize].to_vec());
    }
    drop(running);
    assert_eq!(pictures.len(), count as usize);
    pictures
}

fn at(picture: &[u8], x: i32, y: i32) -> u8 {
    picture[(y * SIZE.0 + x) as usize]
}

fn changed(picture: &[u8]) -> usize {
    let grey = 126i32;
    picture.iter().filter(|luma| (i32::from(**luma) - grey).abs() > 12).count()
}

fn png(color: [u8; 4]) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbaImage::from_pixel(40, 20, Rgba(color))
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn image_mark(data: Vec<u8>, width: &str) -> WatermarkSettings {
    WatermarkSettings {
        image: Some(ImageWatermark {
            source: Some(Source::Data(data)),
            width: Some(width.into()),
            ..ImageWatermark::default()
        }),
        ..WatermarkSettings::default()
    }
}

fn text_mark(text: &str) -> WatermarkSettings {
    WatermarkSettings {
        text: Some(TextWatermark {
            text: Some(text.into()),
            font_size: Some("24px".into()),
            ..TextWatermark::default()
        }),
        ..WatermarkSettings::default()
    }
}

fn planned(settings: WatermarkSettings) -> PlanWatermark {
    PlanWatermark {
        settings: Some(settings),
        ..PlanWatermark::default()
    }
}

fn steps(marks: &[PlanWatermark]) -> Result<Vec<Arc<dyn Step>>, Failure> {
    crate::init().unwrap();
    let (facts, side_inputs) = (facts(), BTreeMap::new());
    let context = Context {
        facts: &facts,
        side_inputs: &side_inputs.into_iter().collect(),
        resumes: &[],
    };
    watermarks(marks, &context, SIZE, Some(Duration::from_secs(2)))
}

fn facts() -> InputFacts {
    InputFacts {
        media: MediaInfo::default(),
        ..InputFacts::default()
    }
}

fn message(result: Result<Vec<Arc<dyn Step>>, Failure>) -> String {
    result
        .err()
        .and_then(|failure| failure.status)
        .map(|status| status.message)
        .unwrap_or_default()
}

#[test]
fn an_image_lies_in_its_corner_at_its_size() {
    for (origin, x, y) in [
        (WatermarkOrigin::TopLeft, 10, 12),
        (WatermarkOrigin::TopRight, 230, 12),
        (WatermarkOrigin::BottomLeft, 10, 188),
        (WatermarkOrigin::BottomRight, 230, 188),
    ] {
        let mut settings = image_mark(png([255, 255, 255, 255]), "25%");
        settings.set_origin(origin);
        settings.x = Some("10px".into());
        settings.y = Some("5%".into());
        let picture = drawn(&steps(&[planned(settings)]).unwrap(), 1).remove(0);
        assert_eq!(changed(&picture), 80 * 40, "{origin:?}");
        for (inside, x, y) in [(true, x, y), (true, x + 79, y + 39), (false, x - 1, y), (false, x + 80, y + 39)] {
            assert_eq!(at(&picture, x, y) > 220, inside, "{origin:?} at {x},{y}");
        }
    }
}

#[test]
fn opacity_mixes_and_later_marks_lie_above() {
    let half = WatermarkSettings {
        opacity: Some(0.5),
        ..image_mark(png([255, 255, 255, 255]), "40px")
    };
    let black = image_mark(png([0, 0, 0, 255]), "20px");
    let picture = drawn(&steps(&[planned(half), planned(black)]).unwrap(), 1).remove(0);
    let mixed = i32::from(at(&picture, 30, 15));
    assert!((mixed - 180).abs() < 6, "half of grey and white is {mixed}");
    assert!(at(&picture, 5, 5) < 20);
}

#[test]
fn a_mark_is_seen_in_its_time_and_negative_ends_count_from_the_end() {
    let seconds = |seconds: i64, nanos: i32| Some(prost_types::Duration { seconds, nanos });
    let mark = PlanWatermark {
        start_offset: seconds(0, 500_000_000),
        end_offset: seconds(-1, 0),
        ..planned(image_mark(png([255, 255, 255, 255]), "40px"))
    };
    let pictures = drawn(&steps(&[mark]).unwrap(), 20);
    let seen: Vec<bool> = pictures.iter().map(|picture| changed(picture) > 0).collect();
    let expected: Vec<bool> = (0..20).map(|number| (5..10).contains(&number)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn animations_end_hold_or_repeat() {
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut bytes);
        for level in [0u8, 255] {
            let picture = RgbaImage::from_pixel(40, 20, Rgba([level, level, level, 255]));
            let delay = Delay::from_saturating_duration(Duration::from_millis(300));
            encoder.encode_frame(Frame::from_parts(picture, 0, 0, delay)).unwrap();
        }
    }
    for (repeat, late) in [(Repeat::Once, 'g'), (Repeat::Hold, 'w'), (Repeat::Repeat, 'b')] {
        let mut settings = image_mark(bytes.clone(), "40px");
        settings.image.as_mut().unwrap().set_repeat(repeat);
        let pictures = drawn(&steps(&[planned(settings)]).unwrap(), 8);
        let phase = |number: usize| match at(&pictures[number], 10, 10) {
            0..60 => 'b',
            200.. => 'w',
            _ => 'g',
        };
        assert_eq!((phase(1), phase(4), phase(7)), ('b', 'w', late), "{repeat:?}");
    }
}

#[test]
fn text_of_any_script_is_drawn_in_colour_with_outline() {
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for text in ["Hello", "Other", "水印文字", "علامة مائية", "<b>&"] {
        let picture = drawn(&steps(&[planned(text_mark(text))]).unwrap(), 1).remove(0);
        assert!(changed(&picture) > 100, "{text}");
        assert!(!seen.contains(&picture), "{text} looks like another");
        seen.push(picture);
    }
    let mut settings = text_mark("Hello");
    settings.text.as_mut().unwrap().outline_px = Some(3);
    let picture = drawn(&steps(&[planned(settings)]).unwrap(), 1).remove(0);
    assert!(changed(&picture) > changed(&seen[0]) * 2);
    assert!(picture.iter().any(|luma| *luma < 30) && picture.iter().any(|luma| *luma > 220));
}

#[test]
fn what_is_larger_than_the_picture_is_refused() {
    let image = message(steps(&[planned(image_mark(png([1, 2, 3, 255]), "400px"))]));
    assert!(image.contains("larger than the picture"), "{image}");
    let text = message(steps(&[planned(text_mark(&"long ".repeat(20)))]));
    assert!(text.contains("needs more than"), "{text}");
}

#[test]
fn graphics_are_drawn_and_those_that_name_others_refused() {
    let svg = |inner: &str| {
        let document = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='40' height='20'>{inner}</svg>"
        );
        planned(WatermarkSettings {
            svg: Some(SvgWatermark {
                svg: Some(document),
                width: Some("80px".into()),
                ..SvgWatermark::default()
            }),
            ..WatermarkSettings::default()
        })
    };
    let picture = drawn(&steps(&[svg("<rect width='40' height='20' fill='white'/>")]).unwrap(), 1).remove(0);
    assert_eq!(changed(&picture), 80 * 40);
    for inner in [
        "<image xlink:href='file:///etc/passwd' width='9' height='9'/>",
        "<image href='data:image/png;base64,AAAA' width='9' height='9'/>",
        "<rect width='9' height='9' fill='url(http://127.0.0.1/x#y)'/>",
    ] {
        assert!(message(steps(&[svg(inner)])).contains("names a file"), "{inner}");
    }
}

#[test]
fn what_is_no_picture_is_refused() {
    for bytes in [b"GIF89a".to_vec(), b"\x89PNG\r\n\x1a\nxx".to_vec(), b"text".to_vec(), Vec::new()] {
        assert!(message(steps(&[planned(image_mark(bytes, "40px"))])).contains("cannot be used"));
    }
}

fn burnt(text: &str, clip: Clip) -> Result<Vec<Arc<dyn Step>>, Failure> {
    crate::init().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let side_inputs = BTreeMap::from([("s0".to_owned(), file.path().to_str().unwrap().to_owned())]);
    let facts = facts();
    let context = Context {
        facts: &facts,
        side_inputs: &side_inputs.into_iter().collect(),
        resumes: &[],
    };
    let subtitle = Subtitle {
        mode: Some(Mode::BurnIn as i32),
        ..Subtitle::default()
    };
    let planned = PlanSubtitle {
        subtitle: Some(subtitle),
        side_input_id: "s0".into(),
    };
    subtitles::burnt(&[planned], &context, SIZE, clip)
}

#[test]
fn subtitles_are_seen_in_their_time_from_the_beginning_of_the_clip() {
    let srt = "\u{feff}1\r\n00:00:10,300 --> 00:00:10,700\r\nHello <i>there</i>\r\n";
    let vtt = "WEBVTT\n\n00:10.300 --> 00:10.700 align:start\nHello there\n";
    let ass = "[Script Info]\nScriptType: v4.00+\nPlayResX: 320\nPlayResY: 240\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, Alignment\nStyle: Default,Sans,24,&H00FFFFFF,2\n\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\nDialogue: 0,0:00:10.30,0:00:10.70,Default,,0,0,0,,Hello there\n";
    let clip = Clip {
        start: Duration::from_secs(10),
        end: None,
    };
    for text in [srt, vtt, ass] {
        let pictures = drawn(&burnt(text, clip).unwrap(), 10);
        let seen: Vec<bool> = pictures.iter().map(|picture| changed(picture) > 50).collect();
        let expected: Vec<bool> = (0..10).map(|number| (3..7).contains(&number)).collect();
        assert_eq!(seen, expected, "{text}");
        let above = &pictures[4][..(SIZE.0 * SIZE.1 / 2) as usize];
        assert_eq!(changed(above), 0, "text lies in the lower half");
    }
}

#[test]
fn subtitles_of_another_encoding_or_form_are_refused() {
    assert!(message(burnt("no cues here", Clip::WHOLE)).contains("no cue"));
    assert!(message(burnt("no\u{0}text", Clip::WHOLE)).contains("no text"));
}
