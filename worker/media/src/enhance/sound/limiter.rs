//! Keeps true peaks below a limit: gain goes down before a peak and comes back slowly behind it.

use std::{collections::VecDeque, f64::consts::PI};

/// Points between two samples at which the wave is looked at, and samples on each side that they are computed from.
const POINTS: usize = 4;
const SIDE: usize = 6;
/// How long before a peak gain begins to fall.
const AHEAD_SECONDS: f64 = 0.008;
/// Time in which gain comes back by about two thirds.
const RELEASE_SECONDS: f64 = 0.12;

/// A limiter over all channels alike.
pub struct Limiter {
    channels: usize,
    limit: f32,
    window: usize,
    release: f32,
    between: Vec<[f32; 2 * SIDE]>,
    /// Samples that wait, interleaved.
    waiting: VecDeque<f32>,
    /// Number of the frame whose gain is known next.
    frame: usize,
    /// Lowest gains of the window: number and gain, gain rising.
    lowest: VecDeque<(usize, f32)>,
    held: f32,
    /// The last gains, whose mean is applied.
    gains: VecDeque<f32>,
    sum: f64,
}

impl Limiter {
    pub fn new(channels: usize, rate: u32, limit_db: f64) -> Self {
        let window = ((AHEAD_SECONDS * f64::from(rate)) as usize).max(8);
        Self {
            channels: channels.max(1),
            limit: 10f64.powf(limit_db / 20.0) as f32,
            window,
            release: (1.0 - (-1.0 / (RELEASE_SECONDS * f64::from(rate))).exp()) as f32,
            between: (1..POINTS).map(taps).collect(),
            waiting: VecDeque::from(vec![0.0; 2 * SIDE * channels.max(1)]),
            frame: 0,
            lowest: VecDeque::new(),
            held: 1.0,
            gains: VecDeque::from(vec![1.0; window]),
            sum: window as f64,
        }
    }

    /// Frames by which the output is late.
    pub fn delay(&self) -> usize {
        self.window - 1 + SIDE
    }

    /// Takes one frame; gives the frame of `delay` frames ago.
    pub fn push(&mut self, frame: &[f32], output: &mut Vec<f32>) {
        self.waiting.extend(frame);
        let wanted = self.limit / self.peak().max(self.limit);
        let gain = self.gain(wanted);
        let kept = (self.delay() + 1) * self.channels;
        if self.waiting.len() >= kept {
            output.extend(self.waiting.drain(..self.channels).map(|sample| sample * gain));
        } else {
            output.extend(std::iter::repeat_n(0.0, self.channels));
        }
    }

    /// The highest point around the sample in the middle of the last ones.
    fn peak(&self) -> f32 {
        let first = self.waiting.len().saturating_sub(2 * SIDE * self.channels);
        let mut peak = 0f32;
        for channel in 0..self.channels {
            let mut samples = [0f32; 2 * SIDE];
            for (number, sample) in samples.iter_mut().enumerate() {
                *sample = self.waiting.get(first + number * self.channels + channel).copied().unwrap_or(0.0);
            }
            peak = peak.max(samples[SIDE - 1].abs()).max(samples[SIDE].abs());
            if samples.iter().all(|sample| sample.abs() < self.limit * 0.5) {
                continue;
            }
            for taps in &self.between {
                let value: f32 = taps.iter().zip(&samples).map(|(tap, sample)| tap * sample).sum();
                peak = peak.max(value.abs());
            }
        }
        peak
    }

    /// The lowest wanted gain of the window, let back slowly, then the mean of a window of those.
    fn gain(&mut self, wanted: f32) -> f32 {
        while self.lowest.back().is_some_and(|(_, gain)| *gain >= wanted) {
            self.lowest.pop_back();
        }
        self.lowest.push_back((self.frame, wanted));
        while self.lowest.front().is_some_and(|(number, _)| number + self.window <= self.frame) {
            self.lowest.pop_front();
        }
        self.frame += 1;
        let lowest = self.lowest.front().map_or(1.0, |(_, gain)| *gain);
        self.held = if lowest < self.held {
            lowest
        } else {
            self.held + (lowest - self.held) * self.release
        };
        self.gains.push_back(self.held);
        self.sum += f64::from(self.held) - f64::from(self.gains.pop_front().unwrap_or(1.0));
        (self.sum / self.window as f64) as f32
    }
}

/// A windowed sinc for a point between the two samples in the middle.
fn taps(point: usize) -> [f32; 2 * SIDE] {
    let place = point as f64 / POINTS as f64;
    let mut taps = [0f32; 2 * SIDE];
    for (number, tap) in taps.iter_mut().enumerate() {
        let distance = number as f64 - (SIDE - 1) as f64 - place;
        let sinc = if distance.abs() < 1e-9 {
            1.0
        } else {
            (PI * distance).sin() / (PI * distance)
        };
        let window = 0.5 + 0.5 * (PI * distance / (SIDE as f64 + 0.5)).cos();
        *tap = (sinc * window) as f32;
    }
    taps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_stay_below_the_limit_and_time_is_kept() {
        let mut limiter = Limiter::new(1, 48_000, -6.0);
        let delay = limiter.delay();
        let mut output = Vec::new();
        let tone = |number: usize| (number as f64 * 0.05).sin() as f32 * if (2000..2200).contains(&number) { 2.0 } else { 0.2 };
        (0..6000).for_each(|number| limiter.push(&[tone(number)], &mut output));
        let highest = output.iter().fold(0f32, |highest, sample| highest.max(sample.abs()));
        assert!(highest <= 0.5012, "{highest}");
        let early = (500..1000).all(|number| (output[number + delay] - tone(number)).abs() < 1e-4);
        assert!(early, "quiet sound passes as it is, late by the delay");
    }
}
