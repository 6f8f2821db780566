//! Frames of one size on their way to a second look: in a scratch file, so that memory does not grow with the clip.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
};

/// Writes frames.
pub struct Spool {
    file: BufWriter<File>,
    frame_bytes: usize,
    frames: usize,
}

impl Spool {
    /// Makes the file without a name: it goes when this does.
    pub fn new(file: File, frame_bytes: usize) -> Self {
        Self {
            file: BufWriter::with_capacity(frame_bytes.clamp(4096, 1 << 20), file),
            frame_bytes,
            frames: 0,
        }
    }

    /// Adds a frame.
    pub fn push(&mut self, frame: &[u8]) -> io::Result<()> {
        if frame.len() != self.frame_bytes {
            return Err(io::Error::other("the frame has another size"));
        }
        self.file.write_all(frame)?;
        self.frames += 1;
        Ok(())
    }

    /// Reads all frames from the first.
    pub fn read(self) -> io::Result<SpooledFrames> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(SpooledFrames {
            file: BufReader::with_capacity(1 << 20, file),
            frame: vec![0; self.frame_bytes],
            left: self.frames,
        })
    }
}

/// Reads frames.
pub struct SpooledFrames {
    file: BufReader<File>,
    frame: Vec<u8>,
    left: usize,
}

impl SpooledFrames {
    /// The next frame; `None` after the last.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.file.read_exact(&mut self.frame)?;
        self.left -= 1;
        Ok(Some(&self.frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_in_order_and_of_one_size() {
        let mut spool = Spool::new(tempfile::tempfile().unwrap(), 3);
        spool.push(&[1, 2, 3]).unwrap();
        spool.push(&[4, 5, 6]).unwrap();
        assert!(spool.push(&[7]).is_err());
        let mut frames = spool.read().unwrap();
        assert_eq!(frames.next().unwrap(), Some(&[1, 2, 3][..]));
        assert_eq!(frames.next().unwrap(), Some(&[4, 5, 6][..]));
        assert_eq!(frames.next().unwrap(), None);
    }
}
