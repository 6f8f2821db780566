//! What encoders put around the sound, where no decoder and no demuxer leaves it out.

use std::{path::Path, time::Duration};

use super::mp4;
use crate::parse::mp3;

/// What is left out of decoded sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trim {
    pub start: Duration,
    /// Of what is heard; `None`: to the end.
    pub length: Option<Duration>,
}

impl Trim {
    /// In samples. Times are rounded up: what cuts by them cuts whole samples.
    fn of(start: u64, length: Option<u64>, rate: u32) -> Self {
        let time = |samples: u64| Duration::from_nanos((samples * 1_000_000_000).div_ceil(u64::from(rate.max(1))));
        Self {
            start: time(start),
            length: length.map(time),
        }
    }

    /// Of an MP3: what its encoder told, and the decoder's own delay.
    pub fn of_mp3(path: &Path) -> Self {
        let header = mp3::read(path).ok().flatten().filter(|header| header.delay > 0);
        header.map_or_else(Self::default, |header| {
            Self::of(header.samples_to_drop().into(), header.audible(), header.sample_rate_hz)
        })
    }

    /// Of an MP4 that has what iTunes says instead of an edit list.
    pub fn of_mp4(index: &mp4::Index, sample_rate_hz: i32) -> Self {
        let only = index.only_sound().filter(|track| !track.skips && !index.fragmented);
        let told = index.gapless.filter(|_| only.is_some());
        told.map_or_else(Self::default, |told| {
            Self::of(told.delay.into(), Some(told.samples), u32::try_from(sample_rate_hz).unwrap_or(0))
        })
    }
}
