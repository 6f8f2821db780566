//! Keys of what a set consists of. Pure.

use mps_proto::worker::v1::{PlanOutput, PlanSet};

/// Characters of the set's id that its members carry, beside the attempt: two runs of a task do not share names.
const TAIL: usize = 8;

/// What is at a key of a set, for its suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds<'a> {
    Segment,
    Init,
    /// Segment of a track of this kind, in a format of its own.
    Text(&'a str),
}

/// Key of a member that an attempt makes.
pub fn member_key(plan: &PlanSet, track: i32, number: i32, attempt: i32, is_text: bool) -> String {
    let shown = if number < 0 { "init".to_owned() } else { number.to_string() };
    let path = plan
        .segment_path
        .replace("{subStreamNumber}", &track.to_string())
        .replace("{segmentNumber}", &shown);
    let mark = format!("-{}{attempt}", tail(&plan.set_id));
    let holds = match (is_text, number < 0) {
        (true, _) => Holds::Text("vtt"),
        (false, true) => Holds::Init,
        (false, false) => Holds::Segment,
    };
    format!("{}{}", plan.directory, marked(&path, &mark, holds))
}

fn tail(set_id: &str) -> String {
    let start = set_id.len().saturating_sub(TAIL);
    set_id.get(start..).unwrap_or(set_id).to_lowercase() + "-"
}

/// Puts a mark before the suffix of the path's last segment, and another suffix where the content asks for one.
fn marked(path: &str, mark: &str, holds: Holds) -> String {
    let (folder, name) = match path.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), path),
    };
    let (stem, suffix) = match name.rsplit_once('.') {
        Some((stem, suffix)) if !stem.is_empty() => (stem, Some(suffix)),
        _ => (name, None),
    };
    let suffix = match (holds, suffix) {
        (Holds::Text(suffix), _) => Some(suffix),
        (Holds::Init, Some(_)) => Some("mp4"),
        (_, suffix) => suffix,
    };
    match suffix {
        Some(suffix) => format!("{folder}{stem}{mark}.{suffix}"),
        None => format!("{folder}{stem}{mark}"),
    }
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
pub fn media_playlist_key(plan: &PlanSet, track: i32) -> String {
    format!(
        "{}{}",
        plan.directory,
        plan.sub_stream_path.replace("{subStreamNumber}", &track.to_string())
    )
}

/// Key of a track's I-frame playlist.
pub fn i_frame_playlist_key(plan: &PlanSet, track: i32) -> String {
    let path = plan.sub_stream_path.replace("{subStreamNumber}", &track.to_string());
    format!("{}{}", plan.directory, marked(&path, "_iframes", Holds::Segment))
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
        assert_eq!(member_key(&plan(), 2, 7, 3, false), "out/v2/clip_7-12345678-3.m4s");
        assert_eq!(member_key(&plan(), 2, -1, 3, false), "out/v2/clip_init-12345678-3.mp4");
        assert_eq!(member_key(&plan(), 4, 0, 3, true), "out/v4/clip_0-12345678-3.vtt");
        let bare = PlanSet {
            segment_path: "v.{subStreamNumber}/{segmentNumber}".into(),
            ..plan()
        };
        assert_eq!(member_key(&bare, 2, 7, 3, false), "out/v.2/7-12345678-3");
    }

    #[test]
    fn playlists_of_tracks_have_names_of_their_own() {
        assert_eq!(media_playlist_key(&plan(), 1), "out/clip_1.m3u8");
        assert_eq!(i_frame_playlist_key(&plan(), 1), "out/clip_1_iframes.m3u8");
        assert!(is_playlist_id("a", &media_playlist_id("a", 1)) && !is_playlist_id("a", "a"));
    }
}
