//! Tests of HLS playlists.

use mps_proto::worker::v1::SetTrack;

use super::*;

/// 4 s segments of these sizes, with I-frames of 100 bytes after 20 bytes of head.
pub(crate) fn track(number: i32, kind: &str, codecs: &str, sizes: &[i64]) -> Track {
    let segment = |(index, bytes): (usize, &i64)| Segment {
        key: format!("out/seg/{kind}{number}_{index}-a1.m4s"),
        bytes: *bytes,
        start_ns: index as i64 * 4_000_000_000,
        duration_ns: 4_000_000_000,
        i_frame: (kind == "video").then_some((20, 100)),
        ..Segment::default()
    };
    Track {
        info: SetTrack {
            number,
            kind: kind.into(),
            codecs: codecs.into(),
            timescale: 90_000,
            ..SetTrack::default()
        },
        inits: [(0, format!("out/seg/{kind}{number}_init-a1.mp4"))].into(),
        whole_key: None,
        segments: sizes.iter().enumerate().map(segment).collect(),
        template: Some(format!("out/seg/{kind}{number}_\u{0}-a1.m4s")),
        playlist_key: format!("out/{kind}_{number}.m3u8"),
        i_frame_key: (kind == "video").then(|| format!("out/{kind}_{number}_iframes.m3u8")),
    }
}

pub(crate) fn film(complete: bool) -> Presentation {
    let mut large = track(0, "video", "avc1.640028", &[500_000, 250_000]);
    (large.info.width_px, large.info.height_px) = (1920, 1080);
    (large.info.frame_rate_num, large.info.frame_rate_den) = (30_000, 1001);
    large.info.video_range = "SDR".into();
    let mut sound = track(1, "audio", "mp4a.40.2", &[64_000, 64_000]);
    sound.info.language = "en".into();
    sound.info.display_name = "English \"HQ\"".into();
    (sound.info.channels, sound.info.sample_rate_hz) = (2, 48_000);
    let mut words = track(2, "subtitle", "wvtt", &[1000]);
    words.inits.clear();
    words.whole_key = Some("out/seg/subtitle2_all-a1.vtt".into());
    words.info.language = "de".into();
    words.info.is_default = true;
    Presentation {
        tracks: vec![large, sound, words],
        target_ms: 4000,
        complete,
        start_ms: 1_000_000,
        publish_ms: 1_004_000,
    }
}

#[test]
fn media_playlist_grows_as_event_and_ends_as_vod() {
    let mut growing = film(false);
    let text = media(&growing, &growing.tracks[0]);
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:EVENT\n\
         #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"seg/video0_init-a1.mp4\"\n#EXTINF:4.000000,\nseg/video0_0-a1.m4s\n\
         #EXTINF:4.000000,\nseg/video0_1-a1.m4s\n"
    );
    growing.complete = true;
    let text = media(&growing, &growing.tracks[0]);
    assert!(text.contains("PLAYLIST-TYPE:VOD") && text.ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn longest_segment_and_what_was_asked_for_make_the_target_duration() {
    let mut film = film(true);
    film.tracks[0].segments[1].duration_ns = 5_600_000_000;
    assert!(media(&film, &film.tracks[0]).contains("#EXT-X-TARGETDURATION:6\n"));
    film.target_ms = 10_000;
    assert!(media(&film, &film.tracks[0]).contains("#EXT-X-TARGETDURATION:10\n"));
}

#[test]
fn i_frames_are_byte_ranges_of_the_segments() {
    let film = film(true);
    let text = i_frames(&film, &film.tracks[0]).unwrap();
    assert!(text.contains("#EXT-X-I-FRAMES-ONLY\n"));
    assert!(text.contains("#EXTINF:4.000000,\n#EXT-X-BYTERANGE:100@20\nseg/video0_1-a1.m4s\n"));
    assert_eq!(i_frames(&film, &film.tracks[1]), None);
}

#[test]
fn master_of_a_whole_film_tells_exact_rates_and_groups() {
    let text = master(&film(true), "out/film.m3u8");
    // peaks: 500,000 bytes and 64,000 bytes in 4 s; averages: 375,000 and 64,000
    assert!(
        text.contains(
            "#EXT-X-STREAM-INF:BANDWIDTH=1128000,AVERAGE-BANDWIDTH=878000,CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1920x1080,\
             VIDEO-RANGE=SDR,FRAME-RATE=29.970,AUDIO=\"audio-0\",SUBTITLES=\"subtitles\",CLOSED-CAPTIONS=NONE\nvideo_0.m3u8\n"
        ),
        "{text}"
    );
    assert!(text.contains(
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio-0\",NAME=\"English 'HQ'\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio_1.m3u8\"\n"
    ));
    assert!(text.contains("TYPE=SUBTITLES,GROUP-ID=\"subtitles\",NAME=\"de\",LANGUAGE=\"de\",DEFAULT=YES,AUTOSELECT=YES,FORCED=NO"));
    assert!(
        text.contains("#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=200,CODECS=\"avc1.640028\",RESOLUTION=1920x1080,VIDEO-RANGE=SDR,URI=\"video_0_iframes.m3u8\"\n"),
        "{text}"
    );
}

#[test]
fn master_of_a_growing_film_promises_more_than_it_shows() {
    let text = master(&film(false), "out/film.m3u8");
    assert!(text.contains("BANDWIDTH=1692000,CODECS") && !text.contains("AVERAGE"), "{text}");
}

#[test]
fn sound_of_two_codecs_makes_a_variant_for_each() {
    let mut film = film(true);
    film.tracks[2] = track(2, "audio", "ac-3", &[200_000, 200_000]);
    let text = master(&film, "out/film.m3u8");
    assert!(text.contains("CODECS=\"avc1.640028,mp4a.40.2\"") && text.contains("CODECS=\"avc1.640028,ac-3\""));
    assert_eq!(text.matches("#EXT-X-STREAM-INF").count(), 2);
}

#[test]
fn sound_only_has_a_variant_per_rate_or_one_with_its_languages() {
    let rates = vec![track(0, "audio", "mp4a.40.2", &[64_000]), track(1, "audio", "mp4a.40.2", &[32_000])];
    let mut sound = Presentation {
        tracks: rates,
        target_ms: 4000,
        complete: true,
        ..Presentation::default()
    };
    let text = master(&sound, "out/s.m3u8");
    assert_eq!((text.matches("STREAM-INF").count(), text.matches("EXT-X-MEDIA:").count()), (2, 0));
    sound.tracks[1].info.language = "fr".into();
    let text = master(&sound, "out/s.m3u8");
    assert_eq!((text.matches("STREAM-INF").count(), text.matches("EXT-X-MEDIA:").count()), (1, 2));
    assert!(
        text.contains("BANDWIDTH=128000,") && text.contains("CODECS=\"mp4a.40.2\""),
        "{text}"
    );
}

#[test]
fn transport_streams_need_no_map_and_an_old_version() {
    let mut film = film(true);
    film.tracks[0].inits.clear();
    let text = media(&film, &film.tracks[0]);
    assert!(text.contains("#EXT-X-VERSION:3\n") && !text.contains("EXT-X-MAP"));
}

#[test]
fn what_does_not_go_on_is_told_with_its_initialisation() {
    let mut film = film(true);
    let video = &mut film.tracks[0];
    video.inits.insert(1, "out/seg/video0_init1-a1.mp4".into());
    (video.segments[1].init, video.segments[1].discontinuity) = (1, true);
    let text = media(&film, &film.tracks[0]);
    assert!(
        text.ends_with(
            "#EXT-X-MAP:URI=\"seg/video0_init-a1.mp4\"\n#EXTINF:4.000000,\nseg/video0_0-a1.m4s\n#EXT-X-DISCONTINUITY\n\
             #EXT-X-MAP:URI=\"seg/video0_init1-a1.mp4\"\n#EXTINF:4.000000,\nseg/video0_1-a1.m4s\n#EXT-X-ENDLIST\n"
        ),
        "{text}"
    );
    let pictures = i_frames(&film, &film.tracks[0]).unwrap();
    assert!(pictures.contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"seg/video0_init1-a1.mp4\"\n#EXTINF"));
    film.tracks[0].segments[0].discontinuity = true;
    assert_eq!(
        media(&film, &film.tracks[0]).matches("DISCONTINUITY").count(),
        1,
        "nothing is before the first"
    );
}

#[test]
fn segments_that_need_others_are_not_called_independent() {
    let mut film = film(true);
    film.tracks[0].segments[1].needs_previous = true;
    assert!(!media(&film, &film.tracks[0]).contains("INDEPENDENT"));
    assert!(!master(&film, "out/film.m3u8").contains("INDEPENDENT"));
}

#[test]
fn streams_cut_at_the_inputs_key_frames_wait_for_their_longest_segment() {
    let mut film = film(false);
    assert!(film.is_playable());
    film.tracks[0].info.own_keys = true;
    assert!(!film.is_playable());
    film.complete = true;
    film.tracks[0].segments[1].duration_ns = 9_700_000_000;
    assert!(film.is_playable());
    // all media playlists have one target duration
    assert!(
        film.tracks
            .iter()
            .all(|track| media(&film, track).contains("#EXT-X-TARGETDURATION:10\n"))
    );
}

#[test]
fn captions_in_pictures_are_told_when_they_are_seen() {
    let mut film = film(false);
    let text = master(&film, "out/film.m3u8");
    assert!(!text.contains("CLOSED-CAPTIONS"), "what comes may have some: {text}");
    film.complete = true;
    assert!(master(&film, "out/film.m3u8").contains(",CLOSED-CAPTIONS=NONE\n"));
    film.tracks[0].segments[1].captions_708 = true;
    assert!(master(&film, "out/film.m3u8").contains("INSTREAM-ID=\"SERVICE1\""));
    film.tracks[0].segments[1].captions_608 = true;
    let text = master(&film, "out/film.m3u8");
    assert!(
        text.contains(
            "#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"captions\",NAME=\"CC1\",DEFAULT=NO,AUTOSELECT=YES,INSTREAM-ID=\"CC1\"\n"
        )
    );
    assert!(text.contains(",CLOSED-CAPTIONS=\"captions\"\n") && !text.contains("=NONE"));
}
