//! Writes a GIF: one palette, and of each frame the rectangle that changes.

use std::{
    borrow::Cow,
    io::{self, Write},
    time::Duration,
};

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::{PIXEL, Palette, SpooledFrames, dither::Ditherer};

/// What a GIF says besides its pictures.
#[derive(Debug, Clone)]
pub struct GifOptions {
    pub width: u16,
    pub height: u16,
    /// When each frame ends, from the beginning.
    pub ends: Vec<Duration>,
    /// How often it plays; 0: for ever.
    pub loop_count: u16,
    /// Bytes of a pixel: 3, or 4 with alpha.
    pub pixel: usize,
}

/// Writes the frames. `tick` is called after each.
pub fn write_gif(
    file: impl Write,
    palette: Palette,
    mut frames: SpooledFrames,
    options: &GifOptions,
    tick: &mut dyn FnMut(),
) -> io::Result<()> {
    let mut encoder = Encoder::new(file, options.width, options.height, &global_palette(&palette)).map_err(io::Error::other)?;
    match options.loop_count {
        0 => encoder.set_repeat(Repeat::Infinite).map_err(io::Error::other)?,
        // Without the extension it plays once; with it, once more than it says.
        1 => {}
        times => encoder.set_repeat(Repeat::Finite(times - 1)).map_err(io::Error::other)?,
    }
    let mut ditherer = Ditherer::new(palette, usize::from(options.width));
    let mut shown_until = 0;
    for end in &options.ends {
        let Some(pixels) = frames.next()? else { break };
        let is_clear = options.pixel > PIXEL;
        let change = if is_clear {
            ditherer.alone(pixels, options.pixel)
        } else {
            ditherer.next(pixels)
        };
        let end = hundredths(*end);
        let frame = Frame {
            delay: u16::try_from(end - shown_until).unwrap_or(u16::MAX),
            // Where it is clear, what was there before must not be seen.
            dispose: if is_clear {
                DisposalMethod::Background
            } else {
                DisposalMethod::Keep
            },
            transparent: Some(ditherer.transparent()),
            left: change.left as u16,
            top: change.top as u16,
            width: change.width as u16,
            height: change.height as u16,
            buffer: Cow::Owned(change.indices),
            ..Frame::default()
        };
        shown_until = end;
        encoder.write_frame(&frame).map_err(io::Error::other)?;
        tick();
    }
    encoder.into_inner().map_err(io::Error::other)?.flush()
}

/// With a place for the transparent index at its end.
fn global_palette(palette: &Palette) -> Vec<u8> {
    palette.colours().iter().copied().chain([[0; 3]]).flatten().collect()
}

/// Time from the beginning, so that rounding does not add up.
fn hundredths(time: Duration) -> u64 {
    ((time.as_millis() + 5) / 10) as u64
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Histogram, Spool},
        *,
    };

    fn written(frames: &[[u8; 12]], loop_count: u16) -> Vec<u8> {
        let mut histogram = Histogram::default();
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 12);
        for frame in frames {
            histogram.add(frame, PIXEL);
            spool.push(frame).unwrap();
        }
        let third = Duration::from_secs(1) / 3;
        let options = GifOptions {
            width: 2,
            height: 2,
            ends: (1..=frames.len() as u32).map(|number| third * number).collect(),
            loop_count,
            pixel: PIXEL,
        };
        let mut file = Vec::new();
        write_gif(&mut file, Palette::of(&histogram), spool.read().unwrap(), &options, &mut || ()).unwrap();
        file
    }

    fn decoded(file: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(file).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            frames.push((frame.delay, frame.buffer.to_vec()));
        }
        frames
    }

    #[test]
    fn delays_add_up_and_colours_are_kept() {
        let (dark, light) = ([10; 12], [200; 12]);
        let frames = decoded(&written(&[dark, light, light], 0));
        assert_eq!(frames.iter().map(|frame| frame.0).sum::<u16>(), 100);
        assert_eq!(frames[0].1, [10, 10, 10, 255].repeat(4));
        assert_eq!(frames[1].1, [200, 200, 200, 255].repeat(4));
        assert_eq!(frames[2].1.len(), 4, "a frame that changes nothing is one pixel");
        assert_eq!(frames[2].1[3], 0);
    }

    #[test]
    fn loops_are_counted_as_players_count_them() {
        let netscape = |file: &[u8]| {
            file.windows(11)
                .position(|part| part == b"NETSCAPE2.0")
                .map(|at| (file[at + 13], file[at + 14]))
        };
        assert_eq!(netscape(&written(&[[0; 12]], 0)), Some((0, 0)));
        assert_eq!(netscape(&written(&[[0; 12]], 1)), None);
        assert_eq!(netscape(&written(&[[0; 12]], 3)), Some((2, 0)));
    }
}
