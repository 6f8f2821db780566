//! What an input contains and how it must be read.

use std::{path::Path, time::Duration};

use mps_proto::{
    v1::{ErrorReason, MediaInfo},
    worker::v1::{Failure, InputLimits},
};

/// What the pass must know of its input beyond `MediaInfo`.
#[derive(Debug, Clone, Default)]
pub struct InputFacts {
    pub media: MediaInfo,
    /// What the header promises; `None` when it promises nothing.
    pub promised_duration: Option<Duration>,
    /// MP4 whose edit list starts inside the media (a clip cut by stream copy): pull-mode qtdemux loses the end of its audio.
    pub edit_list_inside: bool,
    /// Whether the MP4's index stands in front of the media, so that push mode works.
    pub index_first: bool,
    /// Animated GIF: read by `gif`, never by avdec_gif, which has no end.
    pub animated_gif: bool,
    /// A still picture: one frame without a duration.
    pub still_picture: bool,
    /// Samples to drop at the start of an MP3 (LAME header plus decoder delay).
    pub mp3_delay_samples: u32,
    /// Video tracks that are attached pictures, not film.
    pub attached_pictures: usize,
}

/// Reads a file within the deadline and checks it against the limits.
pub fn probe(path: &Path, _limits: &InputLimits, _deadline: Duration) -> Result<InputFacts, Failure> {
    Err(crate::failure::data(ErrorReason::InputNotMedia, path.display().to_string(), ""))
}
