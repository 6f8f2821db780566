//! TemplateService's use cases, on SQLite and on Postgres.

use mps_proto::v1::{
    CreateTemplateRequest, DeleteTemplateRequest, ErrorReason, ListTemplatesRequest, NodeSettings, SnapshotSettings, Template,
    TranscodeSettings, UpdateTemplateRequest, VideoCodec, VideoSettings, node_settings::Settings,
};
use prost_types::FieldMask;
use tonic::Code;

use super::*;
use crate::service::storage_tests::Fixture;

const PROJECT: &str = "default";

fn transcode(crf: i32) -> NodeSettings {
    let settings = TranscodeSettings {
        video: Some(VideoSettings {
            codec: Some(VideoCodec::H264.into()),
            crf: Some(crf),
            ..Default::default()
        }),
        ..Default::default()
    };
    NodeSettings {
        settings: Some(Settings::Transcode(settings)),
    }
}

fn crf(template: &Template) -> Option<i32> {
    match template.settings.as_ref()?.settings.as_ref()? {
        Settings::Transcode(settings) => settings.video.as_ref()?.crf,
        _ => None,
    }
}

fn new(id: &str, crf: i32) -> CreateTemplateRequest {
    CreateTemplateRequest {
        template_id: id.into(),
        template: Some(Template {
            display_name: format!("Own {id}"),
            settings: Some(transcode(crf)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

async fn make(app: &App, id: &str, crf: i32) -> Template {
    create(app, PROJECT, new(id, crf)).await.unwrap().template.unwrap()
}

fn change(settings: Option<NodeSettings>, paths: &[&str]) -> UpdateTemplateRequest {
    UpdateTemplateRequest {
        template: Some(Template {
            settings,
            ..Default::default()
        }),
        update_mask: Some(FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }),
        ..Default::default()
    }
}

async fn changed(app: &App, id: &str, request: UpdateTemplateRequest) -> Result<Template, ApiError> {
    Ok(update(app, PROJECT, id, request).await?.template.unwrap())
}

#[tokio::test]
async fn template_is_made_read_changed_and_forgotten_with_its_revisions() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let made = make(app, "own", 20).await;
    assert_eq!(
        (made.name.as_str(), made.kind.as_str(), made.revision),
        ("projects/default/templates/own", "transcode", 1)
    );
    assert!(made.create_time.is_some() && !made.preset && !made.etag.is_empty());
    assert_eq!(get(app, PROJECT, "own", 0).await.unwrap(), made);

    let second = changed(app, "own", change(Some(transcode(30)), &["settings.transcode.video.crf"]))
        .await
        .unwrap();
    assert_eq!((second.revision, crf(&second)), (2, Some(30)));
    assert_eq!(second.display_name, "Own own", "what the mask does not name stays");
    assert_ne!(second.etag, made.etag);
    let first = get(app, PROJECT, "own", 1).await.unwrap();
    assert_eq!((first.revision, crf(&first)), (1, Some(20)));
    assert_eq!(get(app, PROJECT, "own", 3).await.unwrap_err().code, Code::NotFound);

    let same = changed(app, "own", change(Some(transcode(30)), &["settings"])).await.unwrap();
    assert_eq!(same, second, "a change of nothing is no revision");

    delete(app, PROJECT, "own", &DeleteTemplateRequest::default()).await.unwrap();
    assert_eq!(get(app, PROJECT, "own", 0).await.unwrap_err().code, Code::NotFound);
    assert_eq!(get(app, PROJECT, "own", 1).await.unwrap_err().code, Code::NotFound);
    let again = make(app, "own", 21).await;
    assert_eq!(again.revision, 1);
}

#[tokio::test]
async fn change_without_a_mask_takes_what_is_set() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    make(app, "own", 20).await;
    let request = UpdateTemplateRequest {
        template: Some(Template {
            comment: "for the news".into(),
            settings: Some(transcode(25)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let after = changed(app, "own", request).await.unwrap();
    assert_eq!(
        (after.comment.as_str(), after.display_name.as_str(), crf(&after)),
        ("for the news", "Own own", Some(25))
    );
}

#[tokio::test]
async fn another_etag_and_a_deleted_template_are_refused() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let made = make(app, "own", 20).await;
    let mut request = change(Some(transcode(30)), &["settings"]);
    request.template.as_mut().unwrap().etag = made.etag.clone();
    changed(app, "own", request.clone()).await.unwrap();
    let error = changed(app, "own", request).await.unwrap_err();
    assert_eq!((error.code, error.reason), (Code::Aborted, ErrorReason::EtagMismatch));
    let old = DeleteTemplateRequest {
        etag: made.etag,
        ..Default::default()
    };
    assert_eq!(delete(app, PROJECT, "own", &old).await.unwrap_err().code, Code::Aborted);
    assert_eq!(
        delete(app, PROJECT, "none", &DeleteTemplateRequest::default())
            .await
            .unwrap_err()
            .code,
        Code::NotFound
    );
}

#[tokio::test]
async fn presets_are_found_by_number_and_are_read_only() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let preset = get(app, PROJECT, "100010", 0).await.unwrap();
    assert!(preset.preset && preset.name.starts_with("projects/default/templates/preset-"));
    assert_eq!(get(app, PROJECT, &last_segment(&preset.name), 1).await.unwrap(), preset);
    let ambiguous = get(app, PROJECT, "10", 0).await.unwrap_err();
    assert!(ambiguous.code == Code::InvalidArgument && ambiguous.message.contains("several presets"));
    for id in ["100010", "10", "preset-remux"] {
        let error = changed(app, id, change(Some(transcode(30)), &["settings"])).await.unwrap_err();
        assert_eq!(error.code, Code::FailedPrecondition, "{id}");
        assert!(error.metadata["hint"].contains("clone"));
        let error = delete(app, PROJECT, id, &DeleteTemplateRequest::default()).await.unwrap_err();
        assert_eq!(error.code, Code::FailedPrecondition, "{id}");
    }
}

#[tokio::test]
async fn every_violation_is_told_at_once_by_its_path() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let mut request = new("preset-mine", 99);
    let template = request.template.as_mut().unwrap();
    template.display_name = "x".repeat(65);
    template.comment = "y".repeat(257);
    let error = create(app, PROJECT, request).await.unwrap_err();
    let fields: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
    for field in [
        "template_id",
        "template.display_name",
        "template.comment",
        "template.settings.transcode.video.crf",
    ] {
        assert!(fields.contains(&field), "{field} is not in {fields:?}");
    }

    make(app, "own", 20).await;
    let error = changed(app, "own", change(Some(transcode(99)), &["settings.transcode.video.crf"]))
        .await
        .unwrap_err();
    assert_eq!(error.violations[0].field, "template.settings.transcode.video.crf");
    let error = changed(
        app,
        "own",
        change(Some(transcode(30)), &["revision", "settings.transcode.video.nonsense"]),
    )
    .await
    .unwrap_err();
    let fields: Vec<&str> = error.violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["update_mask.paths[0]", "update_mask.paths[1]"]);
    let snapshot = NodeSettings {
        settings: Some(Settings::Snapshot(SnapshotSettings::default())),
    };
    let error = changed(app, "own", change(Some(snapshot), &["settings"])).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument, "a template keeps its kind");
    assert_eq!(get(app, PROJECT, "own", 0).await.unwrap().revision, 1);
}

#[tokio::test]
async fn only_checking_changes_nothing_and_a_repeated_request_gets_its_first_answer() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    let check = CreateTemplateRequest {
        validate_only: true,
        request_id: "r".into(),
        ..new("own", 20)
    };
    let would_be = create(app, PROJECT, check).await.unwrap().template.unwrap();
    assert!(would_be.etag.is_empty() && would_be.kind == "transcode");
    assert_eq!(get(app, PROJECT, "own", 0).await.unwrap_err().code, Code::NotFound);

    let request = CreateTemplateRequest {
        request_id: "r".into(),
        ..new("own", 20)
    };
    let first = create(app, PROJECT, request.clone()).await.unwrap();
    assert_eq!(create(app, PROJECT, request).await.unwrap(), first);
    assert_eq!(create(app, PROJECT, new("own", 20)).await.unwrap_err().code, Code::AlreadyExists);

    let check = UpdateTemplateRequest {
        validate_only: true,
        ..change(Some(transcode(30)), &["settings"])
    };
    assert_eq!(changed(app, "own", check).await.unwrap().revision, 2);
    assert_eq!(get(app, PROJECT, "own", 0).await.unwrap().revision, 1);
    let request = UpdateTemplateRequest {
        request_id: "u".into(),
        ..change(Some(transcode(30)), &["settings"])
    };
    assert_eq!(changed(app, "own", request.clone()).await.unwrap().revision, 2);
    assert_eq!(changed(app, "own", request).await.unwrap().revision, 2);
    let request = DeleteTemplateRequest {
        request_id: "d".into(),
        ..Default::default()
    };
    delete(app, PROJECT, "own", &request).await.unwrap();
    delete(app, PROJECT, "own", &request).await.unwrap();
}

#[tokio::test]
async fn lists_are_filtered_and_paged_over_presets_and_own_templates() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    for id in ["a", "z", "preset", "q"] {
        make(app, id, 20).await;
    }
    let own = ListTemplatesRequest {
        filter: "kind = transcode AND preset = false".into(),
        ..Default::default()
    };
    let found = list(app, PROJECT, own).await.unwrap().templates;
    let ids: Vec<String> = found.iter().map(|template| last_segment(&template.name)).collect();
    assert_eq!(ids, ["a", "preset", "q", "z"]);

    let mut all = Vec::new();
    let mut request = ListTemplatesRequest {
        page_size: 3,
        ..Default::default()
    };
    loop {
        let page = list(app, PROJECT, request.clone()).await.unwrap();
        all.extend(page.templates.iter().map(|template| last_segment(&template.name)));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(all.len(), presets().len() + 4);
    assert!(all.is_sorted(), "{all:?}");
    assert!(get(app, "elsewhere", "a", 0).await.is_err(), "another project does not see it");
}

#[tokio::test]
async fn named_templates_are_those_of_the_project() {
    let fixture = Fixture::start().await;
    let app = &fixture.app;
    make(app, "own", 20).await;
    let ids = ["own".to_owned(), "missing".to_owned()];
    let found = named(app, PROJECT, &ids).await.unwrap();
    assert_eq!(
        found.iter().map(|template| last_segment(&template.name)).collect::<Vec<_>>(),
        ["own"]
    );
    assert!(named(app, "elsewhere", &ids).await.unwrap().is_empty());
    assert!(named(app, PROJECT, &[]).await.unwrap().is_empty());
}
