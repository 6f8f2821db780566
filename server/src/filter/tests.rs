//! The filter language: what it accepts, and that the predicate and the SQL say the same.

use std::collections::HashMap;

use mps_proto::v1;

use super::*;
use crate::store::{Store, tasks, testing};

fn row(id: &str, state: TaskState, create_ms: i64, input: &str, labels: &[(&str, &str)]) -> TaskRow {
    let labels: HashMap<String, String> = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    TaskRow {
        id: id.into(),
        project: "default".into(),
        state,
        open_units: 0,
        revision: 0,
        create_ms,
        start_ms: None,
        end_ms: None,
        input: input.into(),
        task: v1::Task {
            session_id: format!("session-{id}"),
            labels: labels.into_iter().collect(),
            ..Default::default()
        },
        spec: v1::ProcessMediaRequest::default(),
        traceparent: String::new(),
    }
}

fn rows() -> Vec<TaskRow> {
    use TaskState as S;
    vec![
        row(
            "a",
            S::Waiting,
            1_000,
            "local:in.mp4",
            &[("team", "news"), ("a-b_c", "say \"hi\" \\ 'ho'")],
        ),
        row("B", S::Failed, 2_000, "local:a b.mp4", &[("team", "sport")]),
        row("c", S::Succeeded, 3_000, "https://example.com/x?y=1", &[]),
        row("d", S::Cancelled, 3_001, "local:ä.mp4", &[("team", "")]),
    ]
}

/// Filters and the tasks of `rows` that match.
const CASES: &[(&str, &str)] = &[
    ("", "a B c d"),
    ("  ", "a B c d"),
    ("id = a", "a"),
    ("id=\"B\"", "B"),
    ("id != 'a'", "B c d"),
    ("id < a", "B"),
    ("id >= a AND id <= c", "a c"),
    ("session_id = session-c", "c"),
    ("state = TASK_STATE_FAILED", "B"),
    ("state != TASK_STATE_FAILED AND state != \"TASK_STATE_WAITING\"", "c d"),
    ("create_time >= 1970-01-01T00:00:02Z", "B c d"),
    ("create_time > \"1970-01-01T01:00:02+01:00\"", "c d"),
    ("create_time < 1970-01-01T00:00:03.000500Z", "a B c"),
    ("create_time >= 1970-01-01T00:00:03.000500Z", "d"),
    ("create_time = 1970-01-01T00:00:03.000500Z", ""),
    ("create_time != 1970-01-01T00:00:03.000500Z", "a B c d"),
    ("input = local:in.mp4", "a"),
    ("input = \"local:a b.mp4\"", "B"),
    ("input = \"https://example.com/x?y=1\"", "c"),
    ("input = 'local:ä.mp4'", "d"),
    ("labels.team = \"news\"", "a"),
    ("labels.team != news", "B c d"),
    ("labels.team = ''", "d"),
    ("labels:team", "a B d"),
    ("labels.team:*", "a B d"),
    ("labels.team:sport", "B"),
    ("labels.team:\"*\"", ""),
    ("labels.a-b_c = \"say \\\"hi\\\" \\\\ 'ho'\"", "a"),
    ("labels:team AND state = TASK_STATE_CANCELLED AND id = d", "d"),
];

#[test]
fn the_predicate_picks_the_tasks_that_are_meant() {
    for (text, expected) in CASES {
        let filter = Filter::parse(text).unwrap();
        let picked: Vec<String> = rows().into_iter().filter(|row| filter.matches(row)).map(|row| row.id).collect();
        assert_eq!(picked.join(" "), *expected, "{text}");
    }
}

#[tokio::test]
async fn sql_picks_the_same_tasks_as_the_predicate() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}/mps.db", folder.path().display());
    let url = testing::own_postgres_schema().await.unwrap_or(sqlite);
    let store = Store::connect(&url, 2).await.unwrap();
    store.migrate().await.unwrap();
    let txn = store.begin().await.unwrap();
    for mut row in rows() {
        tasks::insert(&store, &txn, &mut row).await.unwrap();
    }
    txn.commit().await.unwrap();
    for (text, expected) in CASES {
        let mut values: Vec<Value> = vec!["default".into()];
        let condition = Filter::parse(text).unwrap().sql(store.is_postgres(), &mut values);
        let condition = format!("project_id = $1 AND ({condition}) ORDER BY create_ms");
        let found = tasks::select(&store, &condition, values).await.unwrap();
        let picked: Vec<String> = found.into_iter().map(|row| row.id).collect();
        assert_eq!(picked.join(" "), *expected, "{text}");
    }
}

#[test]
fn faults_say_where_and_what_is_allowed() {
    let cases = [
        ("color = red", "at character 1: write a comparison of id"),
        ("(id = a)", "at character 1: write a comparison of id"),
        ("id = a OR id = b", "at character 8: write AND"),
        ("id = a id = b", "at character 8: write AND"),
        ("id = a AND", "at character 11: write a comparison"),
        ("id", "at character 3: write one of = !="),
        ("id : a", "at character 4: write one of = !="),
        ("id =", "at character 5: write a value"),
        ("input = 'ä' AND x = 1", "at character 17: write a comparison"),
        ("id = \"a", "at character 6: this string has no closing quote"),
        ("id = \"a\\n\"", "at character 8: a backslash"),
        ("id = \"a\0\"", "at character 6: a value must not hold"),
        ("state = FAILED", "TASK_STATE_WAITING, TASK_STATE_PROCESSING"),
        ("state = TASK_STATE_UNSPECIFIED", "at character 9: write one of"),
        ("state > TASK_STATE_FAILED", "at character 7: state is compared by = or !="),
        ("create_time > yesterday", "at character 15: write an RFC 3339 time"),
        ("create_time > 2026-01-31", "at character 15: write an RFC 3339 time"),
        ("create_time > 2026-01-31T08:00:00", "at character 15: write an RFC 3339 time"),
        ("labels = x", "write labels:KEY"),
        ("labels.a\"b = x", "at character 9: a label is compared by"),
        ("labels.Team = x", "at character 8: a label's key matches"),
        ("labels:\"a\\\"b\"", "at character 8: a label's key matches"),
        ("labels.team < x", "at character 13: a label is compared by = or !="),
    ];
    for (text, expected) in cases {
        let error = Filter::parse(text).unwrap_err();
        let [violation] = error.violations.as_slice() else {
            panic!("{text}")
        };
        assert_eq!(violation.field, "filter");
        assert!(violation.description.contains(expected), "{text}: {}", violation.description);
    }
}

#[test]
fn filters_are_bounded() {
    assert!(Filter::parse(&format!("id = {}", "x".repeat(5000))).is_err());
    assert!(Filter::parse(&vec!["id = x"; 32].join(" AND ")).is_ok());
    assert!(Filter::parse(&vec!["id = x"; 33].join(" AND ")).is_err());
}
