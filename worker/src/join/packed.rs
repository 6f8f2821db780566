//! Joins segments of packed sound: the frames follow each other, without the tags in front of segments.

use std::{
    fs::File,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{Join, JoinError, Segment, adts};

/// Bytes that tell the length of a tag.
const TAG_HEAD: u64 = 10;

/// Joins packed sound.
pub struct PackedJoin {
    out: BufWriter<File>,
    next: Option<PathBuf>,
    ended: bool,
}

impl PackedJoin {
    pub fn create(path: &Path) -> Result<Self, JoinError> {
        Ok(Self {
            out: BufWriter::with_capacity(1 << 20, File::create(path)?),
            next: None,
            ended: false,
        })
    }
}

impl Join for PackedJoin {
    fn open(&mut self, _rendition: usize, segment: &Segment) -> Result<(), JoinError> {
        self.ended = false;
        self.next = Some(segment.path.clone());
        Ok(())
    }

    fn end_run(&mut self, _rendition: usize) {
        self.ended = true;
    }

    fn write(&mut self) -> Result<Option<usize>, JoinError> {
        if let Some(path) = self.next.take() {
            let mut file = File::open(path)?;
            let mut head = Vec::new();
            (&file).take(TAG_HEAD).read_to_end(&mut head)?;
            file.seek(SeekFrom::Start(adts::tag_length(&head) as u64))?;
            std::io::copy(&mut file, &mut self.out)?;
        }
        Ok((!self.ended).then_some(0))
    }

    fn finish(&mut self) -> Result<(), JoinError> {
        Ok(self.out.flush()?)
    }
}
