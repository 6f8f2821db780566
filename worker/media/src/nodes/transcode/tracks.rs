//! Which tracks of sound a node takes: those that it names, or the one that the file wants to be played.

use std::cmp::Reverse;

use mps_proto::{
    rpc::Status,
    v1::{AudioTrackSelector, ErrorReason, MediaStream, audio_track_selector::Selector},
    worker::v1::Failure,
};

use crate::{
    failure,
    probe::InputFacts,
    rules::{decoders, language, sounds, stream_missing, unless_undecodable},
};

/// Tracks that are taken.
#[derive(Debug, Default)]
pub struct Selected {
    /// Positions among the input's tracks of sound, each once, in the order of the selectors.
    pub tracks: Vec<usize>,
    /// What is to be said of tracks that were passed over, since nothing decodes them.
    pub left_out: Vec<Status>,
}

/// The tracks that selectors name; without any, the one that the file wants to be played. Where several are there to choose from, those
/// without a decoder are passed over.
pub fn select(selectors: &[AudioTrackSelector], facts: &InputFacts) -> Result<Selected, Failure> {
    let streams = sounds(facts);
    let mut selected = Selected::default();
    if selectors.is_empty() {
        let preference = |track: &usize| {
            let index = streams.get(*track).map_or(-1, |stream| stream.index);
            facts.of_stream(index).map_or(1, |stream| stream.preference)
        };
        let mut by_preference: Vec<usize> = (0..streams.len()).collect();
        by_preference.sort_by_key(|track| Reverse(preference(track)));
        let decodes = |track: &usize| streams.get(*track).is_some_and(|stream| unless_undecodable(stream, facts).is_ok());
        let first = by_preference.iter().position(decodes).unwrap_or(0);
        by_preference.truncate(first + 1);
        selected.add(by_preference, &streams, facts);
        return Ok(selected);
    }
    for selector in selectors {
        let found: Vec<usize> = match &selector.selector {
            Some(Selector::Index(index)) => usize::try_from(*index)
                .ok()
                .filter(|index| *index < streams.len())
                .into_iter()
                .collect(),
            Some(Selector::Language(wanted)) => {
                let speaks = |track: &usize| streams.get(*track).is_some_and(|stream| language::same(&stream.language, wanted));
                (0..streams.len()).filter(speaks).collect()
            }
            Some(Selector::All(true)) => (0..streams.len()).collect(),
            _ => Vec::new(),
        };
        if found.is_empty() {
            return Err(no_such_track(selector, &streams));
        }
        selected.add(found, &streams, facts);
    }
    Ok(selected)
}

impl Selected {
    /// Adds tracks in their order. Where none has a decoder all stay, so that what takes them says so.
    fn add(&mut self, found: Vec<usize>, streams: &[&MediaStream], facts: &InputFacts) {
        let is_decodable = |track: &usize| streams.get(*track).is_some_and(|stream| unless_undecodable(stream, facts).is_ok());
        let any = found.iter().any(is_decodable);
        for track in found {
            if any && !is_decodable(&track) {
                let codec = streams.get(track).map_or("", |stream| stream.codec.as_str());
                self.left_out.push(passed_over(track, codec, &facts.media.container));
            } else if !self.tracks.contains(&track) {
                self.tracks.push(track);
            }
        }
    }
}

fn passed_over(track: usize, codec: &str, container: &str) -> Status {
    failure::warning(
        ErrorReason::DecoderMissing,
        format!("the track of sound with index {track} ({codec}) was left out: nothing installed decodes it"),
        &[
            ("index", track.to_string()),
            ("codec", codec.to_owned()),
            ("hint", decoders::hint(codec, container)),
        ],
    )
}

fn no_such_track(selector: &AudioTrackSelector, streams: &[&MediaStream]) -> Failure {
    let wanted = match &selector.selector {
        Some(Selector::Index(index)) => format!("with index {index}"),
        Some(Selector::Language(language)) => format!("in the language {language:?}"),
        _ => "at all".to_owned(),
    };
    let languages: Vec<&str> = streams
        .iter()
        .map(|stream| {
            if stream.language.is_empty() {
                "untagged"
            } else {
                stream.language.as_str()
            }
        })
        .collect();
    stream_missing(
        &format!("the input has no track of sound {wanted}"),
        &format!("it has {} tracks of sound: [{}]", streams.len(), languages.join(", ")),
    )
}
