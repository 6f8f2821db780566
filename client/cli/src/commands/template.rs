//! mps template.

use std::path::Path;

use mps_proto::v1::{
    CreateTemplateRequest, DeleteTemplateRequest, GetTemplateRequest, ListTemplatesRequest, ListTemplatesResponse, Template,
    UpdateTemplateRequest,
};
use prost_types::FieldMask;

use crate::{
    args::TemplateCommand,
    context::Context,
    document,
    exit::{self, Exit, UsageError},
    output::{Table, print_json, print_line, to_json},
};

const TEMPLATE: &str = "mps.v1.Template";

pub async fn run(context: &Context, command: TemplateCommand) -> anyhow::Result<Exit> {
    match command {
        TemplateCommand::List { kind, filter } => list(context, kind.as_deref(), &filter).await?,
        TemplateCommand::Get { template, revision } => print_json(TEMPLATE, &get(context, &template, revision).await?)?,
        TemplateCommand::Create { file, id, check } => {
            let template = document::read(&file, TEMPLATE)?;
            create(context, id, template, check).await?;
        }
        TemplateCommand::Update {
            template,
            file,
            mask,
            check,
        } => update(context, &template, &file, mask, check).await?,
        TemplateCommand::Clone {
            template,
            id,
            display_name,
        } => clone(context, &template, id, display_name).await?,
        TemplateCommand::Delete { template, etag } => delete(context, &template, etag).await?,
    }
    Ok(exit::SUCCESS)
}

/// A template by its id, name or number.
pub async fn get(context: &Context, template: &str, revision: i32) -> anyhow::Result<Template> {
    let request = GetTemplateRequest {
        name: context.name("templates", template),
        revision,
    };
    let answer = context.client.templates().get_template(request).await?.into_inner();
    Ok(answer.template.unwrap_or_default())
}

async fn list(context: &Context, kind: Option<&str>, filter: &str) -> anyhow::Result<()> {
    let all = ListTemplatesResponse {
        templates: context.client.list_templates(list_request(context, kind, filter)?).await?,
        ..Default::default()
    };
    if context.json {
        print_line(&to_json("mps.v1.ListTemplatesResponse", &all, true)?);
        return Ok(());
    }
    let mut table = Table::new(["TEMPLATE", "KIND", "REVISION", "NUMBERS", "DESCRIPTION"]);
    for template in all.templates {
        table.row([
            id_of(&template),
            template.kind,
            template.revision.to_string(),
            template.aliases.join(","),
            template.display_name,
        ]);
    }
    table.print();
    Ok(())
}

fn list_request(context: &Context, kind: Option<&str>, filter: &str) -> Result<ListTemplatesRequest, UsageError> {
    let of_kind = match kind {
        Some(kind) if kind.contains(['"', '\\']) => return Err(UsageError(format!("--kind {kind}: there is no such kind"))),
        Some(kind) => format!("kind = \"{kind}\""),
        None => String::new(),
    };
    let both = [of_kind.as_str(), filter].into_iter().filter(|part| !part.trim().is_empty());
    Ok(ListTemplatesRequest {
        parent: context.parent(),
        filter: both.collect::<Vec<_>>().join(" AND "),
        ..Default::default()
    })
}

fn id_of(template: &Template) -> String {
    template.name.rsplit('/').next().unwrap_or_default().to_owned()
}

async fn create(context: &Context, id: Option<String>, template: Template, validate_only: bool) -> anyhow::Result<()> {
    let request = CreateTemplateRequest {
        parent: context.parent(),
        template_id: id.unwrap_or_default(),
        template: Some(template),
        request_id: mps_proto::name::new_id(),
        validate_only,
    };
    let answer = context.client.templates().create_template(request).await?.into_inner();
    show(context, &answer.template.unwrap_or_default(), validate_only)
}

async fn update(context: &Context, name: &str, file: &Path, mask: Vec<String>, validate_only: bool) -> anyhow::Result<()> {
    let change: Template = document::read(file, TEMPLATE)?;
    let request = UpdateTemplateRequest {
        template: Some(Template {
            name: context.name("templates", name),
            ..change
        }),
        update_mask: (!mask.is_empty()).then_some(FieldMask { paths: mask }),
        request_id: mps_proto::name::new_id(),
        validate_only,
    };
    let answer = context.client.templates().update_template(request).await?.into_inner();
    show(context, &answer.template.unwrap_or_default(), validate_only)
}

/// What one can change of a template, under another id.
async fn clone(context: &Context, name: &str, id: Option<String>, display_name: Option<String>) -> anyhow::Result<()> {
    let original = get(context, name, 0).await?;
    let copy = Template {
        display_name: display_name.unwrap_or(original.display_name),
        comment: original.comment,
        settings: original.settings,
        ..Default::default()
    };
    create(context, id, copy, false).await
}

async fn delete(context: &Context, name: &str, etag: Option<String>) -> anyhow::Result<()> {
    let request = DeleteTemplateRequest {
        name: context.name("templates", name),
        etag: etag.unwrap_or_default(),
        request_id: mps_proto::name::new_id(),
    };
    context.client.templates().delete_template(request).await?;
    print_line("deleted; tasks that were accepted with it keep its settings");
    Ok(())
}

fn show(context: &Context, template: &Template, is_only_checked: bool) -> anyhow::Result<()> {
    if context.json {
        return print_json(TEMPLATE, template);
    }
    match is_only_checked {
        true => print_line("nothing is wrong with it; nothing was changed"),
        false => print_line(&format!("{} revision {}", template.name, template.revision)),
    }
    Ok(())
}
