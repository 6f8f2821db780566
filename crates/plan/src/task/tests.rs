//! Whole requests: every violation at once, names of nodes and outputs, the unit that comes out.

use mps_proto::{
    v1::{
        SnapshotNode, SnapshotSettings, StorageObject, TaskInput, TaskOutput, TranscodeNode, TranscodeSettings, VideoSettings,
        node::Operation, snapshot_node, task_input::Source, transcode_node,
    },
    worker::v1::{DamagePolicy, InputLimits},
};

use super::*;

mod offline;

fn context() -> PlanContext {
    PlanContext {
        project: "p".into(),
        task_id: "t1".into(),
        limits: InputLimits {
            max_streams: 7,
            ..Default::default()
        },
        damage_policy: DamagePolicy::Fail,
        templates: Vec::new(),
    }
}

fn operation(operation: Operation) -> Node {
    Node {
        key: String::new(),
        operation: Some(operation),
    }
}

fn transcode_to(template: &str, output_path: &str) -> Node {
    operation(Operation::Transcode(TranscodeNode {
        source: Some(transcode_node::Source::Template(template.into())),
        output_path: output_path.into(),
        ..Default::default()
    }))
}

fn transcode(template: &str) -> Node {
    transcode_to(template, "")
}

fn snapshots(offsets: &[&str], output_path: &str) -> Node {
    operation(Operation::Snapshot(SnapshotNode {
        source: Some(snapshot_node::Source::Inline(SnapshotSettings::default())),
        offsets: offsets.iter().map(ToString::to_string).collect(),
        output_path: output_path.into(),
        ..Default::default()
    }))
}

fn object(storage: &str, key: &str) -> Option<TaskInput> {
    Some(TaskInput {
        source: Some(Source::Object(StorageObject {
            storage: storage.into(),
            key: key.into(),
        })),
    })
}

fn request(nodes: Vec<Node>) -> ProcessMediaRequest {
    ProcessMediaRequest {
        input: object("local", "in/clip.mov"),
        nodes,
        ..Default::default()
    }
}

fn fields(request: &ProcessMediaRequest) -> Vec<String> {
    match plan_task(request, &context()) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.into_iter().map(|violation| violation.field).collect(),
    }
}

fn good(request: &ProcessMediaRequest) -> TaskPlan {
    plan_task(request, &context()).expect("the request is right")
}

fn keys(plan: &TaskPlan) -> Vec<&str> {
    plan.units[0].outputs.iter().map(|output| output.key.as_str()).collect()
}

#[test]
fn the_demo_task_becomes_one_unit() {
    let plan = good(&request(vec![
        transcode("preset-h264-720p"),
        transcode("preset-h264-360p"),
        snapshots(&["0.5s", "50%", "-1s"], ""),
    ]));
    assert_eq!(
        keys(&plan),
        [
            "in/clip_transcode_preset-h264-720p.mp4",
            "in/clip_transcode_preset-h264-360p.mp4",
            "in/clip_snapshotByTimeOffset_inline_0.jpg",
            "in/clip_snapshotByTimeOffset_inline_1.jpg",
            "in/clip_snapshotByTimeOffset_inline_2.jpg",
        ]
    );
    assert_eq!((plan.output_storage_id.as_str(), plan.output_directory.as_str()), ("local", "in/"));
    let node_keys: Vec<&str> = plan.nodes.iter().map(|node| node.key.as_str()).collect();
    assert_eq!(node_keys, ["transcode-1", "transcode-2", "snapshot-1"]);

    let media = &plan.units[0].media;
    assert_eq!(plan.units.len(), 1);
    assert_eq!(
        (media.plan_version, media.damage_policy()),
        (mps_proto::PLAN_VERSION, DamagePolicy::Fail)
    );
    assert_eq!(media.limits.as_ref().map(|limits| limits.max_streams), Some(7));
    assert_eq!(crate::requirements(media), ["encode.aac", "encode.h264", "encode.jpeg", "mux.mp4"]);
    assert!((1.2..1.5).contains(&crate::cost(media)), "{}", crate::cost(media));
    let planned: Vec<&str> = media
        .nodes
        .iter()
        .flat_map(|node| &node.outputs)
        .map(|output| output.output_id.as_str())
        .collect();
    let ids: Vec<&str> = plan.units[0].outputs.iter().map(|output| output.id.as_str()).collect();
    assert_eq!(planned, ids, "rows and plan name outputs alike, in one order");
    assert_eq!(media.nodes[2].offsets, ["0.5s", "50%", "-1s"]);
    assert_eq!(media.nodes[2].outputs[1].content_type, "image/jpeg");

    let status = &plan.statuses[0];
    assert_eq!(
        (status.key.as_str(), status.kind.as_str(), status.state()),
        ("transcode-1", "transcode", NodeState::Waiting)
    );
    assert_eq!((status.template.as_str(), status.template_revision), ("preset-h264-720p", 1));
    assert_eq!(status.effective_settings, media.nodes[0].settings);
    assert_eq!((plan.statuses[2].template.as_str(), plan.statuses[2].template_revision), ("", 0));
}

#[test]
fn all_violations_come_at_once() {
    let mut bad = request(vec![
        transcode("preset-nothing"),
        snapshots(&["5 apples", "10%"], ""),
        Node::default(),
    ]);
    bad.input = object("projects/other/storages/x", "in/../clip.mp4");
    bad.output = Some(TaskOutput {
        storage: "a/b".into(),
        directory: "../".into(),
    });
    bad.priority = 11;
    bad.session_id = "s".repeat(51);
    bad.session_context = "ü".repeat(1001);
    bad.request_id = "r".repeat(65);
    bad.on_conflict = 9;
    bad.labels.insert("Team".into(), "v".repeat(256));
    bad.nodes[0].key = "Bad Key".into();
    assert_eq!(
        fields(&bad),
        [
            "priority",
            "session_id",
            "session_context",
            "request_id",
            "on_conflict",
            "labels[\"Team\"]",
            "labels[\"Team\"]",
            "input.object.key",
            "input.object.storage",
            "output.storage",
            "output.directory",
            "nodes[0].key",
            "nodes[0].transcode.template",
            "nodes[1].snapshot.offsets[0]",
            "nodes[1].snapshot.output_path",
            "nodes[2]",
        ]
    );
}

#[test]
fn text_with_a_nul_character_is_refused() {
    let mut bad = request(vec![transcode("preset-remux")]);
    bad.session_id = "a\0".into();
    bad.labels.insert("team".into(), "\0".into());
    assert_eq!(fields(&bad), ["session_id", "labels[\"team\"]"]);
}

#[test]
fn limits_are_inclusive() {
    let mut edge = request(vec![transcode("preset-remux")]);
    edge.priority = -10;
    edge.session_id = "ü".repeat(50);
    edge.session_context = "ü".repeat(1000);
    edge.request_id = "r".repeat(64);
    for number in 0..64 {
        edge.labels.insert(format!("l{number}_-"), "v".repeat(255));
    }
    assert_eq!(fields(&edge), Vec::<String>::new());
    edge.labels.insert("one-more".into(), String::new());
    assert_eq!(fields(&edge), ["labels"]);

    assert_eq!(fields(&request(Vec::new())), ["nodes"]);
    let many = |count| (0..count).map(|_| transcode_to("preset-remux", "{nodeKey}.mp4")).collect();
    assert_eq!(good(&request(many(50))).nodes.len(), 50);
    assert_eq!(fields(&request(many(51))), ["nodes"]);
}

#[test]
fn inputs_need_exactly_one_right_source() {
    for (input, expected) in [
        (None, vec!["input"]),
        (Some(TaskInput { source: None }), vec!["input"]),
        (object("", "a"), vec!["input.object.storage"]),
        (object("s", ""), vec!["input.object.key"]),
        (object("projects/q/storages/s", "a"), vec!["input.object.storage"]),
        (object("projects/p/templates/s", "a"), vec!["input.object.storage"]),
        (object("projects/p/storages/s", "a"), vec![]),
        (object("projects/-/storages/s", "a"), vec![]),
    ] {
        let mut asked = request(vec![transcode("preset-remux")]);
        asked.input = input;
        assert_eq!(fields(&asked), expected, "{asked:?}");
    }
}

#[test]
fn url_inputs_need_an_output_storage() {
    let mut asked = request(vec![transcode("preset-remux")]);
    asked.input = Some(TaskInput {
        source: Some(Source::Url("https://host/a/My%20clip.mkv?sig=1".into())),
    });
    assert_eq!(fields(&asked), ["output.storage"]);
    asked.output = Some(TaskOutput {
        storage: "projects/p/storages/out".into(),
        directory: String::new(),
    });
    let plan = good(&asked);
    assert_eq!(keys(&plan), ["My clip_transcode_preset-remux.mp4"]);
    assert_eq!(plan.output_storage_id, "out");

    asked.input = Some(TaskInput {
        source: Some(Source::Url("file:///etc/passwd".into())),
    });
    asked.output = None;
    assert_eq!(fields(&asked), ["input.url", "output.storage"]);
}

#[test]
fn outputs_go_where_the_request_says() {
    let mut asked = request(vec![
        transcode_to("preset-remux", "/abs/{inputName}.{inputFormat}.{format}"),
        transcode_to("preset-m4a-96k", "{taskId}/{nodeKey}-{definition}-{number}"),
        snapshots(&["1s", "2s"], "p{number}.{format}"),
    ]);
    asked.output = Some(TaskOutput {
        storage: "other".into(),
        directory: "/out/a".into(),
    });
    let plan = good(&asked);
    assert_eq!(
        keys(&plan),
        [
            "abs/clip.mov.mp4",
            "out/a/t1/transcode-2-preset-m4a-96k-0",
            "out/a/p0.jpg",
            "out/a/p1.jpg"
        ]
    );
    assert_eq!(
        (plan.output_storage_id.as_str(), plan.output_directory.as_str()),
        ("other", "out/a/")
    );
}

#[test]
fn paths_that_break_or_clash_are_refused() {
    let remux = |path: &str| transcode_to("preset-remux", path);
    for (nodes, expected) in [
        (
            vec![transcode("preset-remux"), transcode("preset-remux")],
            vec!["nodes[1].transcode.output_path"],
        ),
        (vec![remux("x"), remux("y"), remux("/in/x")], vec!["nodes[2].transcode.output_path"]),
        (vec![remux("/in/clip.mov")], vec!["nodes[0].transcode.output_path"]),
        (vec![remux("{inputName}.{inputFormat}")], vec!["nodes[0].transcode.output_path"]),
        (vec![remux("{what}")], vec!["nodes[0].transcode.output_path"]),
        (vec![remux("../../x")], vec!["nodes[0].transcode.output_path"]),
        (vec![snapshots(&["1s", "2s"], "one.jpg")], vec!["nodes[0].snapshot.output_path"]),
        (vec![remux(&"k".repeat(1025))], vec!["nodes[0].transcode.output_path"]),
        (
            vec![snapshots(&["1s", "2s"], "s{number}.jpg"), snapshots(&["3s", "4s"], "s{number}.jpg")],
            vec!["nodes[1].snapshot.output_path"],
        ),
    ] {
        assert_eq!(fields(&request(nodes.clone())), expected, "{nodes:?}");
    }
    let mut elsewhere = request(vec![remux("/in/clip.mov")]);
    elsewhere.output = Some(TaskOutput {
        storage: "other".into(),
        directory: String::new(),
    });
    assert!(fields(&elsewhere).is_empty(), "another storage's key is another object");
}

#[test]
fn node_keys_are_checked_and_default_numbers_pass_over_those_in_use() {
    let keyed = |key: &str, path: &str| Node {
        key: key.into(),
        ..transcode_to("preset-remux", path)
    };
    let plan = good(&request(vec![
        keyed("transcode-2", "a"),
        keyed("", "b"),
        keyed("", "c"),
        keyed("", "d"),
    ]));
    let names: Vec<&str> = plan.nodes.iter().map(|node| node.key.as_str()).collect();
    assert_eq!(names, ["transcode-2", "transcode-3", "transcode-4", "transcode-5"]);

    assert_eq!(fields(&request(vec![keyed("same", "a"), keyed("same", "b")])), ["nodes[1].key"]);
    for bad in ["A", "1a", "-a", "a_b", "a b", "ä", &"a".repeat(64)] {
        assert_eq!(fields(&request(vec![keyed(bad, "a")])), ["nodes[0].key"], "{bad}");
    }
    assert!(fields(&request(vec![keyed(&"a".repeat(63), "a")])).is_empty());
}

#[test]
fn clips_reach_the_plan() {
    let second = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let mut node = TranscodeNode {
        source: Some(transcode_node::Source::Inline(TranscodeSettings {
            video: Some(VideoSettings::default()),
            ..Default::default()
        })),
        start_offset: second(1),
        end_offset: second(-1),
        ..Default::default()
    };
    let plan = good(&request(vec![operation(Operation::Transcode(node.clone()))]));
    let planned = &plan.units[0].media.nodes[0];
    assert_eq!((planned.start_offset, planned.end_offset), (second(1), second(-1)));
    assert_eq!(keys(&plan), ["in/clip_transcode_inline.mp4"]);

    node.end_offset = second(1);
    assert_eq!(
        fields(&request(vec![operation(Operation::Transcode(node))])),
        ["nodes[0].transcode.end_offset"]
    );
}

#[test]
fn a_probe_needs_nothing_and_costs_little() {
    let plan = crate::plan_probe(InputLimits::default());
    assert!(plan.nodes.is_empty() && crate::requirements(&plan).is_empty());
    assert!(crate::cost(&plan) > 0.0 && crate::cost(&plan) < 0.1);
    let kinds = crate::node_kinds();
    assert_eq!(kinds.len(), 7);
    assert!(kinds.is_sorted());
}
