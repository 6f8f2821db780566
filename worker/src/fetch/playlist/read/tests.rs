//! Playlists, good and bad.

use mps_proto::rpc;
use prost::Message;

use super::*;
use crate::fetch::playlist::document::{Key, Media, Part};

fn media(text: &str) -> Media {
    match read(text.as_bytes()) {
        Ok(Document::Media(media)) => media,
        other => panic!("{other:?}"),
    }
}

/// Reason and message of a refusal.
fn refused(text: &str) -> (String, String) {
    let status = read(text.as_bytes()).expect_err(text).status.unwrap();
    let info = rpc::ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
    assert!(!info.metadata["hint"].is_empty());
    (info.reason, status.message)
}

#[test]
fn segments_have_their_spans_keys_sections_and_runs() {
    let text = "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:7\r\n#EXT-X-TARGETDURATION:4\r\n#EXT-X-MEDIA-SEQUENCE:5\r\n\
        #EXT-X-MAP:URI=\"all.mp4\",BYTERANGE=\"700@0\"\r\n\
        #EXTINF:4.004,title, with comma\r\n#EXT-X-BYTERANGE:1000@700\r\nall.mp4\r\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"k?a=1\"\r\n#EXTINF:2.002,\r\n#EXT-X-BYTERANGE:500\r\nall.mp4\r\n\
        #EXT-X-DISCONTINUITY\r\n#EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0x0F,KEYFORMAT=\"identity\"\r\n#EXTINF:3,\r\nb.ts\r\n\
        #EXT-X-KEY:METHOD=NONE\r\n# a comment\r\n\r\n#EXT-X-VENDOR:x\r\n#EXTINF:1.5\r\nc%20d.ts\r\n#EXT-X-ENDLIST";
    let media = media(text);
    assert!((media.seconds() - 10.506).abs() < 1e-9);
    assert_eq!(media.runs(), 2);
    let spans: Vec<_> = media.segments.iter().map(|segment| segment.piece.span).collect();
    let span = |start, length| Some(Part { start, length });
    assert_eq!(spans, [span(700, 1000), span(1700, 500), None, None]);
    let keys: Vec<_> = media.segments.iter().map(|segment| segment.piece.key.clone()).collect();
    let key = |uri: &str, last: u8| {
        let mut iv = [0; 16];
        iv[15] = last;
        Some(Key { uri: uri.into(), iv })
    };
    assert_eq!(keys, [None, key("k?a=1", 6), key("k2", 15), None]);
    let init = media.segments[3].init.as_deref().unwrap();
    assert_eq!((init.uri.as_str(), init.span, &init.key), ("all.mp4", span(0, 700), &None));
}

#[test]
fn masters_have_variants_and_sounds() {
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"\",LANGUAGE=\"de\",DEFAULT=YES,URI=\"de.m3u8\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\"\n#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"x\",URI=\"s.m3u8\"\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900,AVERAGE-BANDWIDTH=800,RESOLUTION=640x360,CODECS=\"avc1.64001e,mp4a.40.2\",AUDIO=\"a\"\nlow.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=100\nsound.m3u8\n";
    let Ok(Document::Master(master)) = read(text.as_bytes()) else {
        panic!("no master")
    };
    assert_eq!(master.variants.len(), 2);
    assert_eq!((master.variants[0].pixels, master.variants[0].bandwidth), (230_400, 800));
    assert_eq!(master.variants[0].sound_group.as_deref(), Some("a"));
    let sounds: Vec<_> = master.sounds.iter().map(|sound| (sound.uri.as_deref(), sound.is_default)).collect();
    assert_eq!(sounds, [(Some("de.m3u8"), true), (None, false)]);
}

#[test]
fn what_is_not_taken_is_refused_by_name() {
    let listed = |tags: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{tags}\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n");
    for (text, reason, word) in [
        ("<html>".to_owned(), "INPUT_NOT_MEDIA", "#EXTM3U"),
        ("#EXTM3U\n".to_owned(), "INPUT_NOT_MEDIA", "no segments"),
        ("#EXTM3U\n#EXTINF:4,A - B\na.mp3\n".to_owned(), "INPUT_NOT_MEDIA", "list of files"),
        ("#EXTM3U\na.mp3\n".to_owned(), "INPUT_NOT_MEDIA", "list of files"),
        (
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n".to_owned(),
            "PLAYLIST_UNSUPPORTED",
            "live",
        ),
        (listed("#EXT-X-I-FRAMES-ONLY"), "PLAYLIST_UNSUPPORTED", "key frames"),
        (listed("#EXT-X-GAP"), "PLAYLIST_UNSUPPORTED", "missing"),
        (listed("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\""), "PLAYLIST_UNSUPPORTED", "variables"),
        (
            listed("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\""),
            "PLAYLIST_UNSUPPORTED",
            "SAMPLE-AES",
        ),
        (listed("#EXT-X-KEY:METHOD=ROT13,URI=\"k\""), "PLAYLIST_UNSUPPORTED", "ROT13"),
        (
            listed("#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"k\",KEYFORMAT=\"urn:uuid:edef8ba9\""),
            "PLAYLIST_UNSUPPORTED",
            "edef8ba9",
        ),
        (listed("#EXT-X-KEY:METHOD=AES-128"), "INPUT_NOT_MEDIA", "no key"),
        (listed("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xzz"), "INPUT_NOT_MEDIA", "line 3"),
        (listed("#EXT-X-BYTERANGE:100"), "INPUT_NOT_MEDIA", "BYTERANGE"),
        (listed("#EXT-X-BYTERANGE:18446744073709551615@9"), "INPUT_NOT_MEDIA", "BYTERANGE"),
        (listed("#EXT-X-MAP:URI=\"i\",BYTERANGE=\"9\""), "INPUT_NOT_MEDIA", "line 3"),
        (listed("#EXTINF:-1,"), "INPUT_NOT_MEDIA", "line 3"),
        (listed("#EXT-X-STREAM-INF:RESOLUTION=1x1"), "INPUT_NOT_MEDIA", "line 3"),
    ] {
        let (found, message) = refused(&text);
        assert!(found == reason && message.contains(word), "{text}: {found} {message}");
    }
    assert!(read(b"#EXTM3U\n\xff").is_err());
    let many = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}#EXT-X-ENDLIST\n",
        "#EXTINF:1,\na\n".repeat(MOST_SEGMENTS + 1)
    );
    assert_eq!(refused(&many).0, "LIMIT_EXCEEDED");
}

#[test]
fn playlists_that_were_cut_are_refused() {
    for text in [
        "#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1,\na\n#EXTINF:1,\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9\na\n#EXT-X-STREAM-INF:BANDWIDTH=9\n",
    ] {
        let (reason, message) = refused(text);
        assert!(reason == "INPUT_NOT_MEDIA" && message.contains("was cut"), "{reason} {message}");
    }
}

#[test]
fn addresses_are_bounded_with_what_stands_with_each_segment() {
    let long = "k".repeat(MOST_LINE_BYTES);
    let of = |key: &str, segments: usize| {
        let key = format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{key}\"\n");
        format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n{key}{}#EXT-X-ENDLIST\n",
            "#EXTINF:1,\na\n".repeat(segments)
        )
    };
    assert_eq!(refused(&of(&long, 1)).0, "LIMIT_EXCEEDED");
    assert_eq!(refused(&of(&long[..15_000], 10_000)).0, "LIMIT_EXCEEDED");
    assert!(read(of(&long[..15_000], 100).as_bytes()).is_ok());
}
