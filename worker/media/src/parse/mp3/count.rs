//! How long a file of MPEG audio lasts whose encoder did not say it: its frames are counted.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use super::{Frame, id3_end};

/// Bytes that a frame is looked for in where none follows: damage, or the end.
const LOST_BYTES: usize = 64 << 10;
const READ_BYTES: u64 = 256 << 10;
const HEAD_BYTES: usize = 4;

/// Frames of a file, and what they last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub frames: u64,
    pub bytes: u64,
    pub duration: Duration,
}

/// Counts the frames of a file, that of an encoder's header too; `None` where it holds none. What lies behind `most_bytes` lasts as long in
/// proportion, which is exact where the bit rate is constant.
pub fn count(path: &Path, most_bytes: u64) -> io::Result<Option<Count>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = id3_end(&mut file)?;
    file.seek(SeekFrom::Start(start))?;
    let mut window = Window {
        source: file,
        held: Vec::new(),
        at: 0,
    };
    let Some(first) = window.next_frame(None)? else { return Ok(None) };
    let (mut frames, mut read) = (0u64, 0u64);
    while let Some(frame) = window.next_frame(Some(&first))? {
        frames += 1;
        read += frame.bytes as u64;
        if read > most_bytes {
            frames = (frames as f64 * ((length - start) as f64 / read as f64).max(1.0)) as u64;
            break;
        }
        window.skip(frame.bytes)?;
    }
    let seconds = (frames * u64::from(first.samples)) as f64 / f64::from(first.sample_rate_hz.max(1));
    Ok(Some(Count {
        frames,
        bytes: read,
        duration: Duration::from_secs_f64(seconds),
    }))
}

/// A part of a file that moves on.
struct Window<S> {
    source: S,
    held: Vec<u8>,
    at: usize,
}

impl<S: Read + Seek> Window<S> {
    /// Moves to the next frame, which is like the first; `None`: the sound is over.
    fn next_frame(&mut self, like: Option<&Frame>) -> io::Result<Option<Frame>> {
        let fits = |head: &[u8]| Frame::of(head).filter(|frame| like.is_none_or(|first| first.is_like(frame)));
        let mut lost = 0;
        while lost < LOST_BYTES {
            if self.held.len() < self.at + HEAD_BYTES {
                self.held.drain(..self.at);
                self.at = 0;
                (&mut self.source).take(READ_BYTES).read_to_end(&mut self.held)?;
            }
            let rest = self.held.get(self.at..).unwrap_or_default();
            if rest.len() < HEAD_BYTES {
                return Ok(None);
            }
            let found = rest.windows(HEAD_BYTES).enumerate().find_map(|(at, head)| Some((at, fits(head)?)));
            let skipped = found.map_or(rest.len() + 1 - HEAD_BYTES, |(at, _)| at);
            self.at += skipped;
            if let Some((_, frame)) = found {
                return Ok(Some(frame));
            }
            lost += skipped;
        }
        Ok(None)
    }

    fn skip(&mut self, bytes: usize) -> io::Result<()> {
        let held = self.held.len() - self.at;
        if bytes <= held {
            self.at += bytes;
            return Ok(());
        }
        self.source.seek_relative(i64::try_from(bytes - held).unwrap_or(i64::MAX))?;
        self.held.clear();
        self.at = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(parts: &[&[u8]]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), parts.concat()).unwrap();
        file
    }

    fn frame(head: [u8; 4], bytes: usize) -> Vec<u8> {
        let mut frame = head.to_vec();
        frame.resize(bytes, 0);
        frame
    }

    #[test]
    fn frames_of_any_rate_are_counted_between_tags_and_damage() {
        let (small, large) = (frame([0xff, 0xfb, 0x90, 0x64], 417), frame([0xff, 0xfb, 0xb0, 0x64], 626));
        let tag = [&b"ID3\x04\0\0\0\0\0\x0a"[..], &[0; 10]].concat();
        let many = [small.repeat(1000), large.repeat(500)].concat();
        let found = count(file(&[&tag, &many, &[1; 300], &small, b"TAG", &[0; 125]]).path(), u64::MAX)
            .unwrap()
            .unwrap();
        assert_eq!(found.frames, 1501);
        assert_eq!(found.duration.as_millis(), 1501 * 1152 * 1000 / 44_100);
        let half = count(file(&[&small.repeat(1000)]).path(), 417 * 500).unwrap().unwrap();
        assert_eq!(half.frames, 1000, "in proportion");
        assert_eq!(count(file(&[b"no sound at all"]).path(), u64::MAX).unwrap(), None);
    }
}
