//! mps project and mps key.

use mps_proto::v1::{
    ApiKey, CreateApiKeyRequest, CreateProjectRequest, ListApiKeysRequest, ListApiKeysResponse, ListProjectsRequest, ListProjectsResponse,
    RevokeApiKeyRequest, Role,
};

use crate::{
    args::{KeyCommand, ProjectCommand, RoleName},
    context::Context,
    exit::{self, Exit},
    output::{Table, print_json, print_line, time, word},
};

pub async fn projects(context: &Context, command: ProjectCommand) -> anyhow::Result<Exit> {
    match command {
        ProjectCommand::List => list_projects(context).await?,
        ProjectCommand::Create { id, display_name } => {
            let request = CreateProjectRequest {
                project_id: id,
                display_name,
            };
            let project = context
                .client
                .access()
                .create_project(request)
                .await?
                .into_inner()
                .project
                .unwrap_or_default();
            if context.json {
                print_json("mps.v1.Project", &project)?;
            } else {
                print_line(&project.name);
            }
        }
    }
    Ok(exit::SUCCESS)
}

async fn list_projects(context: &Context) -> anyhow::Result<()> {
    let mut all = ListProjectsResponse::default();
    let mut request = ListProjectsRequest {
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = context.client.access().list_projects(request.clone()).await?.into_inner();
        all.projects.extend(page.projects);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        return print_json("mps.v1.ListProjectsResponse", &all);
    }
    let mut table = Table::new(["PROJECT", "CREATED", "NAME"]);
    for project in all.projects {
        let id = project.name.trim_start_matches("projects/").to_owned();
        table.row([id, time(project.create_time.as_ref()), project.display_name]);
    }
    table.print();
    Ok(())
}

pub async fn keys(context: &Context, command: KeyCommand) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::List => list_keys(context).await?,
        KeyCommand::Create { role, display_name, days } => create_key(context, role, display_name, days).await?,
        KeyCommand::Revoke { key } => {
            let name = context.name("apiKeys", &key);
            let key = context
                .client
                .access()
                .revoke_api_key(RevokeApiKeyRequest { name })
                .await?
                .into_inner()
                .api_key;
            show_key(context, &key.unwrap_or_default())?;
        }
    }
    Ok(exit::SUCCESS)
}

async fn create_key(context: &Context, role: RoleName, display_name: String, days: Option<u32>) -> anyhow::Result<()> {
    let role = match role {
        RoleName::Viewer => Role::Viewer,
        RoleName::Operator => Role::Operator,
        RoleName::Admin => Role::Admin,
    };
    let request = CreateApiKeyRequest {
        parent: context.parent(),
        display_name,
        role: role as i32,
        ttl: days.map(|days| prost_types::Duration {
            seconds: i64::from(days) * 86_400,
            nanos: 0,
        }),
    };
    let answer = context.client.access().create_api_key(request).await?.into_inner();
    if context.json {
        return print_json("mps.v1.CreateApiKeyResponse", &answer);
    }
    eprintln!("this key is shown once:");
    print_line(&answer.secret);
    Ok(())
}

async fn list_keys(context: &Context) -> anyhow::Result<()> {
    let mut all = ListApiKeysResponse::default();
    let mut request = ListApiKeysRequest {
        parent: context.parent(),
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = context.client.access().list_api_keys(request.clone()).await?.into_inner();
        all.api_keys.extend(page.api_keys);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        return print_json("mps.v1.ListApiKeysResponse", &all);
    }
    let mut table = Table::new(["KEY", "ROLE", "CREATED", "ENDS", "REVOKED", "NAME"]);
    for key in all.api_keys {
        let role = word(key.role().as_str_name(), "ROLE_");
        let id = key.name.rsplit('/').next().unwrap_or_default().to_owned();
        let times = [key.create_time, key.expire_time, key.revoke_time].map(|stamp| time(stamp.as_ref()));
        let [created, ends, revoked] = times;
        table.row([id, role, created, ends, revoked, key.display_name]);
    }
    table.print();
    Ok(())
}

fn show_key(context: &Context, key: &ApiKey) -> anyhow::Result<()> {
    if context.json {
        return print_json("mps.v1.ApiKey", key);
    }
    print_line(&format!("{} revoked {}", key.name, time(key.revoke_time.as_ref())));
    Ok(())
}
