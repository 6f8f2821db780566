//! Vector graphics. What names a file or an address is refused.

use mps_proto::{v1::ErrorReason, worker::v1::Failure};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, roxmltree},
};

use super::raster::Raster;
use crate::failure;

/// A graphic that was read.
pub struct Graphic(Tree);

impl Graphic {
    pub fn read(svg: &str) -> Result<Self, Failure> {
        let document = roxmltree::Document::parse(svg).map_err(|error| refused(&error.to_string()))?;
        refuse_references(&document)?;
        let mut options = Options::default();
        if document.descendants().any(|node| node.tag_name().name() == "text") {
            options.fontdb_mut().load_system_fonts();
        }
        Tree::from_xmltree(&document, &options)
            .map(Self)
            .map_err(|error| refused(&error.to_string()))
    }

    pub fn size(&self) -> (f64, f64) {
        (f64::from(self.0.size().width()), f64::from(self.0.size().height()))
    }

    pub fn draw(&self, width: u32, height: u32, opacity: f64) -> Result<Raster, Failure> {
        let mut pixels = Pixmap::new(width, height).ok_or_else(|| refused("it has no size"))?;
        let scale = Transform::from_scale(width as f32 / self.0.size().width(), height as f32 / self.0.size().height());
        resvg::render(&self.0, scale, &mut pixels.as_mut());
        Ok(Raster::of_premultiplied(width, height, pixels.data(), opacity))
    }
}

fn refuse_references(document: &roxmltree::Document) -> Result<(), Failure> {
    for node in document.descendants() {
        let is_link = node.tag_name().name() == "a";
        for attribute in node.attributes() {
            let names_other = attribute.name() == "href" && !is_link && !attribute.value().trim_start().starts_with('#');
            if names_other || names_outside(attribute.value()) {
                return Err(refused("it names a file, an address or an embedded picture"));
            }
        }
        if node.is_text() && node.text().is_some_and(|text| text.contains("@import") || names_outside(text)) {
            return Err(refused("its style names a file or an address"));
        }
    }
    Ok(())
}

/// Whether a style names anything but a part of the document.
fn names_outside(text: &str) -> bool {
    text.split("url(")
        .skip(1)
        .any(|rest| !rest.trim_start_matches([' ', '"', '\'']).starts_with('#'))
}

fn refused(why: &str) -> Failure {
    failure::data(
        ErrorReason::Unsupported,
        format!("the SVG of a watermark cannot be drawn: {why}"),
        "send an SVG document that stands by itself",
    )
}
