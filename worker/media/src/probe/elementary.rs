//! What the streams of a transport stream are, by their types and descriptors.

use crate::parse::psi::{Elementary, Program};

/// Kinds of `MediaStream` and codecs, by type alone.
const PLAIN: &[(u8, &str, &str)] = &[
    (0x01, "video", "mpeg1video"),
    (0x02, "video", "mpeg2video"),
    (0x03, "audio", "mp2"),
    (0x04, "audio", "mp2"),
    (0x0f, "audio", "aac"),
    (0x10, "video", "mpeg4"),
    (0x11, "audio", "aac"),
    (0x1b, "video", "h264"),
    (0x1c, "audio", "aac"),
    (0x20, "video", "h264"),
    (0x21, "video", "jpeg2000"),
    (0x24, "video", "hevc"),
    (0x2d, "audio", "mpegh_3d_audio"),
    (0x2e, "audio", "mpegh_3d_audio"),
    (0x33, "video", "vvc"),
    (0x42, "video", "cavs"),
    (0x81, "audio", "ac3"),
    (0x82, "audio", "dts"),
    (0x83, "audio", "truehd"),
    (0x87, "audio", "eac3"),
    (0x8a, "audio", "dts"),
    (0xd1, "video", "dirac"),
    (0xd2, "video", "avs2"),
    (0xd4, "video", "avs3"),
    (0xea, "video", "vc1"),
];
/// Types that mean something else on Blu-ray discs and in camcorders.
const DISC: &[(u8, &str, &str)] = &[
    (0x80, "audio", "pcm_bluray"),
    (0x84, "audio", "eac3"),
    (0x85, "audio", "dts"),
    (0x86, "audio", "dts"),
    (0x90, "subtitle", "hdmv_pgs_subtitle"),
    (0x92, "subtitle", "hdmv_text_subtitle"),
    (0xa1, "audio", "eac3"),
    (0xa2, "audio", "dts"),
];
/// Descriptors that name what a private stream is.
const BY_DESCRIPTOR: &[(u8, &str, &str)] = &[
    (0x56, "subtitle", "dvb_teletext"),
    (0x59, "subtitle", "dvb_subtitle"),
    (0x6a, "audio", "ac3"),
    (0x7a, "audio", "eac3"),
    (0x7b, "audio", "dts"),
    (0x7c, "audio", "aac"),
];
/// The same by the number of an extension.
const BY_EXTENSION: &[(u8, &str, &str)] = &[(0x0e, "audio", "dts"), (0x15, "audio", "ac4"), (0x80, "audio", "opus")];
const BY_REGISTRATION: &[(&[u8; 4], &str, &str)] = &[
    (b"DTS1", "audio", "dts"),
    (b"DTS2", "audio", "dts"),
    (b"DTS3", "audio", "dts"),
    (b"BSSD", "audio", "s302m"),
    (b"Opus", "audio", "opus"),
    (b"AC-3", "audio", "ac3"),
    (b"EAC3", "audio", "eac3"),
    (b"AC-4", "audio", "ac4"),
    (b"mlpa", "audio", "truehd"),
    (b"HEVC", "video", "hevc"),
    (b"VVC ", "video", "vvc"),
    (b"AV01", "video", "av1"),
    (b"drac", "video", "dirac"),
    (b"VC-1", "video", "vc1"),
];
const PRIVATE: u8 = 0x06;
const DISC_REGISTRATION: &[u8; 4] = b"HDMV";
/// DTS by the number that only discs use, and the one that every demuxer takes for it.
const DTS_OF_DISCS: &[u8] = &[0x82, 0xa2];
pub const DTS: u8 = 0x8a;

/// Kind and codec of a stream; `None`: neither picture nor sound nor subtitles, or nobody knows.
pub fn describe(program: &Program, stream: &Elementary) -> Option<(&'static str, &'static str)> {
    let of_disc = is_of_disc(program);
    if stream.kind == PRIVATE {
        return by(BY_DESCRIPTOR, |tag| stream.tags.contains(tag))
            .or_else(|| by(BY_EXTENSION, |tag| stream.extensions.contains(tag)))
            .or_else(|| by(BY_REGISTRATION, |name| stream.registration.as_ref() == Some(*name)));
    }
    by(DISC, |kind| of_disc && *kind == stream.kind)
        // Without a disc's registration some numbers are splice points or subtitles.
        .or_else(|| by(PLAIN, |kind| *kind == stream.kind).filter(|_| stream.registration != Some(*b"CUEI")))
        .or_else(|| by(BY_REGISTRATION, |name| stream.registration.as_ref() == Some(*name)))
}

fn by<T>(table: &[(T, &'static str, &'static str)], is: impl Fn(&T) -> bool) -> Option<(&'static str, &'static str)> {
    table.iter().find(|(key, _, _)| is(key)).map(|(_, kind, codec)| (*kind, *codec))
}

fn is_of_disc(program: &Program) -> bool {
    program.registration.as_ref() == Some(DISC_REGISTRATION)
}

/// Whether it is DTS under a number that the demuxer does not know.
pub fn is_dts_in_disguise(program: &Program, stream: &Elementary) -> bool {
    DTS_OF_DISCS.contains(&stream.kind) && describe(program, stream) == Some(("audio", "dts"))
}

/// Whether a programme has a film.
pub fn has_film(program: &Program) -> bool {
    program
        .streams
        .iter()
        .any(|stream| describe(program, stream).is_some_and(|(kind, _)| kind == "video"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(kind: u8) -> Elementary {
        Elementary {
            kind,
            ..Elementary::default()
        }
    }

    #[test]
    fn types_mean_what_their_programme_says() {
        let broadcast = Program::default();
        let disc = Program {
            registration: Some(*b"HDMV"),
            ..Program::default()
        };
        assert_eq!(describe(&broadcast, &stream(0x86)), None);
        assert_eq!(describe(&disc, &stream(0x86)), Some(("audio", "dts")));
        assert_eq!(describe(&broadcast, &stream(0x82)), Some(("audio", "dts")));
        let splice = Elementary {
            registration: Some(*b"CUEI"),
            ..stream(0x82)
        };
        assert_eq!(describe(&broadcast, &splice), None);
        let teletext = Elementary {
            tags: vec![0x0a, 0x56],
            ..stream(PRIVATE)
        };
        assert_eq!(describe(&broadcast, &teletext), Some(("subtitle", "dvb_teletext")));
        assert!(is_dts_in_disguise(&disc, &stream(0xa2)) && !is_dts_in_disguise(&disc, &stream(0x85)));
    }
}
