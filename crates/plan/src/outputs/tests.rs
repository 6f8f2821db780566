//! Keys of files, series and sets.

use mps_proto::{
    v1::NumberFormat,
    worker::v1::{PlanSeries, PlanSet},
};

use super::{member_key, series_key, sub_stream_key};

#[test]
fn a_file_names_another_relative_to_its_own_folder() {
    for (key, other, named) in [
        ("a/b.vtt", "a/s_{number}.jpg", "s_{number}.jpg"),
        ("b.vtt", "sheets/{number}.jpg", "sheets/{number}.jpg"),
        ("a/text/b.vtt", "a/sheets/{number}.jpg", "../sheets/{number}.jpg"),
        ("a/b/c.vtt", "d.jpg", "../../d.jpg"),
    ] {
        assert_eq!(super::below_folder_of(key, other), named);
    }
}

#[test]
fn keys_of_a_series_count_as_asked() {
    let series = PlanSeries {
        key: "o/cl{{ip}}_{number}.jpg".into(),
        number_format: Some(NumberFormat {
            initial_value: Some(1),
            increment: Some(2),
            min_length: Some(3),
            place_holder: "0".into(),
        }),
        ..Default::default()
    };
    assert_eq!(series_key(&series, 0).as_deref(), Ok("o/cl{ip}_001.jpg"));
    assert_eq!(series_key(&series, 100).as_deref(), Ok("o/cl{ip}_201.jpg"));
}

#[test]
fn members_carry_their_attempt_and_keep_inside_the_folder() {
    let set = |segment_path: &str| PlanSet {
        directory: "o/h/".into(),
        sub_stream_path: "v_{subStreamNumber}.m3u8".into(),
        segment_path: segment_path.into(),
        ..Default::default()
    };
    for (path, index, wanted) in [
        ("s_{subStreamNumber}_{segmentNumber}.m4s", 7, "o/h/s_1_7-tok.m4s"),
        ("s_{subStreamNumber}_{segmentNumber}.m4s", -1, "o/h/s_1_init-tok.m4s"),
        ("{subStreamNumber}/{segmentNumber}", 0, "o/h/1/0-tok.m4s"),
        ("my.clip_{subStreamNumber}_{segmentNumber}", 0, "o/h/my.clip_1_0-tok.m4s"),
    ] {
        assert_eq!(member_key(&set(path), 1, index, "m4s", "tok").as_deref(), Ok(wanted), "{path}");
    }
    assert_eq!(sub_stream_key(&set(""), "0-iframes").as_deref(), Ok("o/h/v_0-iframes.m3u8"));
    assert!(sub_stream_key(&set(""), "/../../x").is_err());
}
