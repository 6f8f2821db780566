//! mps template.

use mps_proto::v1::{GetTemplateRequest, ListTemplatesRequest, ListTemplatesResponse};

use crate::{
    args::TemplateCommand,
    context::Context,
    exit::{self, Exit},
    output::{Table, print_json, print_line, to_json},
};

pub async fn run(context: &Context, command: TemplateCommand) -> anyhow::Result<Exit> {
    match command {
        TemplateCommand::List => list(context).await?,
        TemplateCommand::Get { template } => {
            let name = context.name("templates", &template);
            let answer = context
                .client
                .templates()
                .get_template(GetTemplateRequest { name, revision: 0 })
                .await?
                .into_inner();
            print_json("mps.v1.Template", &answer.template.unwrap_or_default())?;
        }
    }
    Ok(exit::SUCCESS)
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let mut all = ListTemplatesResponse::default();
    let mut request = ListTemplatesRequest {
        parent: context.parent(),
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = context.client.templates().list_templates(request.clone()).await?.into_inner();
        all.templates.extend(page.templates);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        print_line(&to_json("mps.v1.ListTemplatesResponse", &all, true)?);
        return Ok(());
    }
    let mut table = Table::new(["TEMPLATE", "KIND", "DESCRIPTION"]);
    for template in all.templates {
        let id = template.name.rsplit('/').next().unwrap_or_default().to_owned();
        table.row([id, template.kind, template.display_name]);
    }
    table.print();
    Ok(())
}
