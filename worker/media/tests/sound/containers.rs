//! Sound in containers that GStreamer does not know by name.

use mps_proto::v1::Container;

use crate::{
    tools::{amplitude, bench, lossless, make, samples, sound, tones},
    transcode_tools::Film,
};

/// A tone in each ear of a second.
fn input(film: &Film, name: &str, options: &str) -> std::path::PathBuf {
    make(film, name, &format!("{} {options}", tones(&[440, 1000], 0.5, "stereo", 1.0)))
}

#[test]
fn plain_samples_in_caf_and_wave64_are_read_sample_by_sample() {
    let film = bench();
    for (name, options) in [
        ("little.caf", "-c:a pcm_s16le"),
        ("big.caf", "-c:a pcm_s16be"),
        ("deep.caf", "-c:a pcm_s24be"),
        ("float.caf", "-c:a pcm_f32be"),
        ("float_little.caf", "-c:a pcm_f32le"),
        ("bytes.caf", "-c:a pcm_s8"),
        ("law.caf", "-c:a pcm_mulaw"),
        ("named.caf", "-c:a pcm_s16be -metadata title=A_title_of_some_letters"),
        ("a.w64", "-c:a pcm_s16le"),
        ("float.w64", "-c:a pcm_f32le"),
    ] {
        let path = input(&film, name, options);
        let made = film.transcode_of(name, vec![sound("a", Container::Wav, lossless(2))]).remove(0);
        let (ours, theirs) = (samples(&made.unwrap_or_else(|problem| panic!("{name}: {problem}"))), samples(&path));
        assert_eq!((ours.len(), ours[0].len()), (2, 48_000), "{name}");
        let differs = ours
            .iter()
            .flatten()
            .zip(theirs.iter().flatten())
            .map(|(one, other)| (one - other).abs());
        assert!(differs.fold(0.0, f32::max) < 1e-4, "{name}");
        assert!((amplitude(&ours[1], 1000) - 0.5).abs() < 0.02, "{name}");
    }
}

#[test]
fn what_is_known_and_not_read_is_named() {
    let film = bench();
    input(&film, "packets.caf", "-c:a alac");
    let path = input(&film, "wide.flac", "-c:a flac -sample_fmt s32");
    let mut bytes = std::fs::read(&path).unwrap();
    // Bits of a sample, less one: 23 become 31.
    bytes[8 + 13] |= 0xf0;
    std::fs::write(&path, bytes).unwrap();
    for (name, words) in [("packets.caf", "no decoder for alac"), ("wide.flac", "no decoder for flac")] {
        let problem = film
            .transcode_of(name, vec![sound("a", Container::Wav, lossless(2))])
            .remove(0)
            .unwrap_err();
        assert!(problem.contains(words), "{name}: {problem}");
    }
}
