//! Improvements of the sound: noise reduction and loudness.

mod chain;
mod filter;
mod limiter;
mod loudness;
mod measure;

use mps_proto::{
    v1::{AppliedEnhancement, AudioEnhancement},
    worker::v1::Failure,
};

use crate::pass::{
    channels,
    elements::{caps_filter, make},
};

pub use chain::Treatment;
pub use loudness::Target;
pub use measure::{Heard, reach};

/// The treatment that a node asks for before loudness is known, and the loudness that it wants.
pub fn asked_for(settings: Option<&AudioEnhancement>) -> (Treatment, Option<Target>) {
    let treatment = Treatment {
        denoise: settings.is_some_and(AudioEnhancement::denoise),
        ..Treatment::default()
    };
    let target = settings.and_then(|settings| {
        Some(Target {
            lufs: settings.loudness_lufs?,
            peak_dbtp: settings.true_peak_dbtp.unwrap_or(-1.0),
        })
    });
    (treatment, target)
}

/// Elements of a treatment, to be linked in order: they take any sound and give interleaved F32LE.
pub fn elements(
    pipeline: &gst::Pipeline,
    prefix: &str,
    treatment: Treatment,
    rate: i32,
    channels: i32,
) -> Result<Vec<gst::Element>, Failure> {
    let name = |part: &str| format!("{prefix}-{part}");
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "F32LE")
        .field("layout", "interleaved")
        .field("rate", if treatment.denoise { chain::DENOISE_HZ } else { rate })
        .field("channels", channels)
        .build();
    Ok(vec![
        channels::mixer(pipeline, &name("enhance-convert"), channels)?,
        make(pipeline, "audioresample", &name("enhance-resample"))?,
        caps_filter(pipeline, &name("enhance-format"), &caps)?,
        filter::element(pipeline, &name("enhance"), treatment)?,
    ])
}

/// What became of noise reduction.
pub fn denoised() -> AppliedEnhancement {
    applied("denoise", true, "RNNoise at 48 kHz".to_owned())
}

/// What became of an improvement of sound.
pub fn applied(name: &str, applied: bool, detail: String) -> AppliedEnhancement {
    AppliedEnhancement {
        name: format!("audio.enhancement.{name}"),
        applied,
        detail,
    }
}
