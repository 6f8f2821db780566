//! Tests of DASH manifests.

use super::*;
use crate::playlist::hls::tests::film;

#[test]
fn growing_film_is_dynamic_and_whole_one_static() {
    let text = mpd(&film(false), "out/film.mpd");
    assert!(
        text.contains("type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:16:40Z\""),
        "{text}"
    );
    assert!(text.contains("minimumUpdatePeriod=\"PT4.000S\"") && !text.contains("mediaPresentationDuration"));
    let text = mpd(&film(true), "out/film.mpd");
    assert!(text.contains("type=\"static\" mediaPresentationDuration=\"PT8.000S\""), "{text}");
    assert!(!text.contains("availabilityStartTime"));
}

#[test]
fn pictures_sound_and_words_stand_in_sets_of_their_own() {
    let text = mpd(&film(true), "out/film.mpd");
    assert!(text.contains("isoff-live"));
    assert_eq!(text.matches("<AdaptationSet").count(), 3);
    assert!(text.contains(
        "<Representation id=\"0\" bandwidth=\"1000000\" codecs=\"avc1.640028\" width=\"1920\" height=\"1080\" sar=\"1:1\" frameRate=\"30000/1001\">"
    ));
    assert!(text.contains(
        "<SegmentTemplate timescale=\"90000\" startNumber=\"0\" media=\"seg/video0_$Number$-a1.m4s\" initialization=\"seg/video0_init-a1.mp4\">"
    ));
    assert!(text.contains("<S t=\"0\" d=\"360000\" r=\"1\"/>"));
    assert!(text.contains("audioSamplingRate=\"48000\"") && text.contains("<Label>English &quot;HQ&quot;</Label>"));
    assert!(text.contains("mimeType=\"text/vtt\" lang=\"de\"") && text.contains("<BaseURL>seg/subtitle2_all-a1.vtt</BaseURL>"));
}

#[test]
fn members_of_two_attempts_are_listed_one_by_one() {
    let mut film = film(true);
    film.tracks[0].template = None;
    let text = mpd(&film, "out/film.mpd");
    assert!(text.contains("isoff-main") && text.contains("<Initialization sourceURL=\"seg/video0_init-a1.mp4\"/>"));
    assert!(text.contains("<SegmentURL media=\"seg/video0_1-a1.m4s\"/>"));
    assert!(text.contains("<S t=\"0\" d=\"360000\" r=\"1\"/>"));
}

#[test]
fn timeline_has_no_gaps_from_rounding_and_keeps_real_ones() {
    let mut film = film(true);
    // 1001/30000 s a frame: 120 frames are 4.004 s, cut to whole nanoseconds
    let segments = &mut film.tracks[0].segments;
    segments[0].duration_ns = 4_004_000_000 - 1;
    segments[1].start_ns = 4_004_000_000;
    segments[1].duration_ns = 4_004_000_000;
    assert!(mpd(&film, "out/film.mpd").contains("<S t=\"0\" d=\"360360\" r=\"1\"/>"));
    film.tracks[0].segments[1].start_ns = 5_000_000_000;
    assert!(mpd(&film, "out/film.mpd").contains("<S t=\"450000\" d=\"360360\"/>"));
}

#[test]
fn wide_colours_are_told() {
    let mut film = film(true);
    film.tracks[0].info.video_range = "PQ".into();
    assert!(mpd(&film, "out/film.mpd").contains("cicp:TransferCharacteristics\" value=\"16\""));
}
