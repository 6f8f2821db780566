//! Keys of what a set consists of. Pure.

use mps_proto::{
    v1::SegmentFormat,
    worker::v1::{PlanOutput, PlanSet},
};

use crate::{error::ApiError, playlist};

/// Characters of the set's id that its members carry, beside the attempt: two runs of a task do not share names.
const TAIL: usize = 8;
/// Stands for the number where a pattern is made; no set has so many segments.
const STAND_IN: i32 = i32::MAX;

/// Suffix of a set's segments.
pub fn segment_suffix(plan: &PlanSet) -> &'static str {
    match plan.segment_format() {
        SegmentFormat::Ts => "ts",
        _ => "m4s",
    }
}

/// Key of a member that an attempt makes. `suffix`: that of the track's segments.
pub fn member_key(plan: &PlanSet, track: i32, number: i32, attempt: i32, suffix: &str) -> Result<String, ApiError> {
    let suffix = if number < 0 && suffix != "vtt" { "mp4" } else { suffix };
    let start = plan.set_id.len().saturating_sub(TAIL);
    let token = format!("{}-{attempt}", plan.set_id.get(start..).unwrap_or_default().to_lowercase());
    mps_plan::member_key(plan, track, number, suffix, &token).map_err(ApiError::internal)
}

/// The key of all segments that an attempt makes of a track, with `playlist::NUMBER` for the number.
pub fn member_pattern(plan: &PlanSet, track: i32, attempt: i32, suffix: &str) -> Option<String> {
    let key = member_key(plan, track, STAND_IN, attempt, suffix).ok()?;
    Some(key.replace(&STAND_IN.to_string(), playlist::NUMBER))
}

/// The manifest of a format, such as "m3u8" or "mpd".
pub fn manifest<'a>(plan: &'a PlanSet, format: &str) -> Option<&'a PlanOutput> {
    plan.manifests.iter().find(|manifest| manifest.format == format)
}

/// Whether the HLS manifest is the only media playlist itself.
pub fn is_single(plan: &PlanSet) -> bool {
    plan.sub_stream_path.is_empty()
}

/// Key of a track's media playlist where the HLS manifest is a master.
pub fn media_playlist_key(plan: &PlanSet, track: i32) -> Result<String, ApiError> {
    mps_plan::sub_stream_key(plan, &track.to_string()).map_err(ApiError::internal)
}

/// Key of a track's I-frame playlist.
pub fn i_frame_playlist_key(plan: &PlanSet, track: i32) -> Result<String, ApiError> {
    mps_plan::sub_stream_key(plan, &format!("{track}-iframes")).map_err(ApiError::internal)
}

/// Id of the row that reserves a media playlist's key.
pub fn media_playlist_id(set_id: &str, track: i32) -> String {
    format!("{set_id}.{track}")
}

/// Id of the row that reserves an I-frame playlist's key.
pub fn i_frame_playlist_id(set_id: &str, track: i32) -> String {
    format!("{set_id}.{track}i")
}

/// Whether a row of outputs reserves a playlist of the set beside its manifests.
pub fn is_playlist_id(set_id: &str, output_id: &str) -> bool {
    output_id.strip_prefix(set_id).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> PlanSet {
        PlanSet {
            set_id: "01HXABCDEFGH12345678".into(),
            directory: "out/".into(),
            sub_stream_path: "clip_{subStreamNumber}.m3u8".into(),
            segment_path: "v{subStreamNumber}/clip_{segmentNumber}.m4s".into(),
            ..PlanSet::default()
        }
    }

    #[test]
    fn members_carry_set_and_attempt_before_their_suffix() {
        let key = |track, number, suffix| member_key(&plan(), track, number, 3, suffix).unwrap();
        assert_eq!(key(2, 7, "m4s"), "out/v2/clip_7-12345678-3.m4s");
        assert_eq!(key(2, -1, "m4s"), "out/v2/clip_init-12345678-3.mp4");
        assert_eq!(key(2, -3, "m4s"), "out/v2/clip_init2-12345678-3.mp4");
        assert_eq!(key(4, 0, "vtt"), "out/v4/clip_0-12345678-3.vtt");
        assert_eq!(key(4, -1, "vtt"), "out/v4/clip_all-12345678-3.vtt");
        let pattern = member_pattern(&plan(), 2, 3, "m4s").unwrap();
        assert_eq!(pattern.replace(playlist::NUMBER, "7"), key(2, 7, "m4s"));
    }

    #[test]
    fn playlists_of_tracks_have_names_of_their_own() {
        assert_eq!(media_playlist_key(&plan(), 1).unwrap(), "out/clip_1.m3u8");
        assert_eq!(i_frame_playlist_key(&plan(), 1).unwrap(), "out/clip_1-iframes.m3u8");
        assert!(is_playlist_id("a", &media_playlist_id("a", 1)) && !is_playlist_id("a", "a"));
    }
}
