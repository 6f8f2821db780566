//! Sheets of tiles: composes one at a time and writes it when the next one begins.

use std::path::PathBuf;

use mps_proto::{v1::ImageFormat, worker::v1::Failure};

use super::{
    picture::Look,
    pictures::{self, PictureStyle, write_one},
};
use crate::rules::Geometry;

const PIXEL: usize = 3;

/// How tiles lie on sheets.
#[derive(Debug, Clone)]
pub struct Layout {
    pub tile_width: usize,
    pub tile_height: usize,
    pub rows: usize,
    pub columns: usize,
    pub format: ImageFormat,
    pub quality: i32,
    /// Path of each sheet, without number and suffix.
    pub stem: PathBuf,
    pub suffix: String,
}

impl Layout {
    pub fn tiles(&self) -> usize {
        self.rows * self.columns
    }

    /// Where a tile lies: sheet, left, top.
    pub fn place(&self, tile: usize) -> (usize, usize, usize) {
        let on_sheet = tile % self.tiles();
        let (row, column) = (on_sheet / self.columns, on_sheet % self.columns);
        (tile / self.tiles(), column * self.tile_width, row * self.tile_height)
    }

    pub fn width(&self) -> usize {
        self.columns * self.tile_width
    }

    /// Height of a sheet with so many tiles: only as many rows as they need.
    pub fn height(&self, tiles: usize) -> usize {
        tiles.div_ceil(self.columns).min(self.rows) * self.tile_height
    }

    pub fn path(&self, sheet: usize) -> PathBuf {
        PathBuf::from(format!("{}-{sheet}.{}", self.stem.display(), self.suffix))
    }

    /// Bytes of a row of a sheet, padded as GStreamer pads RGB.
    fn stride(&self) -> usize {
        (self.width() * PIXEL).next_multiple_of(4)
    }
}

/// The sheet that is being composed.
#[derive(Debug)]
pub struct Sheets {
    pub layout: Layout,
    /// Tiles in all.
    pub tiles: usize,
    current: usize,
    on_current: usize,
    pixels: Vec<u8>,
}

impl Sheets {
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            tiles: 0,
            current: 0,
            on_current: 0,
            pixels: Vec::new(),
        }
    }

    /// Lays a tile of packed RGB, rows padded or not, on its place. Tiles come in order; one that goes back begins anew.
    pub fn put(&mut self, tile: usize, bytes: &[u8]) -> Result<(), Failure> {
        let (sheet, left, top) = self.layout.place(tile);
        if sheet != self.current || tile == 0 {
            if tile > 0 {
                self.flush()?;
            }
            self.current = sheet;
            self.pixels.clear();
        }
        let stride = self.layout.stride();
        self.pixels.resize(stride * self.layout.rows * self.layout.tile_height, 0);
        let row_bytes = self.layout.tile_width * PIXEL;
        let tile_stride = bytes.len() / self.layout.tile_height.max(1);
        for (row, source) in bytes.chunks_exact(tile_stride.max(1)).enumerate() {
            let start = (top + row) * stride + left * PIXEL;
            if let (Some(target), Some(source)) = (self.pixels.get_mut(start..start + row_bytes), source.get(..row_bytes)) {
                target.copy_from_slice(source);
            }
        }
        self.tiles = tile + 1;
        self.on_current = tile % self.layout.tiles() + 1;
        Ok(())
    }

    /// Writes the current sheet. Gives how many there are.
    pub fn flush(&mut self) -> Result<usize, Failure> {
        if self.on_current == 0 {
            return Ok(self.tiles.div_ceil(self.layout.tiles()));
        }
        let (width, height) = (self.layout.width() as i32, self.layout.height(self.on_current) as i32);
        let mut pixels = std::mem::take(&mut self.pixels);
        pixels.truncate(self.layout.stride() * height as usize);
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "RGB")
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(0, 1))
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", "sRGB")
            .build();
        write_one(
            gst::Buffer::from_slice(pixels),
            &caps,
            &self.style(width, height),
            &self.layout.path(self.current),
        )?;
        self.on_current = 0;
        Ok(self.tiles.div_ceil(self.layout.tiles()))
    }

    /// A sheet is written as it is.
    fn style(&self, width: i32, height: i32) -> PictureStyle {
        let geometry = Geometry {
            width,
            height,
            inner: None,
            crop: (0.0, 0.0),
        };
        PictureStyle {
            format: self.layout.format,
            quality: self.layout.quality,
            look: Look::plain(geometry, pictures::format_of(self.layout.format)),
        }
    }
}
