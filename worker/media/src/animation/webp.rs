//! Writes an animated WebP by libwebp, which finds by itself what changes from frame to frame.

use std::{
    io::{self, Write},
    time::Duration,
};

use webp_animation::{AnimParams, ColorMode, Encoder, EncoderOptions, EncodingConfig};

use super::{PIXEL, SpooledFrames};

/// What an animated WebP says besides its pictures.
#[derive(Debug, Clone)]
pub struct WebpOptions {
    pub width: u32,
    pub height: u32,
    /// When each frame ends, from the beginning.
    pub ends: Vec<Duration>,
    /// How often it plays; 0: for ever.
    pub loop_count: i32,
    /// 1 to 100.
    pub quality: i32,
    /// Bytes of a pixel: 3, or 4 with alpha.
    pub pixel: usize,
}

/// Writes the frames. `tick` is called after each.
pub fn write_webp(mut file: impl Write, mut frames: SpooledFrames, options: &WebpOptions, tick: &mut dyn FnMut()) -> io::Result<()> {
    let encoding = EncoderOptions {
        anim_params: AnimParams {
            loop_count: options.loop_count,
        },
        color_mode: if options.pixel > PIXEL { ColorMode::Rgba } else { ColorMode::Rgb },
        encoding_config: Some(EncodingConfig::new_lossy(options.quality as f32)),
        ..EncoderOptions::default()
    };
    let mut encoder = Encoder::new_with_options((options.width, options.height), encoding).map_err(failed)?;
    let mut start = 0;
    for end in &options.ends {
        let Some(pixels) = frames.next()? else { break };
        encoder.add_frame(pixels, start).map_err(failed)?;
        start = i32::try_from((end.as_micros() + 500) / 1000).unwrap_or(i32::MAX);
        tick();
    }
    let data = encoder.finalize(start).map_err(failed)?;
    file.write_all(&data)?;
    file.flush()
}

fn failed(error: webp_animation::Error) -> io::Error {
    io::Error::other(format!("libwebp: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::{super::Spool, *};

    #[test]
    fn frames_last_as_long_as_they_should() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 16 * 16 * 3);
        for tone in [0u8, 120, 250] {
            spool.push(&[tone; 16 * 16 * 3]).unwrap();
        }
        let third = Duration::from_secs(1) / 3;
        let options = WebpOptions {
            width: 16,
            height: 16,
            ends: (1..=3).map(|number| third * number).collect(),
            loop_count: 2,
            quality: 75,
            pixel: PIXEL,
        };
        let mut file = Vec::new();
        write_webp(&mut file, spool.read().unwrap(), &options, &mut || ()).unwrap();
        let ends: Vec<i32> = webp_animation::Decoder::new(&file)
            .unwrap()
            .into_iter()
            .map(|frame| frame.timestamp())
            .collect();
        assert_eq!(ends, [333, 667, 1000]);
        let loops = file.windows(4).position(|part| part == b"ANIM").map(|at| file[at + 12]);
        assert_eq!(loops, Some(2));
    }
}
