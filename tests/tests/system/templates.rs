//! Templates of one's own, over the whole system: made, used with overrides, changed, deleted; and presets by number.

use std::time::Duration;

use mps_proto::v1::{
    CreateTemplateRequest, DeleteTemplateRequest, GetTaskRequest, Node, NodeSettings, NodeState, ProcessMediaRequest, RestartTaskRequest,
    Task, TaskState, Template, TranscodeNode, TranscodeSettings, UpdateTemplateRequest, VideoCodec, VideoSettings, node::Operation,
    node_settings::Settings, transcode_node::Source,
};
use mps_tests::{
    Stack, StackOptions,
    database::DatabaseKind,
    media,
    stack::{request, submit, transcode},
};

const DEADLINE: Duration = Duration::from_secs(120);

fn settings(height: i32) -> TranscodeSettings {
    TranscodeSettings {
        video: Some(VideoSettings {
            codec: Some(VideoCodec::H264.into()),
            height_px: Some(height),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn template(height: i32) -> Template {
    Template {
        name: "own".into(),
        display_name: "Own".into(),
        settings: Some(NodeSettings {
            settings: Some(Settings::Transcode(settings(height))),
        }),
        ..Default::default()
    }
}

fn overridden(name: &str, height: i32) -> Node {
    Node {
        operation: Some(Operation::Transcode(TranscodeNode {
            source: Some(Source::Template(name.into())),
            overrides: Some(settings(height)),
            output_path: "small.mp4".into(),
            ..Default::default()
        })),
        ..Default::default()
    }
}

async fn run(stack: &Stack, nodes: Vec<Node>) -> Task {
    let name = submit(&stack.client().await, request("in/clip.mp4", nodes)).await;
    ended(stack, &name).await
}

async fn ended(stack: &Stack, name: &str) -> Task {
    let task = stack.wait_ended(name, DEADLINE).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}\n{}", stack.logs());
    task
}

async fn height(stack: &Stack, task: &Task, node: usize) -> Option<i64> {
    let status = &task.node_statuses[node];
    assert_eq!(status.state(), NodeState::Succeeded);
    let probe = media::ffprobe(&stack.fetch_output(&status.outputs[0]).await);
    media::stream(&probe, "video").expect("output has video")["height"].as_i64()
}

fn used(task: &Task, node: usize) -> (&str, i32) {
    let status = &task.node_statuses[node];
    (status.template.as_str(), status.template_revision)
}

async fn own_template_lives_on(kind: DatabaseKind) {
    let stack = Stack::start(StackOptions::on(kind)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 2, "640x360");
    stack.upload(&clip, "in/clip.mp4").await;
    let client = stack.client().await;
    let mut templates = client.templates();

    let make = CreateTemplateRequest {
        template_id: "own".into(),
        template: Some(template(180)),
        ..Default::default()
    };
    templates.create_template(make).await.expect("template is made");
    let first = run(&stack, vec![transcode("own"), overridden("own", 120)]).await;
    assert_eq!((used(&first, 0), used(&first, 1)), (("own", 1), ("own", 1)));
    assert_eq!(
        (height(&stack, &first, 0).await, height(&stack, &first, 1).await),
        (Some(180), Some(120))
    );

    let change = UpdateTemplateRequest {
        template: Some(template(240)),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["settings.transcode.video.height_px".into()],
        }),
        ..Default::default()
    };
    templates.update_template(change).await.expect("template is changed");
    let second = run(&stack, vec![transcode("own")]).await;
    assert_eq!((used(&second, 0), height(&stack, &second, 0).await), (("own", 2), Some(240)));

    let delete = DeleteTemplateRequest {
        name: "own".into(),
        ..Default::default()
    };
    templates.delete_template(delete).await.expect("template is deleted");
    let refused = client.tasks().process_media(request("in/clip.mp4", vec![transcode("own")])).await;
    assert!(refused.unwrap_err().message().contains("there is no template"));

    // The first task keeps what it was accepted with.
    let again = RestartTaskRequest {
        name: first.name.clone(),
        ..Default::default()
    };
    client.tasks().restart_task(again).await.expect("task starts again");
    let first = ended(&stack, &first.name).await;
    assert_eq!(
        (first.run, used(&first, 0), height(&stack, &first, 0).await),
        (2, ("own", 1), Some(180))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_template_is_used_changed_and_deleted_while_tasks_keep_its_settings_on_sqlite() {
    own_template_lives_on(DatabaseKind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_template_is_used_changed_and_deleted_while_tasks_keep_its_settings_on_postgres() {
    own_template_lives_on(DatabaseKind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preset_is_asked_for_by_number_and_its_time_is_estimated_once_it_was_done() {
    let stack = Stack::start(StackOptions::on(DatabaseKind::Sqlite)).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 2, "640x360");
    stack.upload(&clip, "in/clip.mp4").await;
    let client = stack.client().await;
    let check = ProcessMediaRequest {
        validate_only: true,
        ..request("in/clip.mp4", vec![transcode("100010")])
    };
    let plan = client
        .tasks()
        .process_media(check.clone())
        .await
        .unwrap()
        .into_inner()
        .plan
        .unwrap();
    assert_eq!(
        (plan.units[0].estimated_seconds, plan.units[0].passes),
        (None, 1),
        "nothing was done yet"
    );

    let task = run(&stack, vec![transcode("100010")]).await;
    let status = &task.node_statuses[0];
    assert!(status.template.starts_with("preset-"), "{}", status.template);
    assert_eq!(height(&stack, &task, 0).await, Some(360));

    let plan = client.tasks().process_media(check).await.unwrap().into_inner().plan.unwrap();
    let seconds = plan.units[0].estimated_seconds.expect("an estimate after the same work");
    let task = client
        .tasks()
        .get_task(GetTaskRequest { name: task.name })
        .await
        .unwrap()
        .into_inner()
        .task
        .unwrap();
    let took = task.end_time.unwrap().seconds - task.start_time.unwrap().seconds;
    assert!((seconds - took as f64).abs() < 3.0, "estimated {seconds} s, took {took} s");
}
