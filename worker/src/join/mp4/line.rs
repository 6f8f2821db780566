//! One rendition of MP4 segments, read fragment by fragment.

use std::{io::Write, path::PathBuf};

use super::{
    init::{self, Init, Track},
    moved::{Move, moved},
    out::{Out, nanoseconds},
    parts::{Parts, Place, init_bytes},
    times::{Times, times},
};
use crate::join::{JoinError, Rendition, Segment};

/// A rendition.
pub struct Line {
    pub rendition: Rendition,
    /// The initialisation section that the joined file has.
    pub init: Option<Init>,
    /// The file of the section that holds now; `None`: segments hold their own.
    section: Option<PathBuf>,
    /// The tracks of the current run's section, in order of those of the joined file.
    tracks: Vec<Track>,
    /// By track: what the run's edit list adds to its times, beyond the edit list of the joined file; in nanoseconds.
    edits: Vec<i64>,
    /// Number of its first track in the joined file.
    pub first_out: usize,
    /// Decoding times of what comes next where fragments do not tell them, in ticks of the run.
    next: Vec<i64>,
    segment: Option<Parts>,
    pub head: Option<Fragment>,
    pub first: Option<Segment>,
    pub ended: bool,
}

/// A fragment that is to be written next.
pub struct Fragment {
    /// Earliest decoding time in it, in nanoseconds of the run.
    pub time: i64,
    moof: Vec<u8>,
    times: Vec<Times>,
    place: Place,
}

impl Line {
    pub fn new(rendition: Rendition) -> Self {
        Self {
            rendition,
            init: None,
            section: None,
            tracks: Vec::new(),
            edits: Vec::new(),
            first_out: 0,
            next: Vec::new(),
            segment: None,
            head: None,
            first: None,
            ended: false,
        }
    }

    /// Reads the initialisation section of a run, whose clock begins anew.
    pub fn read_init(&mut self) -> Result<(), JoinError> {
        let Some(segment) = self.first.clone() else { return Ok(()) };
        self.read_section(&segment)?;
        self.next = vec![0; self.tracks.len()];
        Ok(())
    }

    /// Reads the section in front of a segment, which must fit the one of the first run.
    fn read_section(&mut self, segment: &Segment) -> Result<(), JoinError> {
        let init = Init::read(&init_bytes(segment)?, self.rendition.take)?;
        if self.init.as_ref().is_some_and(|first| !first.fits(&init)) {
            return Err(init::another());
        }
        self.section.clone_from(&segment.init);
        self.tracks.clone_from(&init.tracks);
        let kept = self.init.get_or_insert(init);
        let edit = |(track, kept): (&Track, &Track)| {
            let later = track.media_time.saturating_sub(kept.media_time);
            track.empty.saturating_sub(nanoseconds(later, track.timescale))
        };
        self.edits = self.tracks.iter().zip(&kept.tracks).map(edit).collect();
        Ok(())
    }

    /// Reads the section of a segment that names another one than those before it; its clock goes on.
    pub fn follow_section(&mut self, segment: &Segment) -> Result<(), JoinError> {
        if segment.init.is_none() || segment.init == self.section {
            return Ok(());
        }
        self.read_section(segment)
    }

    /// When the tracks of the run's first segment begin, in nanoseconds.
    pub fn look(&mut self) -> Result<Vec<Option<i64>>, JoinError> {
        let mut starts = vec![None; self.tracks.len()];
        let Some(segment) = self.first.clone() else { return Ok(starts) };
        let mut open = Parts::open(&segment)?;
        while let Some(place) = open.fragments.pop_front() {
            for times in self.times(&open.moof(&place)?)? {
                let Some((index, track)) = self.track(times.track_id) else {
                    continue;
                };
                let decoded = times.decoded.unwrap_or_default();
                let edit = self.edits.get(index).copied().unwrap_or_default();
                let shown = nanoseconds(decoded.saturating_add(times.shown), track.timescale).saturating_add(edit);
                if let Some(start) = starts.get_mut(index) {
                    let start: &mut i64 = start.get_or_insert(shown);
                    *start = shown.min(*start);
                }
            }
        }
        Ok(starts)
    }

    pub fn open(&mut self, segment: &Segment) -> Result<(), JoinError> {
        self.segment = Some(Parts::open(segment)?);
        Ok(())
    }

    /// How far the clock goes on from the segment before, in nanoseconds.
    pub fn step_to(&self, segment: &Segment) -> Result<Option<i64>, JoinError> {
        let mut open = Parts::open(segment)?;
        let Some(place) = open.fragments.pop_front() else { return Ok(None) };
        let times = self.times(&open.moof(&place)?)?;
        let step = |times: &Times| {
            let (index, track) = self.track(times.track_id)?;
            let step = times.decoded?.saturating_sub(*self.next.get(index)?);
            Some(nanoseconds(step, track.timescale))
        };
        Ok(times.iter().find_map(step))
    }

    /// Reads the next fragment of the open segment into `head`, where there is one.
    pub fn advance(&mut self) -> Result<(), JoinError> {
        let Some(open) = &mut self.segment else { return Ok(()) };
        let Some(place) = open.fragments.pop_front() else {
            self.segment = None;
            return Ok(());
        };
        let moof = open.moof(&place)?;
        let times = self.times(&moof)?;
        let time = |times: &Times| {
            let (index, track) = self.track(times.track_id)?;
            let decoded = times.decoded.or_else(|| self.next.get(index).copied())?;
            Some(nanoseconds(decoded, track.timescale).saturating_add(*self.edits.get(index)?))
        };
        self.head = Some(Fragment {
            time: times.iter().filter_map(time).min().unwrap_or_default(),
            moof,
            times,
            place,
        });
        Ok(())
    }

    fn times(&self, moof: &[u8]) -> Result<Vec<Times>, JoinError> {
        times(moof, &self.tracks).ok_or_else(|| JoinError::damaged("a fragment of a segment is damaged"))
    }

    fn track(&self, id: u32) -> Option<(usize, &Track)> {
        self.tracks.iter().enumerate().find(|(_, track)| track.id == id)
    }

    /// Writes the fragment at a position of the joined file, later by some nanoseconds.
    pub fn write(
        &mut self,
        fragment: &Fragment,
        offset: i64,
        sequence: u32,
        at: u64,
        outs: &mut [Out],
        out: &mut impl Write,
    ) -> Result<u64, JoinError> {
        let mut renamed = Vec::new();
        for times in &fragment.times {
            let Some(index) = self.tracks.iter().position(|track| track.id == times.track_id) else {
                continue;
            };
            let (Some(next), Some(track)) = (self.next.get_mut(index), outs.get_mut(self.first_out + index)) else {
                continue;
            };
            let decoded = times.decoded.unwrap_or(*next);
            *next = decoded.saturating_add(times.length);
            let edit = self.edits.get(index).copied().unwrap_or_default();
            renamed.push(track.take(times, decoded, offset.saturating_add(edit)));
        }
        let Some(open) = &mut self.segment else { return Ok(0) };
        let place = Move {
            sequence,
            from: open.position + fragment.place.moof.start,
            to: at,
        };
        let moof = moved(&fragment.moof, &renamed, place).ok_or_else(|| {
            JoinError::unsupported(
                "a fragment of a segment is written in a way that cannot be moved",
                "make the segments anew with fragments whose data offsets begin at the fragment",
            )
        })?;
        out.write_all(&moof)?;
        let copied = open.copy(&fragment.place, out)?;
        Ok(moof.len() as u64 + copied)
    }
}
