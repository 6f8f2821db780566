//! Joins segments of fragmented MP4 into one fragmented file with one initialisation section and one clock.

mod init;
mod line;
mod moved;
mod out;
mod parts;
mod run;
mod times;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use self::{line::Line, out::Out};
use super::{
    Join, JoinError, Kind, Rendition, Segment, Take,
    place::{self, Joint},
};

/// Where the first presentation of the file lies, in nanoseconds: pictures are decoded before they are shown.
const ZERO: i64 = 1_000_000_000;
/// A clock that goes ahead or back by more nanoseconds between two segments has begun anew, whatever the playlist says.
const LARGEST_AHEAD: i64 = 10_000_000_000;
const LARGEST_BACK: i64 = 100_000_000;

/// Joins segments of MP4.
pub struct Mp4Join {
    out: BufWriter<File>,
    lines: Vec<Line>,
    outs: Vec<Out>,
    /// Nanoseconds that are added to times of the run.
    offset: i64,
    written: u64,
    sequence: u32,
}

impl Mp4Join {
    pub fn create(path: &Path, renditions: Vec<(Rendition, Kind)>) -> Result<Self, JoinError> {
        Ok(Self {
            out: BufWriter::with_capacity(1 << 20, File::create(path)?),
            lines: renditions.into_iter().map(|(rendition, _)| Line::new(rendition)).collect(),
            outs: Vec::new(),
            offset: 0,
            written: 0,
            sequence: 0,
        })
    }

    /// Reads the sections and first segments of the run, places it, and opens them.
    fn enter_run(&mut self) -> Result<(), JoinError> {
        for line in &mut self.lines {
            line.read_init()?;
        }
        if self.outs.is_empty() {
            self.write_init()?;
        }
        let mut begins = Vec::new();
        for line in &mut self.lines {
            begins.extend(line.look()?);
        }
        let joint = |(out, begins): (&Out, Option<i64>)| Joint {
            ended: out.end,
            begins,
            may_cut: out.may_cut(),
        };
        let joints: Vec<_> = self.outs.iter().zip(begins).map(joint).collect();
        self.offset = place::offset(&joints, ZERO);
        self.outs.iter_mut().for_each(Out::begin_run);
        for line in &mut self.lines {
            if let Some(segment) = line.first.take() {
                line.open(&segment)?;
            }
        }
        Ok(())
    }

    fn write_init(&mut self) -> Result<(), JoinError> {
        for line in &mut self.lines {
            line.first_out = self.outs.len();
            if line.rendition.take == Take::Sound && line.init.as_ref().is_none_or(|init| init.tracks.is_empty()) {
                return Err(super::without_sound());
            }
            for track in line.init.iter().flat_map(|init| &init.tracks) {
                self.outs.push(Out::new(self.outs.len() as u32 + 1, track));
            }
        }
        if self.outs.is_empty() {
            return Err(JoinError::damaged("the initialisation section names no track of film or sound"));
        }
        let inits: Vec<_> = self
            .lines
            .iter()
            .filter_map(|line| Some((line.init.as_ref()?, line.rendition.language.as_str())))
            .collect();
        let bytes =
            init::merged(&inits).ok_or_else(|| JoinError::damaged("the playlist's initialisation section (EXT-X-MAP) is damaged"))?;
        self.out.write_all(&bytes)?;
        self.written = bytes.len() as u64;
        Ok(())
    }

    fn begin(&mut self, rendition: usize, segment: &Segment) -> Result<(), JoinError> {
        if let Some(line) = self.lines.get_mut(rendition) {
            line.first = Some(segment.clone());
            line.ended = false;
        }
        match self.lines.iter().all(|line| line.first.is_some()) {
            true => self.enter_run(),
            false => Ok(()),
        }
    }
}

impl Join for Mp4Join {
    fn open(&mut self, rendition: usize, segment: &Segment) -> Result<(), JoinError> {
        if segment.begins_run {
            return self.begin(rendition, segment);
        }
        let alone = self.lines.len() == 1;
        let Some(line) = self.lines.get_mut(rendition) else { return Ok(()) };
        line.follow_section(segment)?;
        let step = line.step_to(segment)?.unwrap_or_default();
        match ((-LARGEST_BACK..=LARGEST_AHEAD).contains(&step), alone) {
            (true, _) => line.open(segment),
            (false, true) => self.begin(rendition, segment),
            (false, false) => Err(super::unmarked()),
        }
    }

    fn end_run(&mut self, rendition: usize) {
        if let Some(line) = self.lines.get_mut(rendition) {
            line.ended = true;
        }
    }

    fn write(&mut self) -> Result<Option<usize>, JoinError> {
        loop {
            for (number, line) in self.lines.iter_mut().enumerate() {
                if line.head.is_none() && !line.ended {
                    line.advance()?;
                    if line.head.is_none() {
                        return Ok(Some(number));
                    }
                }
            }
            let time = |line: &Line| line.head.as_ref().map_or(i64::MAX, |fragment| fragment.time);
            let earliest = self
                .lines
                .iter_mut()
                .filter(|line| line.head.is_some())
                .min_by_key(|line| time(line));
            let Some(line) = earliest else { return Ok(None) };
            let Some(fragment) = line.head.take() else { return Ok(None) };
            self.sequence += 1;
            self.written += line.write(&fragment, self.offset, self.sequence, self.written, &mut self.outs, &mut self.out)?;
        }
    }

    fn finish(&mut self) -> Result<(), JoinError> {
        Ok(self.out.flush()?)
    }
}
