//! Pictures as watermarks.

use mps_proto::v1::{
    ImageWatermark,
    image_watermark::{Repeat, Source},
};

use super::length;
use crate::{
    fields::Fields,
    input,
    overrides::SettingsFaults,
    side::{PICTURE_BYTES, SideSource},
};

const MOST_DATA: usize = 1024 * 1024;

/// `source` is a oneof: its fields replace each other.
impl Fields for ImageWatermark {
    fn paths() -> Vec<String> {
        ["data", "object", "url", "width", "height", "repeat"].map(str::to_owned).to_vec()
    }

    fn set_names(&self) -> Vec<&'static str> {
        let source = self.source.as_ref().map(|source| match source {
            Source::Data(_) => "data",
            Source::Object(_) => "object",
            Source::Url(_) => "url",
        });
        let width = self.width.as_ref().map(|_| "width");
        let height = self.height.as_ref().map(|_| "height");
        let repeat = self.repeat.map(|_| "repeat");
        [source, width, height, repeat].into_iter().flatten().collect()
    }

    fn set_paths(&self) -> Vec<String> {
        self.set_names().into_iter().map(str::to_owned).collect()
    }

    fn replace(&mut self, path: &str, from: &Self) {
        match path {
            "data" | "object" | "url" => self.source.clone_from(&from.source),
            "width" => self.width.clone_from(&from.width),
            "height" => self.height.clone_from(&from.height),
            "repeat" => self.repeat = from.repeat,
            _ => {}
        }
    }
}

pub(super) fn settle(settings: ImageWatermark, faults: &mut SettingsFaults) -> ImageWatermark {
    let repeat = faults.choice("repeat", settings.repeat, Repeat::Repeat);
    ImageWatermark {
        source: check_source(settings.source, faults),
        width: Some(length::side("width", settings.width, "10%", false, faults)),
        height: Some(length::side("height", settings.height, "0px", true, faults)),
        repeat: Some(repeat.into()),
    }
}

/// The source with the storage's id alone.
fn check_source(source: Option<Source>, faults: &mut SettingsFaults) -> Option<Source> {
    match source {
        None => {
            faults.add("", "exactly one of data, object and url must be set");
            None
        }
        Some(Source::Data(data)) => {
            check_data(&data, faults);
            Some(Source::Data(data))
        }
        Some(Source::Object(object)) => {
            let field = faults.path("object");
            input::check_object(&object, &field, faults.project, faults.faults).map(Source::Object)
        }
        Some(Source::Url(url)) => {
            if let Err(fault) = input::check_url(&url) {
                faults.add("url", fault);
            }
            Some(Source::Url(url))
        }
    }
}

fn check_data(data: &[u8], faults: &mut SettingsFaults) {
    const MAGIC: &[&[u8]] = &[b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a"];
    if data.len() > MOST_DATA {
        let bytes = data.len();
        faults.add(
            "data",
            format!("has {bytes} bytes; at most {MOST_DATA} are allowed: use object or url"),
        );
    }
    if !MAGIC.iter().any(|magic| data.starts_with(magic)) {
        faults.add("data", "is no PNG, JPEG or GIF picture");
    }
}

/// Takes out where the picture is, unless the settings carry it.
pub(super) fn take_source(image: &mut ImageWatermark, field: &str) -> Option<SideSource> {
    if super::has_data(image) {
        return None;
    }
    let (source, name) = match image.source.take()? {
        Source::Data(_) => return None,
        Source::Object(object) => (mps_proto::v1::task_input::Source::Object(object), "object"),
        Source::Url(url) => (mps_proto::v1::task_input::Source::Url(url), "url"),
    };
    Some(SideSource {
        field: format!("{field}.{name}"),
        source,
        max_bytes: PICTURE_BYTES,
    })
}
