//! The shape of the film, where the walk does not tell: what is cut away, how a still picture is turned, in which order raw fields come.

use std::{fs::File, io::BufReader, path::Path};

use mps_proto::v1::VideoProperties;

use super::InputFacts;
use crate::parse::{
    exif, matroska_shape,
    shown::{Edges, Fields, Shown},
};

/// By the boxes of an MP4's film.
pub fn by_index(facts: &mut InputFacts, shown: &Shown) {
    cut(facts, shown.edges);
    if film(facts).is_none_or(|(codec, _)| codec != "rawvideo") {
        return;
    }
    facts.raw_fields = shown.fields.filter(|fields| *fields != Fields::None);
    if let (Some(_), Some((_, video))) = (facts.raw_fields, film(facts)) {
        video.interlaced = true;
    }
}

/// By what the container or the picture says besides. What cannot be read is not told: the pass will complain.
pub fn by_file(facts: &mut InputFacts, path: &Path) {
    let Ok(mut file) = File::open(path).map(BufReader::new) else {
        return;
    };
    if ["matroska", "webm"].contains(&facts.media.container.as_str())
        && let Ok(Some(shown)) = matroska_shape::shown(&mut file)
    {
        cut(facts, shown.edges);
        if let Some((_, video)) = film(facts) {
            (video.pixel_aspect_num, video.pixel_aspect_den) = shown.pixel_aspect;
        }
    }
    if facts.still_picture
        && let Ok(turn) = exif::turn(&mut file)
        && let Some((_, video)) = film(facts)
    {
        (video.mirrored, video.rotation_deg) = (turn.mirrored, turn.rotation_deg);
    }
}

/// The film's size becomes that of the part that is shown.
fn cut(facts: &mut InputFacts, edges: Edges) {
    let Some((_, video)) = film(facts) else { return };
    let edges = edges.of_picture(video.width_px, video.height_px);
    let edges = if video.interlaced { edges.of_fields() } else { edges };
    video.width_px -= edges.left + edges.right;
    video.height_px -= edges.top + edges.bottom;
    facts.edges = edges;
}

/// Codec and properties of the film or still picture.
fn film(facts: &mut InputFacts) -> Option<(&str, &mut VideoProperties)> {
    let stream = facts.media.streams.iter_mut().find(|stream| stream.kind == "video")?;
    Some((&stream.codec, stream.video.as_mut()?))
}
