//! Loudness by EBU R 128: measured, then the gain that reaches a target.

use std::sync::{Arc, Mutex, PoisonError};

use ebur128::{EbuR128, Mode};
use gst::prelude::*;
use mps_proto::worker::v1::Failure;

use super::chain::Treatment;

/// How near the target is near enough, in LU, and how often it is tried.
const NEAR: f64 = 0.1;
const TRIES: usize = 3;
/// Gain that nothing but noise needs.
const MOST_GAIN_DB: f64 = 60.0;
/// Left below the limit for what conversion adds.
const SPARE_DB: f64 = 0.1;

/// How loud sound is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Integrated, in LUFS; `None`: nothing but silence, or less than 400 ms.
    pub lufs: Option<f64>,
    /// True peak in dBTP.
    pub peak_dbtp: f64,
}

/// Listens to the samples that pass a pad: interleaved F32LE.
#[derive(Clone, Default)]
pub struct Meter(Arc<Mutex<Option<EbuR128>>>);

impl std::fmt::Debug for Meter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("Meter")
    }
}

impl Meter {
    /// Forgets what it heard.
    pub fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub fn listen(&self, pad: &gst::Pad) {
        let meter = self.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(buffer), Some(caps)) = (info.buffer(), pad.current_caps()) {
                meter.hear(buffer, &caps);
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn hear(&self, buffer: &gst::Buffer, caps: &gst::Caps) {
        let field = |name: &str| caps.structure(0).and_then(|structure| structure.get::<i32>(name).ok()).unwrap_or(0);
        let mut meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if meter.is_none() {
            *meter = EbuR128::new(
                field("channels").max(1) as u32,
                field("rate").max(1) as u32,
                Mode::I | Mode::TRUE_PEAK,
            )
            .ok();
        }
        let (Some(meter), Ok(data)) = (meter.as_mut(), buffer.map_readable()) else {
            return;
        };
        let samples: Vec<f32> = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let _ = meter.add_frames_f32(&samples);
    }

    pub fn loudness(&self) -> Loudness {
        let meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lufs = meter.as_ref().and_then(|meter| meter.loudness_global().ok());
        let peaks = meter
            .iter()
            .flat_map(|meter| (0..meter.channels()).filter_map(|channel| meter.true_peak(channel).ok()));
        Loudness {
            lufs: lufs.filter(|lufs| lufs.is_finite()),
            peak_dbtp: 20.0 * peaks.fold(1e-10, f64::max).log10(),
        }
    }
}

/// Where sound is to go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    pub lufs: f64,
    pub peak_dbtp: f64,
}

/// What reaches the target, as measured, or why it is not tried.
pub struct Settled {
    pub treatment: Treatment,
    pub applied: bool,
    pub detail: String,
}

/// Finds gain and limit; `measure` hears the sound under a treatment.
pub fn settle(target: Target, denoise: bool, measure: &mut dyn FnMut(Treatment) -> Result<Loudness, Failure>) -> Result<Settled, Failure> {
    let mut treatment = Treatment {
        denoise,
        ..Treatment::default()
    };
    let before = measure(treatment)?;
    let Some(lufs) = before.lufs else {
        return Ok(Settled {
            treatment,
            applied: false,
            detail: "the sound is silence or shorter than 0.4 s".to_owned(),
        });
    };
    let mut gain = (target.lufs - lufs).min(MOST_GAIN_DB);
    treatment.gain_mdb = (gain * 1000.0).round() as i32;
    let mut after = Loudness {
        lufs: Some(lufs + gain),
        peak_dbtp: before.peak_dbtp + gain,
    };
    if after.peak_dbtp > target.peak_dbtp {
        treatment.limit_mdbtp = Some(((target.peak_dbtp - SPARE_DB) * 1000.0).round() as i32);
        for _ in 0..TRIES {
            after = measure(treatment)?;
            let missing = target.lufs - after.lufs.unwrap_or(target.lufs);
            if missing.abs() <= NEAR {
                break;
            }
            gain = (gain + missing).min(MOST_GAIN_DB);
            treatment.gain_mdb = (gain * 1000.0).round() as i32;
        }
    }
    let limited = if treatment.limit_mdbtp.is_some() { ", peaks limited" } else { "" };
    Ok(Settled {
        treatment,
        applied: true,
        detail: format!(
            "{lufs:.1} LUFS and {:.1} dBTP before; {gain:+.1} dB{limited}; {:.1} LUFS and {:.1} dBTP after",
            before.peak_dbtp,
            after.lufs.unwrap_or(target.lufs),
            after.peak_dbtp
        ),
    })
}
