//! Every way in which a film's colours leave the service, in one pass.

use std::path::{Path, PathBuf};

use mps_proto::{
    v1::{self, ImageFormat, PadFill, node_settings::Settings},
    worker::v1::{NodeResult, PlanNode, PlanOutput, PlanSeries},
};

use crate::pass_tools::{carry_out, order};

/// A file, and the way that it came about.
pub type Made = (&'static str, PathBuf);

fn plan(key: &str, settings: Settings, formats: &[&str]) -> PlanNode {
    let outputs = formats.iter().enumerate().map(|(number, format)| PlanOutput {
        output_id: format!("{key}-{number}"),
        format: (*format).to_owned(),
        ..PlanOutput::default()
    });
    PlanNode {
        key: key.into(),
        settings: Some(v1::NodeSettings { settings: Some(settings) }),
        outputs: outputs.collect(),
        ..PlanNode::default()
    }
}

/// The first picture.
pub fn snapshot(key: &str, format: ImageFormat, fill: PadFill) -> PlanNode {
    let settings = v1::SnapshotSettings {
        format: Some(format as i32),
        quality: Some(95),
        pad_fill: Some(fill as i32),
        ..Default::default()
    };
    let suffix = match format {
        ImageFormat::Png => "png",
        ImageFormat::Webp => "webp",
        _ => "jpg",
    };
    PlanNode {
        offsets: vec!["0s".into()],
        ..plan(key, Settings::Snapshot(settings), &[suffix])
    }
}

/// A film by H.264 in MP4, at most so high.
pub fn film(key: &str, height: i32, fill: PadFill) -> PlanNode {
    let video = v1::VideoSettings {
        codec: Some(v1::VideoCodec::H264 as i32),
        crf: Some(4),
        height_px: Some(height),
        pad_fill: Some(fill as i32),
        speed: Some(v1::EncoderSpeed::Fastest as i32),
        ..Default::default()
    };
    let settings = v1::TranscodeSettings {
        container: Some(v1::Container::Mp4 as i32),
        video: Some(video),
        ..Default::default()
    };
    plan(key, Settings::Transcode(settings), &["mp4"])
}

/// One tile as large as the picture.
pub fn sprite(key: &str, width: i32, fill: PadFill) -> PlanNode {
    let settings = v1::ImageSpriteSettings {
        format: Some(ImageFormat::Png as i32),
        tile_width_px: Some(width),
        rows: Some(1),
        columns: Some(1),
        interval: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
        pad_fill: Some(fill as i32),
        ..Default::default()
    };
    PlanNode {
        series: Some(PlanSeries {
            key: format!("{key}_{{number}}.png"),
            reference: format!("{key}_{{number}}.png"),
            format: "png".into(),
            max_files: 10,
            ..PlanSeries::default()
        }),
        ..plan(key, Settings::ImageSprite(settings), &["png", "vtt"])
    }
}

/// An animated image of the whole.
pub fn animation(key: &str, format: v1::AnimatedFormat, fill: PadFill) -> PlanNode {
    let settings = v1::AnimatedImageSettings {
        format: Some(format as i32),
        fps: Some(5),
        quality: Some(95),
        pad_fill: Some(fill as i32),
        ..Default::default()
    };
    let suffix = if format == v1::AnimatedFormat::Webp { "webp" } else { "gif" };
    plan(key, Settings::AnimatedImage(settings), &[suffix])
}

/// Pictures of the film's size in every format, films of its size and of half of it. `size`: of the film.
pub fn all((width, height): (i32, i32), fill: PadFill) -> Vec<(&'static str, PlanNode)> {
    vec![
        ("png", snapshot("png", ImageFormat::Png, fill)),
        ("jpeg", snapshot("jpeg", ImageFormat::Jpeg, fill)),
        ("webp", snapshot("webp", ImageFormat::Webp, fill)),
        ("sprite", sprite("sprite", width, fill)),
        ("gif", animation("gif", v1::AnimatedFormat::Gif, fill)),
        ("animated webp", animation("awebp", v1::AnimatedFormat::Webp, fill)),
        ("film", film("film", height, fill)),
        ("smaller film", film("small", height / 2, fill)),
    ]
}

/// Takes an input through a pass; gives the first file of each node, or panics with why there is none.
pub fn made(input: &Path, nodes: Vec<(&'static str, PlanNode)>) -> Vec<Made> {
    let (names, nodes): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
    let outputs = input.with_extension("outputs");
    let result = carry_out(&order(input, nodes, &outputs));
    assert!(result.failure.is_none(), "{}: {:?}", input.display(), result.failure);
    let file = |node: &NodeResult| {
        assert!(node.failure.is_none(), "{}: {:?}", node.key, node.failure);
        let path = node
            .series
            .first()
            .map(|file| &file.path)
            .or(node.files.first().map(|file| &file.path));
        PathBuf::from(path.unwrap())
    };
    names.into_iter().zip(result.nodes.iter().map(file)).collect()
}
