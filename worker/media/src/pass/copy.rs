//! The branch of the input's packets as they are, in the form and order that their container takes.

use std::{sync::Arc, time::Duration};

use mps_proto::{v1::Container, worker::v1::Failure};

use super::{
    clip::Window,
    counters::{self, Counters},
    elements::{branch, link, pad},
    forms, keys,
    packets::{self, Film, Rule},
    sequence::Stamps,
};
use crate::{
    job::Preparing,
    probe::InputFacts,
    rules::{self, Clip},
    timeline::nanoseconds,
};

/// Distance of pictures where nothing tells.
const USUAL: Duration = Duration::from_millis(40);

/// Where a copy of the picture begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lead {
    /// How long before the picture that the clip begins with its key frame stands.
    pub key: Duration,
    /// How long before the clip's start that picture is shown: players cut between pictures alone.
    pub picture: Duration,
}

impl Lead {
    /// How long before the clip's start the copy begins.
    pub fn whole(self) -> Duration {
        self.key + self.picture
    }
}

/// Looks where a copy of a clip's picture begins.
pub fn lead(preparing: &Preparing, clip: Clip) -> Result<Lead, Failure> {
    // An edit list of several parts is refused where the copy is built.
    let delay = preparing.timelines.video.delay().unwrap_or_default();
    if clip.start.is_zero() && !preparing.facts.edit_list_inside {
        return Ok(Lead::default());
    }
    let start = Duration::from_nanos(u64::try_from(nanoseconds(clip.start) + delay).unwrap_or(0));
    let found = keys::last_before(preparing.input, preparing.facts, start, preparing.tick)?;
    Ok(found.map_or_else(Lead::default, |found| Lead {
        key: found.shown.saturating_sub(found.key),
        picture: start.saturating_sub(found.shown),
    }))
}

/// The part of the input whose sound goes with a picture that begins earlier, and how much later than the picture it begins all the same:
/// there may be no sound that early.
pub fn led(clip: Clip, lead: Duration) -> (Clip, Duration) {
    let by = lead.min(clip.start);
    let clip = Clip {
        start: clip.start - by,
        ..clip
    };
    (clip, lead - by)
}

/// One stream that is copied.
pub struct Copy<'a> {
    pub tee: &'a gst::Element,
    /// Video, audio, or audio with a number: how its elements are named.
    pub kind: &'a str,
    /// As `MediaStream.codec` says it.
    pub codec: &'a str,
    pub window: Window,
    pub facts: &'a InputFacts,
}

impl Copy<'_> {
    /// Builds the branch; gives its last element.
    pub fn elements(
        &self,
        pipeline: &gst::Pipeline,
        node: usize,
        container: Container,
        counters: &Arc<Counters>,
    ) -> Result<gst::Element, Failure> {
        let prefix = format!("n{node}-{}", self.kind);
        let (_, guard) = branch(pipeline, self.tee, &format!("{prefix}-guard"))?;
        let mut chain = vec![guard];
        chain.extend(forms::elements(pipeline, &prefix, self.codec, container)?);
        let film = (self.kind == "video").then(|| self.film());
        let is_film = film.is_some();
        let packets = Rule {
            node,
            window: self.window,
            film,
            one_description: !matches!(container, Container::Ts | Container::Hls),
            counters: counters.clone(),
        };
        let last = packets::element(pipeline, &format!("{prefix}-packets"), packets)?;
        counters::count(&pad(&last, "src")?, counters, move |counters| {
            let node = counters.nodes.get(node)?;
            Some(if is_film { &node.video } else { &node.audio })
        });
        chain.push(last.clone());
        link(&chain.iter().collect::<Vec<_>>())?;
        Ok(last)
    }

    fn film(&self) -> Film {
        let rate = rules::frame_rate(rules::film(self.facts));
        let step = |(num, den): (i32, i32)| Duration::from_secs_f64(f64::from(den) / f64::from(num));
        Film {
            codec: self.codec.to_owned(),
            stamps: match self.facts.media.container.as_str() {
                "matroska" | "webm" => Stamps::Shown,
                "avi" => Stamps::Decoded,
                _ => Stamps::Both,
            },
            nominal: rate.map_or(USUAL, step),
        }
    }
}
