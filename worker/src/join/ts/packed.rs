//! A rendition of packed AAC (frames without a container, a stamp in front of each segment), made into units of a transport stream.

use std::path::Path;

use super::{
    packet::near,
    source::Chunk,
    track::Track,
    unit::{self, ticks},
};
use crate::join::{
    JoinError,
    adts::{self, Head},
};

/// Stream type of AAC in frames.
pub const STREAM_TYPE: u8 = 0x0f;
/// Bytes of a unit that is not begun again.
const UNIT_BYTES: usize = 2_800;
/// Largest segment of sound.
const MOST_BYTES: u64 = 64 << 20;

/// A rendition.
#[derive(Default)]
pub struct Packed {
    bytes: Vec<u8>,
    at: usize,
    /// Stamp of the segment, and frames of it that are read.
    begins: i64,
    frames: i64,
    track: usize,
    /// Where the segment before ended, on the run's own clock.
    ended: Option<i64>,
    /// Frames that begin earlier on the joined file's clock are left out.
    cut_before: i64,
}

impl Packed {
    pub fn fill(&mut self, track: usize) {
        self.track = track;
    }

    pub fn track(&self) -> usize {
        self.track
    }

    pub fn begin_run(&mut self, reference: i64, tracks: &[Track]) {
        self.begins = reference;
        self.ended = None;
        self.cut_before = tracks.get(self.track).and_then(Track::cut_before).unwrap_or(i64::MIN);
    }

    /// When a segment begins; the first stamp ever seen becomes the reference of the run.
    pub fn look(path: &Path, reference: &mut Option<i64>) -> Result<i64, JoinError> {
        let bytes = read(path)?;
        let stamp = adts::tag_stamp(bytes.get(..adts::tag_length(&bytes)).unwrap_or_default()).ok_or_else(|| {
            JoinError::unsupported(
                "a segment of packed sound does not tell when it begins (an ID3 tag with its stamp is missing)",
                "make the sound's segments transport streams or fragmented MP4",
            )
        })?;
        Ok(near(stamp, *reference.get_or_insert(stamp)))
    }

    /// The next segment.
    pub fn open(&mut self, path: &Path) -> Result<(), JoinError> {
        self.bytes = read(path)?;
        let length = adts::tag_length(&self.bytes);
        let stamp = adts::tag_stamp(self.bytes.get(..length).unwrap_or_default());
        let before = self.ended.unwrap_or(self.begins);
        self.begins = stamp.map_or(before, |stamp| near(stamp, before));
        (self.at, self.frames) = (length, 0);
        let mut at = length;
        while let Some(head) = self.bytes.get(at..).and_then(Head::read) {
            at += head.length;
        }
        if at != self.bytes.len() {
            return Err(JoinError::damaged(
                "a segment of packed sound holds what is no frame, or ends inside one",
            ));
        }
        Ok(())
    }

    /// The next unit; `None` at the end of the segment.
    pub fn next(&mut self, tracks: &mut [Track], offset: i64) -> Option<Chunk> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let rate_hz = Head::read(rest)?.rate_hz;
        let (mut length, mut frames) = (0, 0);
        while let Some(head) = rest.get(length..).and_then(Head::read)
            && length < UNIT_BYTES
        {
            length += head.length;
            frames += 1;
        }
        let body = rest.get(..length).unwrap_or(rest);
        let (time, body) = unit::trimmed(body, self.begins + ticks(self.frames, rate_hz) + offset, self.cut_before);
        let packets = unit::packets(tracks.get_mut(self.track)?, time, body);
        self.at += length.max(1);
        self.frames += frames;
        self.ended = Some(self.begins + ticks(self.frames, rate_hz));
        Some(Chunk { time, packets })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, JoinError> {
    if std::fs::metadata(path)?.len() > MOST_BYTES {
        return Err(JoinError::damaged(format!(
            "a segment of packed sound has more than {MOST_BYTES} bytes"
        )));
    }
    Ok(std::fs::read(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::{
        adts::tests::{frame, tag},
        ts::packet::{Stamps, unit_body},
    };

    #[test]
    fn frames_come_back_from_packets_with_their_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.aac");
        let sound: Vec<u8> = (0..20).flat_map(|number| frame(150 + number * 31)).collect();
        std::fs::write(&path, [tag(900_000), sound.clone()].concat()).unwrap();
        let mut tracks = [Track::new(0x101, true)];
        let mut packed = Packed::default();
        assert_eq!(Packed::look(&path, &mut None).unwrap(), 900_000);
        packed.begin_run(900_000, &tracks);
        packed.open(&path).unwrap();
        let (mut bytes, mut times) = (Vec::new(), Vec::new());
        while let Some(chunk) = packed.next(&mut tracks, -100_000) {
            times.push(chunk.time);
            for (number, packet) in chunk.packets.iter().enumerate() {
                let payload = packet.payload();
                bytes.extend_from_slice(if number == 0 { unit_body(payload) } else { payload });
            }
            assert_eq!(Stamps::read(chunk.packets[0].payload()).unwrap().pts, chunk.time);
        }
        assert!(bytes == sound, "{} bytes of {}", bytes.len(), sound.len());
        assert_eq!(times[0], 800_000);
        assert_eq!(tracks[0].end(), Some(800_000 + 20 * 1_920));
    }
}
