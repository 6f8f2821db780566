//! Reads animated GIFs as whole RGBA pictures with times; avdec_gif has no end. Loops are played once.

use std::{fs::File, io, io::BufReader, path::Path, time::Duration};

use gif::{ColorOutput, DecodeOptions, Decoder, DisposalMethod, MemoryLimit};

/// Browsers and ffmpeg take a delay below this, in hundredths of a second, for "not told".
const LEAST_DELAY: u16 = 2;
/// What they show such a picture for.
const DEFAULT_DELAY: u16 = 10;
const BYTES_PER_PIXEL: usize = 4;

/// What a GIF holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GifSummary {
    pub width: u16,
    pub height: u16,
    pub frames: u64,
    pub duration: Duration,
    /// What each picture is shown for, when all are shown alike.
    pub pace: Option<Duration>,
    /// Whether the file ended before its trailer, or broke.
    pub broken: bool,
}

impl GifSummary {
    /// Pictures per second as a fraction; 0/1 when variable.
    pub fn frame_rate(&self) -> (i32, i32) {
        let hundredths = self.pace.filter(|_| self.frames > 1).map_or(0, |pace| pace.as_millis() as i32 / 10);
        match hundredths {
            1.. if 100 % hundredths == 0 => (100 / hundredths, 1),
            1.. => (100, hundredths),
            _ => (0, 1),
        }
    }

    fn add(&mut self, shown: Duration) {
        self.pace = if self.frames == 0 {
            Some(shown)
        } else {
            self.pace.filter(|pace| *pace == shown)
        };
        self.frames += 1;
        self.duration += shown;
    }
}

/// Counts pictures and their time without decoding them.
pub fn summarize(path: &Path) -> io::Result<GifSummary> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(BufReader::new(File::open(path)?)).map_err(io::Error::other)?;
    let mut summary = GifSummary {
        width: decoder.width(),
        height: decoder.height(),
        ..GifSummary::default()
    };
    loop {
        match decoder.next_frame_info() {
            Ok(Some(frame)) => summary.add(shown_for(frame.delay)),
            Ok(None) => return Ok(summary),
            Err(_) => {
                summary.broken = true;
                return Ok(summary);
            }
        }
    }
}

/// One picture, composed with those before it.
pub struct GifFrame {
    /// RGBA, `width * height * 4` bytes, rows without padding.
    pub pixels: Vec<u8>,
    /// When it is shown, from the start.
    pub start: Duration,
    /// How long it is shown.
    pub duration: Duration,
}

/// The pictures of a GIF in order; holds one canvas, one copy of it and one frame at a time.
pub struct GifFrames {
    decoder: Decoder<BufReader<File>>,
    canvas: Canvas,
    position: Duration,
    ended: bool,
}

impl GifFrames {
    /// Opens a file; refuses a canvas of more than `max_pixels` (0: no limit).
    pub fn open(path: &Path, max_pixels: u64) -> io::Result<Self> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        if let Some(bytes) = std::num::NonZeroU64::new(max_pixels.saturating_mul(BYTES_PER_PIXEL as u64)) {
            options.set_memory_limit(MemoryLimit::Bytes(bytes));
        }
        let decoder = options.read_info(BufReader::new(File::open(path)?)).map_err(io::Error::other)?;
        let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
        if max_pixels > 0 && (width * height) as u64 > max_pixels {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the picture is too large"));
        }
        Ok(Self {
            decoder,
            canvas: Canvas::new(width, height),
            position: Duration::ZERO,
            ended: false,
        })
    }

    pub fn width(&self) -> u16 {
        self.decoder.width()
    }

    pub fn height(&self) -> u16 {
        self.decoder.height()
    }

    fn read(&mut self) -> io::Result<Option<GifFrame>> {
        let Some(frame) = self.decoder.read_next_frame().map_err(io::Error::other)? else {
            return Ok(None);
        };
        let duration = shown_for(frame.delay);
        let pixels = self.canvas.show(frame);
        let start = self.position;
        self.position += duration;
        Ok(Some(GifFrame { pixels, start, duration }))
    }
}

impl Iterator for GifFrames {
    type Item = io::Result<GifFrame>;

    /// Ends after the last picture, or after the first error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

fn shown_for(delay: u16) -> Duration {
    let hundredths = if delay < LEAST_DELAY { DEFAULT_DELAY } else { delay };
    Duration::from_millis(u64::from(hundredths) * 10)
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![0; width * height * BYTES_PER_PIXEL],
        }
    }

    /// The canvas with a frame drawn on it; afterwards the canvas is what the frame's disposal leaves for the next one.
    fn show(&mut self, frame: &gif::Frame<'_>) -> Vec<u8> {
        let before = (frame.dispose == DisposalMethod::Previous).then(|| self.pixels.clone());
        self.draw(frame);
        let shown = self.pixels.clone();
        match frame.dispose {
            DisposalMethod::Background => self.clear(frame),
            DisposalMethod::Previous => self.pixels = before.unwrap_or_default(),
            DisposalMethod::Any | DisposalMethod::Keep => {}
        }
        shown
    }

    fn draw(&mut self, frame: &gif::Frame<'_>) {
        let row_bytes = usize::from(frame.width) * BYTES_PER_PIXEL;
        if row_bytes == 0 {
            return;
        }
        for (row, source) in frame.buffer.chunks_exact(row_bytes).enumerate() {
            let Some(target) = self.row(frame, row) else { break };
            for (target, source) in target.chunks_exact_mut(BYTES_PER_PIXEL).zip(source.chunks_exact(BYTES_PER_PIXEL)) {
                if source.get(3) != Some(&0) {
                    target.copy_from_slice(source);
                }
            }
        }
    }

    fn clear(&mut self, frame: &gif::Frame<'_>) {
        for row in 0..usize::from(frame.height) {
            let Some(target) = self.row(frame, row) else { break };
            target.fill(0);
        }
    }

    /// The part of a canvas row that a frame's row covers.
    fn row(&mut self, frame: &gif::Frame<'_>, row: usize) -> Option<&mut [u8]> {
        let y = usize::from(frame.top) + row;
        let left = usize::from(frame.left).min(self.width);
        let right = (left + usize::from(frame.width)).min(self.width);
        if y >= self.height {
            return None;
        }
        let start = (y * self.width + left) * BYTES_PER_PIXEL;
        let end = (y * self.width + right) * BYTES_PER_PIXEL;
        self.pixels.get_mut(start..end)
    }
}

#[cfg(test)]
mod tests {
    use gif::{Encoder, Frame, Repeat};

    use super::*;

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];

    fn written(frames: &[(u16, DisposalMethod, u16)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let palette = [255, 0, 0, 0, 0, 255];
        let mut encoder = Encoder::new(file.reopen().unwrap(), 2, 1, &palette).unwrap();
        encoder.set_repeat(Repeat::Infinite).unwrap();
        for (number, (left, dispose, delay)) in frames.iter().enumerate() {
            let frame = Frame {
                left: *left,
                width: 1,
                height: 1,
                dispose: *dispose,
                delay: *delay,
                buffer: vec![u8::from(number > 0)].into(),
                ..Frame::default()
            };
            encoder.write_frame(&frame).unwrap();
        }
        drop(encoder);
        file
    }

    fn pictures(file: &tempfile::NamedTempFile) -> Vec<GifFrame> {
        GifFrames::open(file.path(), 0).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn an_endless_loop_is_played_once_with_default_delays() {
        let file = written(&[(0, DisposalMethod::Keep, 0), (1, DisposalMethod::Keep, 50)]);
        let shown = pictures(&file);
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[1].start.as_millis(), 100);
        assert_eq!(shown[1].duration.as_millis(), 500);
        assert_eq!(summarize(file.path()).unwrap().duration.as_millis(), 600);
        assert_eq!(shown[1].pixels, [RED, BLUE].concat());
    }

    #[test]
    fn disposal_to_background_and_to_previous_is_composed() {
        let file = written(&[
            (0, DisposalMethod::Background, 5),
            (1, DisposalMethod::Previous, 5),
            (0, DisposalMethod::Keep, 5),
        ]);
        let shown = pictures(&file);
        assert_eq!(shown[0].pixels, [RED, [0; 4]].concat());
        assert_eq!(shown[1].pixels, [[0; 4], BLUE].concat());
        assert_eq!(shown[2].pixels, [BLUE, [0; 4]].concat());
    }

    #[test]
    fn a_file_cut_anywhere_ends() {
        let file = written(&[(0, DisposalMethod::Keep, 5), (1, DisposalMethod::Keep, 5)]);
        let whole = std::fs::read(file.path()).unwrap();
        for length in 0..whole.len() {
            let cut = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(cut.path(), &whole[..length]).unwrap();
            let _ = summarize(cut.path());
            if let Ok(frames) = GifFrames::open(cut.path(), 100) {
                assert!(frames.count() <= 3);
            }
        }
    }

    #[test]
    fn a_canvas_over_the_limit_is_refused() {
        let file = written(&[(0, DisposalMethod::Keep, 5)]);
        assert!(GifFrames::open(file.path(), 1).is_err());
    }
}
