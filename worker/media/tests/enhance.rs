//! Improvements through whole passes: ffmpeg measures what became of picture and sound.

mod improve_tools;
mod pass_tools;

use std::path::Path;

use improve_tools::{Bench, aac, h264, luma, mean};
use mps_proto::{
    v1::{self, Container, video_enhancement::Strength},
    worker::v1::ChildResult,
};
use pass_tools::{ffmpeg, filtered};

fn enhanced(enhancement: v1::VideoEnhancement) -> v1::VideoSettings {
    v1::VideoSettings {
        enhancement: Some(enhancement),
        ..h264(240)
    }
}

fn psnr(file: &Path, reference: &Path) -> f64 {
    let printed = filtered(&[file, reference], "-lavfi [0:v][1:v]psnr");
    let value = printed.split("average:").nth(1).and_then(|rest| rest.split_whitespace().next());
    value.unwrap_or_else(|| panic!("{printed}")).parse().unwrap()
}

/// Integrated loudness and true peak as ffmpeg measures them.
fn loudness(file: &Path) -> (f64, f64) {
    loudness_from(file, 0)
}

fn loudness_from(file: &Path, second: u32) -> (f64, f64) {
    let printed = filtered(&[file], &format!("-af atrim=start={second},ebur128=peak=true"));
    let summary = printed.rsplit("Summary:").next().unwrap();
    let value = |name: &str| {
        summary
            .split(name)
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    (value("I:"), value("Peak:"))
}

fn applied(result: &ChildResult, name: &str) -> (bool, String) {
    let found = result.nodes[0].enhancements.iter().find(|applied| applied.name == name);
    let found = found.unwrap_or_else(|| panic!("{name} in {:?}", result.nodes[0]));
    (found.applied, found.detail.clone())
}

#[test]
fn noise_reduction_comes_nearer_to_the_clean_film() {
    let bench = Bench::new("testsrc2=s=320x240:r=10:d=2,noise=alls=14:allf=t+u");
    ffmpeg(
        "-f lavfi -i testsrc2=s=320x240:r=10:d=2 -c:v ffv1 -pix_fmt yuv420p",
        &bench.path("clean.mkv"),
    );
    let before = psnr(&bench.path("input.mkv"), &bench.path("clean.mkv"));
    for strength in [Strength::Weak, Strength::Normal] {
        let video = enhanced(v1::VideoEnhancement {
            denoise: Some(strength as i32),
            ..Default::default()
        });
        let result = bench.run(vec![bench.node(Container::Mkv, Some(video), None)], &[]);
        let after = psnr(&bench.file(&result), &bench.path("clean.mkv"));
        assert!(after > before + 1.0, "{strength:?}: {before} to {after} dB");
        assert!(applied(&result, "video.enhancement.denoise").0);
    }
}

#[test]
fn colour_saturates_and_sharpening_raises_edges() {
    let bench = Bench::new("testsrc2=s=320x240:r=10:d=1,gblur=sigma=2,eq=saturation=0.5");
    let plain = bench.run(vec![bench.node(Container::Mkv, Some(h264(240)), None)], &[]);
    let edges = |file: &Path| luma(file, 0.5, "sobel");
    let (saturation, energy) = (mean(&bench.file(&plain), 0.5, "null", "SATAVG"), edges(&bench.file(&plain)));
    let video = enhanced(v1::VideoEnhancement {
        sharpen: Some(0.8),
        color: Some(Strength::Strong as i32),
        ..Default::default()
    });
    let result = bench.run(vec![bench.node(Container::Mkv, Some(video), None)], &[]);
    let file = bench.file(&result);
    assert!(mean(&file, 0.5, "null", "SATAVG") > saturation * 1.25);
    assert!(edges(&file) > energy * 1.1, "{} {energy}", edges(&file));
}

#[test]
fn only_dark_films_are_lifted() {
    for (brightness, lifts) in [("-0.42", true), ("0", false)] {
        let bench = Bench::new(&format!("testsrc2=s=320x240:r=10:d=1,eq=brightness={brightness}"));
        let before = luma(&bench.path("input.mkv"), 0.5, "null");
        let video = enhanced(v1::VideoEnhancement {
            low_light: Some(true),
            lanczos: Some(true),
            ..Default::default()
        });
        let result = bench.run(vec![bench.node(Container::Mkv, Some(video), None)], &[]);
        let after = luma(&bench.file(&result), 0.5, "null");
        assert_eq!(after > before + 8.0, lifts, "{before} to {after}");
        let (was_applied, detail) = applied(&result, "video.enhancement.low_light");
        assert_eq!(was_applied, lifts, "{detail}");
        assert!(detail.contains("mean luma"), "{detail}");
        assert!(!applied(&result, "video.enhancement.lanczos").0, "the size stays");
    }
}

#[test]
fn sound_reaches_its_loudness_within_its_peak() {
    // A tone with loud bursts: its peaks would clip at the target.
    let sound = "aevalsrc=0.05*sin(2*PI*440*t)+0.7*sin(2*PI*997*t)*lt(mod(t\\,2)\\,0.02):s=44100:d=8";
    let bench = Bench::with_sound("color=gray:s=64x64:r=10:d=8", sound);
    for (lufs, limited) in [(-30.0, false), (-16.0, true)] {
        let audio = v1::AudioSettings {
            codec: Some(v1::AudioCodec::Flac as i32),
            enhancement: Some(v1::AudioEnhancement {
                loudness_lufs: Some(lufs),
                true_peak_dbtp: Some(-1.0),
                ..Default::default()
            }),
            ..Default::default()
        };
        let result = bench.run(vec![bench.node(Container::Mkv, Some(h264(64)), Some(audio))], &[]);
        let (measured, peak) = loudness(&bench.file(&result));
        let (was_applied, detail) = applied(&result, "audio.enhancement.loudness_lufs");
        assert!((measured - lufs).abs() < 0.3, "{measured} instead of {lufs}: {detail}");
        assert!(peak < -0.9, "{peak}: {detail}");
        assert!(was_applied && detail.contains("limited") == limited, "{detail}");
    }
}

#[test]
fn silence_has_no_loudness_to_reach() {
    let bench = Bench::with_sound("color=gray:s=64x64:r=10:d=1", "anullsrc=r=48000:cl=mono:d=1");
    let audio = v1::AudioSettings {
        enhancement: Some(v1::AudioEnhancement {
            loudness_lufs: Some(-16.0),
            ..Default::default()
        }),
        ..aac()
    };
    let result = bench.run(vec![bench.node(Container::Mkv, Some(h264(64)), Some(audio))], &[]);
    bench.file(&result);
    let (was_applied, detail) = applied(&result, "audio.enhancement.loudness_lufs");
    assert!(!was_applied && detail.contains("silence"), "{detail}");
}

#[test]
fn noise_of_sound_fades_and_every_sample_keeps_its_time() {
    let sound = "anoisesrc=a=0.1:c=pink:r=44100:d=8:seed=3";
    let bench = Bench::with_sound("color=gray:s=64x64:r=10:d=8", sound);
    let audio = |denoise| v1::AudioSettings {
        codec: Some(v1::AudioCodec::Flac as i32),
        enhancement: Some(v1::AudioEnhancement {
            denoise: Some(denoise),
            ..Default::default()
        }),
        ..Default::default()
    };
    let plain = bench.run(vec![bench.node(Container::Mkv, Some(h264(64)), Some(audio(false)))], &[]);
    // It learns the noise in the first seconds.
    let before = loudness_from(&bench.file(&plain), 5).0;
    let samples = |file: &Path| {
        filtered(&[file], "-af astats")
            .split("Number of samples:")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    let count = samples(&bench.file(&plain));
    let result = bench.run(vec![bench.node(Container::Mkv, Some(h264(64)), Some(audio(true)))], &[]);
    let after = loudness_from(&bench.file(&result), 5).0;
    assert!(after < before - 10.0, "{before} to {after} LUFS");
    assert!(applied(&result, "audio.enhancement.denoise").0);
    let (count, other): (i64, i64) = (count.parse().unwrap(), samples(&bench.file(&result)).parse().unwrap());
    assert!((count - other).abs() <= 2, "{count} and {other} samples");
}
