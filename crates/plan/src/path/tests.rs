//! Paths and patterns.

use super::*;

const VALUES: Values = Values {
    input_name: "cl{ip}",
    input_dir: "in/ünï コード",
    input_format: "mov",
    definition: "preset-x",
    task_id: "t1",
    node_key: "transcode-1",
};

fn made(path: &str, left: &[&str], index: i32, numbers: &NumberFormat) -> Result<String, String> {
    let pattern = placed(&pattern(path, "mp4", &VALUES, left)?, "out/");
    finished(&pattern, |variable| (variable == NUMBER).then(|| number_text(numbers, index)))
}

fn key(path: &str) -> Result<String, String> {
    made(path, &[NUMBER], 0, &NumberFormat::default())
}

#[test]
fn variables_are_replaced_once_and_paths_are_relative_unless_they_begin_with_a_slash() {
    for (path, wanted) in [
        ("{inputName}_transcode_{definition}.{format}", "out/cl{ip}_transcode_preset-x.mp4"),
        ("/abs/{taskId}/{nodeKey}.{inputFormat}", "abs/t1/transcode-1.mov"),
        ("a-{number}", "out/a-0"),
        ("plain.mp4", "out/plain.mp4"),
        ("/{inputDir}/x y.{format}", "in/ünï コード/x y.mp4"),
        ("日本/{number}{inputName}", "out/日本/0cl{ip}"),
    ] {
        assert_eq!(key(path).as_deref(), Ok(wanted), "{path}");
    }
}

#[test]
fn an_input_at_the_root_leaves_no_empty_segment() {
    let values = Values { input_dir: "", ..VALUES };
    for (path, wanted) in [("{inputDir}/x", "x"), ("/a/{inputDir}/x", "/a/x"), ("{inputDir}x", "x")] {
        assert_eq!(pattern(path, "mp4", &values, &[]).as_deref(), Ok(wanted), "{path}");
    }
}

#[test]
fn broken_paths_are_refused() {
    for path in [
        "{unknown}",
        "{}",
        "{inputName",
        "a}b",
        "{{inputName}}",
        "../{inputName}",
        "//x",
        "/",
        "dir/",
        "a//b",
        "{InputName}",
        "{segmentNumber}",
    ] {
        assert!(key(path).is_err(), "{path}");
    }
    assert!(
        made("{number}", &[], 0, &NumberFormat::default()).is_err(),
        "there is no number here"
    );
}

#[test]
fn braces_of_names_never_become_variables() {
    let values = Values {
        input_name: "{number}{",
        input_dir: "}{a}",
        ..VALUES
    };
    let left = pattern("{inputDir}/{inputName}{number}{inputDir}", "mp4", &values, &[NUMBER]);
    assert!(has_variable(left.as_deref().unwrap_or_default(), NUMBER));
    let filled = left.and_then(|left| finished(&placed(&left, "o{u}t/"), |_| Some("7".into())));
    assert_eq!(filled.as_deref(), Ok("o{u}t/}{a}/{number}{7}{a}"));
    let without = pattern("{inputName}", "mp4", &values, &[NUMBER]).unwrap_or_default();
    assert!(!has_variable(&without, NUMBER));
}

#[test]
fn numbers_are_written_as_asked() {
    let format = |initial: i32, increment: i32, length: i32, pad: &str| NumberFormat {
        initial_value: Some(initial),
        increment: Some(increment),
        min_length: Some(length),
        place_holder: pad.to_owned(),
    };
    for (numbers, index, text) in [
        (NumberFormat::default(), 12, "12"),
        (format(1, 1, 3, ""), 0, "001"),
        (format(5, 10, 1, "0"), 3, "35"),
        (format(0, 1, 4, "x"), 42, "xx42"),
        (format(1_000_000, 1000, 1, "0"), 10_000, "11000000"),
    ] {
        assert_eq!(number_text(&numbers, index), text, "{numbers:?}");
    }
}
