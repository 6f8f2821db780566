//! What happens to samples: noise out, gain, limit. Late by a known number of frames.

use nnnoiseless::DenoiseState;

use super::limiter::Limiter;

/// What is to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Treatment {
    pub denoise: bool,
    /// In thousandths of a dB.
    pub gain_mdb: i32,
    /// Most true peak in thousandths of a dBTP, where peaks would exceed it.
    pub limit_mdbtp: Option<i32>,
}

impl Treatment {
    /// Whether it changes nothing.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// Sample rate that noise reduction knows.
pub const DENOISE_HZ: i32 = 48_000;
const FRAME: usize = DenoiseState::FRAME_SIZE;
/// What the noise reduction takes for full scale.
const SCALE: f32 = 32_768.0;

pub struct Chain {
    channels: usize,
    denoisers: Vec<Box<DenoiseState<'static>>>,
    /// Samples that do not fill a frame of the noise reduction yet, interleaved.
    waiting: Vec<f32>,
    gain: f32,
    limiter: Option<Limiter>,
}

impl Chain {
    pub fn new(treatment: &Treatment, channels: usize, rate: u32) -> Self {
        Self {
            channels: channels.max(1),
            denoisers: (0..if treatment.denoise { channels } else { 0 })
                .map(|_| DenoiseState::new())
                .collect(),
            waiting: Vec::new(),
            gain: 10f64.powf(f64::from(treatment.gain_mdb) / 20_000.0) as f32,
            limiter: treatment
                .limit_mdbtp
                .map(|limit| Limiter::new(channels, rate, f64::from(limit) / 1000.0)),
        }
    }

    /// Frames at the beginning of the output that are not of the input.
    pub fn delay(&self) -> usize {
        let denoise = if self.denoisers.is_empty() { 0 } else { FRAME };
        denoise + self.limiter.as_ref().map_or(0, Limiter::delay)
    }

    /// Takes interleaved samples; adds what is done.
    pub fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        if self.denoisers.is_empty() {
            return self.loud(samples, output);
        }
        self.waiting.extend_from_slice(samples);
        let whole = FRAME * self.channels;
        while self.waiting.len() >= whole {
            let rest = self.waiting.split_off(whole);
            let block = std::mem::replace(&mut self.waiting, rest);
            let clean = self.denoised(&block);
            self.loud(&clean, output);
        }
    }

    fn denoised(&mut self, block: &[f32]) -> Vec<f32> {
        let mut clean = vec![0.0; block.len()];
        for (channel, denoiser) in self.denoisers.iter_mut().enumerate() {
            let mut input = [0f32; FRAME];
            let frames = block.chunks_exact(self.channels);
            for (sample, frame) in input.iter_mut().zip(frames) {
                *sample = frame.get(channel).copied().unwrap_or(0.0) * SCALE;
            }
            let mut output = [0f32; FRAME];
            denoiser.process_frame(&mut output, &input);
            for (frame, sample) in clean.chunks_exact_mut(self.channels).zip(output) {
                if let Some(place) = frame.get_mut(channel) {
                    *place = sample / SCALE;
                }
            }
        }
        clean
    }

    fn loud(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        let gain = self.gain;
        let Some(limiter) = &mut self.limiter else {
            return output.extend(samples.iter().map(|sample| sample * gain));
        };
        let mut frame = Vec::with_capacity(self.channels);
        for samples in samples.chunks_exact(self.channels) {
            frame.clear();
            frame.extend(samples.iter().map(|sample| sample * gain));
            limiter.push(&frame, output);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Harmonics that come and go, as a voice's do.
    fn voice(number: usize) -> f32 {
        let time = number as f64 / 48_000.0;
        let pitch = 140.0 + 30.0 * (time * 3.0).sin();
        let wave: f64 = (1..12)
            .map(|harmonic| (time * pitch * f64::from(harmonic) * std::f64::consts::TAU).sin() / f64::from(harmonic))
            .sum();
        (wave * 0.15 * (0.5 + 0.5 * (time * 25.0).sin())) as f32
    }

    #[test]
    fn noise_reduction_is_late_by_what_it_says() {
        let treatment = Treatment {
            denoise: true,
            ..Treatment::default()
        };
        let mut chain = Chain::new(&treatment, 1, 48_000);
        let input: Vec<f32> = (0..96_000).map(voice).collect();
        let mut output = Vec::new();
        chain.push(&input, &mut output);
        let likeness = |lag: usize| -> f64 { (48_000..90_000).map(|at| f64::from(input[at - lag] * output[at])).sum() };
        let best = (0..1500).max_by(|a, b| likeness(*a).total_cmp(&likeness(*b))).unwrap();
        assert!(best.abs_diff(chain.delay()) <= 2, "late by {best}, not {}", chain.delay());
    }
}
