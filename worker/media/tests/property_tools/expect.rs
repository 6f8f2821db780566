//! What must come out of a case, from ffmpeg's decode of its film: which pictures and which sound on which clock, and which failures are true.

use mps_proto::v1::ErrorReason;

use super::{
    case::{Case, Edit, Harm, Layout, Sound},
    make,
    measure::{Decoded, LOOK_RATE},
};

/// Stamps of containers are off by a millisecond.
pub const STAMP: f64 = 0.0015;

/// What encoders of sound put in front of it, at most.
pub const PRIMING: f64 = 0.03;

/// What of a film an output has.
#[derive(Debug)]
pub struct Expected {
    /// Places among the film's pictures, from the first to the one behind the last.
    pub pictures: std::ops::Range<usize>,
    /// How many more or fewer there may be at each end: where a clip ends between two pictures.
    pub slack: usize,
    /// The clip in seconds of the film's own time.
    pub from: f64,
    pub until: f64,
}

/// Puts right what ffmpeg's decode of a film does not tell as it is: program streams stamp some pictures only, and where an edit begins in
/// the middle of a picture ffmpeg leaves that one out and moves the next to its place.
pub fn settle(case: &Case, film: &mut Decoded) {
    match (case.edit, film.pictures.first().and_then(|first| Some((first.time, first.number?)))) {
        (Edit::Cut(by) | Edit::Trimmed(by), _) => settle_edit(case, film, f64::from(by) / 1000.0),
        (_, Some((zero, first))) if case.container == "vob" => {
            for picture in &mut film.pictures {
                picture.time = picture
                    .number
                    .map_or(picture.time, |number| zero + case.time(number) - case.time(first));
            }
        }
        _ => {}
    }
}

fn settle_edit(case: &Case, film: &mut Decoded, by: f64) {
    film.begins = Some(0.0);
    for picture in &mut film.pictures {
        picture.time = picture.number.map_or(picture.time, |number| case.time(number) - by);
    }
    if film.sound.is_empty() {
        return;
    }
    let late = if case.sound == Sound::Late { make::SOUND_LATE_S } else { 0.0 };
    // A list that is written anew keeps the empty part in front of what is late.
    let begins = if matches!(case.edit, Edit::Trimmed(_)) {
        late
    } else {
        (late - by).max(0.0)
    };
    let heard_from = if matches!(case.edit, Edit::Trimmed(_)) {
        by
    } else {
        (by - late).max(0.0)
    };
    let lasts = make::tone_lasts(case) - heard_from;
    let at = |sample: usize| make::tone_at(heard_from + sample as f64 / LOOK_RATE as f64) as f32;
    film.sound_from = begins;
    film.sound = (0..(lasts * LOOK_RATE as f64) as usize).map(at).collect();
}

/// How far pictures may stand beside their places. In program streams not every picture has a stamp, and readers do not agree whose it is; AVI
/// does not say when pictures are shown that others refer to.
pub fn stamp_error(case: &Case) -> f64 {
    let unsaid = match case.container {
        "vob" => 1 + case.b_frames,
        "avi" => case.b_frames.min(1),
        _ => 0,
    };
    2.0 * STAMP + f64::from(unsaid) * case.step()
}

/// How much further apart sound and picture may be than in the film as far as it can be told: AVI does not say when pictures are shown that
/// others refer to, and a cut by copying leaves the lead of Opus in.
pub fn sync_error(case: &Case) -> f64 {
    let unsaid = matches!((case.container, case.video), ("avi", "mpeg2video" | "mpeg4") | ("vob", _));
    let lead = if matches!(case.edit, Edit::Cut(_)) { 0.008 } else { 0.0 };
    lead + if unsaid { case.step() } else { 0.0 }
}

/// An edit may begin with a part of a picture, which ffmpeg does not show.
pub fn leave_part_out(case: &Case, film: &Decoded, made: &mut Decoded) {
    let number = |of: &Decoded| of.pictures.first().and_then(|first| first.number);
    let is_before = number(film)
        .zip(number(made))
        .is_some_and(|(of_film, of_made)| of_made + 1 == of_film);
    if case.edit != Edit::Plain && is_before && made.pictures.len() > 1 {
        made.pictures.remove(0);
    }
}

pub fn expected(case: &Case, film: &Decoded) -> Expected {
    let zero = film.zero();
    let end = film.lasts();
    let (from, until) = match case.clip {
        Some((start, end_ms)) => (f64::from(start) / 1000.0, (f64::from(end_ms) / 1000.0).min(end)),
        None => (0.0, end),
    };
    let time = |picture: usize| film.pictures[picture].time - zero;
    let count = film.pictures.len();
    let ends = |picture: usize| {
        if picture + 1 < count {
            time(picture + 1)
        } else {
            time(picture) + film.last_step()
        }
    };
    let shown = (0..count).filter(|picture| ends(*picture) > from + STAMP && time(*picture) < until - STAMP);
    let shown: Vec<usize> = shown.collect();
    let pictures = match (shown.first(), shown.last()) {
        (Some(first), Some(last)) => *first..*last + 1,
        _ => 0..0,
    };
    // Where sound of no length to speak of stands before the first picture, readers do not agree on the beginning.
    let lead = film.pictures.first().map_or(0.0, |first| first.time - zero);
    let slack = if case.clip.is_some() {
        1 + (lead.min(PRIMING) / case.step()).ceil() as usize
    } else {
        0
    };
    Expected {
        pictures,
        // How many pictures of a broken end decode, decoders do not agree on.
        slack: slack
            + if matches!(case.harm, Harm::Cut(_)) {
                1 + case.b_frames as usize
            } else {
                0
            },
        from,
        until,
    }
}

/// Why a case may fail.
pub fn true_reasons(case: &Case, film: &Decoded) -> Vec<ErrorReason> {
    let mut reasons = Vec::new();
    match case.harm {
        Harm::Unharmed => {}
        Harm::Cut(_) => {
            // Without its index nothing can be read of an MP4.
            if film.pictures.is_empty() {
                reasons.extend([ErrorReason::InputNotMedia, ErrorReason::StreamMissing]);
            }
            if !matches!(case.container, "ts" | "vob") {
                reasons.push(ErrorReason::InputTruncated);
            }
            // What is left may end before the clip begins.
            if film.pictures.is_empty() || case.clip.is_some_and(|(start, _)| f64::from(start) / 1000.0 > film.lasts() - 0.1) {
                reasons.extend([ErrorReason::OffsetOutOfRange, ErrorReason::StreamMissing]);
            }
        }
        Harm::Flips(_) => {
            reasons.extend([
                ErrorReason::InputDamaged,
                ErrorReason::InputNotMedia,
                ErrorReason::InputTruncated,
                ErrorReason::StreamMissing,
                ErrorReason::OffsetOutOfRange,
            ]);
            // A flipped bit may make another codec's name of a codec's: then ffmpeg shows nothing, either.
            if film.pictures.is_empty() {
                reasons.extend([ErrorReason::DecoderMissing, ErrorReason::Unsupported]);
            }
        }
    }
    if cannot_turn(case) {
        reasons.push(ErrorReason::Unsupported);
    }
    reasons
}

/// Whether the film is shown turned, and its copy's container cannot say so.
pub fn cannot_turn(case: &Case) -> bool {
    case.is_copy() && case.turn != 0 && !matches!(case.wanted.container, "mp4" | "mov")
}

/// Whether the film lacks what its header promises.
pub fn is_short(case: &Case) -> bool {
    let promises = !matches!(case.container, "ts" | "vob") && case.layout != Layout::Fragments;
    matches!(case.harm, Harm::Cut(_)) && promises
}

/// Whether pictures in front of the first one are coded and not shown.
pub fn has_hidden_pictures(case: &Case) -> bool {
    case.edit != Edit::Plain
}

/// A copy begins with the key frame before its clip, where the container cannot leave it out.
pub fn may_begin_before(case: &Case) -> bool {
    case.is_copy() && (case.clip.is_some() || has_hidden_pictures(case))
}

/// Packets are not cut: pictures that others need, and sound that reaches over the end.
pub fn may_end_behind(case: &Case) -> bool {
    case.is_copy() && (case.clip.is_some() || has_hidden_pictures(case))
}
