//! Where each stream of an input goes in a pass, and what is known of it besides `MediaStream`.

use std::{collections::BTreeMap, time::Duration};

use super::{InputFacts, headers::Headers, pace};
use crate::{rules, walk::Track};

/// What is known of one stream; they stand as `MediaInfo.streams` does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// What tells it from the other streams of its file, as `reading::stream_id` says it; `None`: an attached picture.
    pub id: Option<String>,
    /// Earliest presentation time of what the probe saw, in the time of the demuxer; `None` when it saw nothing.
    pub first: Option<Duration>,
    /// How far its data reach in a file that was cut, in media time; `None`: as far as it lasts.
    pub available: Option<Duration>,
    /// Name of the track; empty where it has none.
    pub title: String,
    /// How much its file wants it to be played: 2 where it is marked as default, 0 where it is disabled.
    pub preference: u8,
    /// Whether its own headers tell the range of its colours.
    pub tells_range: bool,
    /// Pictures per second where they come quickest, in whole ones; `None`: no film, or one picture.
    pub pace: Option<i32>,
}

/// What a stream is to a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The film, or the still picture.
    Film,
    /// Position among the tracks of sound.
    Sound(usize),
}

impl StreamFacts {
    /// Of what a walk saw.
    pub fn of(track: &Track) -> Self {
        let title = track
            .tags
            .iter()
            .find_map(|list| list.get::<gst::tags::Title>().map(|tag| tag.get().to_owned()));
        let flags = track.flags.unwrap_or(gst::StreamFlags::empty());
        Self {
            id: Some(track.id.clone()),
            first: track.first,
            available: None,
            title: title.unwrap_or_default(),
            preference: match flags {
                disabled if disabled.contains(gst::StreamFlags::UNSELECT) => 0,
                default if default.contains(gst::StreamFlags::SELECT) => 2,
                _ => 1,
            },
            tells_range: tells_range(track),
            pace: track.pace.per_second().filter(|_| !track.is_of_fields).map(pace::whole_rate),
        }
    }
}

fn tells_range(track: &Track) -> bool {
    let caps = track.caps.as_ref().and_then(|caps| caps.structure(0));
    caps.is_some_and(|caps| {
        let packet = &track.beginning;
        Headers { caps, packet }.colours().is_some()
    })
}

impl InputFacts {
    /// What is known of a stream besides, by its index.
    pub fn of_stream(&self, index: i32) -> Option<&StreamFacts> {
        let found = self.media.streams.iter().position(|stream| stream.index == index)?;
        self.streams.get(found)
    }

    /// Where streams go, by their ids.
    pub fn places(&self) -> BTreeMap<String, Place> {
        let id_of = |index: usize| self.streams.get(index).and_then(|stream| stream.id.clone());
        let streams = &self.media.streams;
        let film = rules::film(self).and_then(|film| streams.iter().position(|stream| stream == film));
        let sound = (0..).zip(streams.iter().enumerate().filter(|(_, stream)| stream.kind == "audio"));
        let sound = sound.map(|(track, (index, _))| (index, Place::Sound(track)));
        let all = film.map(|index| (index, Place::Film)).into_iter().chain(sound);
        all.filter_map(|(index, place)| Some((id_of(index)?, place))).collect()
    }
}
