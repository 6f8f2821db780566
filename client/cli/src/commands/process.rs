//! mps process: upload, submit, watch, download.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use mps_proto::v1::{
    Node, Plan, ProbeMediaRequest, ProcessMediaRequest, ProcessMediaResponse, StorageObject, Task, TaskInput, TaskOutput, TaskState,
    task_input::Source,
};

use crate::{
    args::ProcessArgs,
    commands::{
        nodes,
        task::{download_outputs, show_outputs},
    },
    context::Context,
    exit::{self, Exit, UsageError},
    output::{Table, print_json, print_line},
    progress::{Followed, follow, state_text},
    reference::Reference,
};

/// What `--transcode` stands for when nothing is asked for.
const DEFAULT_VIDEO: &str = "preset-h264-720p";
const DEFAULT_AUDIO: &str = "preset-m4a-96k";

pub async fn run(context: &Context, args: ProcessArgs) -> anyhow::Result<Exit> {
    let references: Vec<Reference> = args
        .inputs
        .iter()
        .map(|text| Reference::parse(text).map_err(UsageError))
        .collect::<Result<_, _>>()?;
    let asked = nodes::asked_for(context, &args.nodes).await?;
    let mut names = Vec::new();
    for reference in &references {
        let answer = submit(context, &args, &asked, reference).await?;
        if args.validate_only {
            show_plan(context, answer)?;
            continue;
        }
        let task = answer.task.unwrap_or_default();
        if context.json && args.detach {
            print_json("mps.v1.Task", &task)?;
        } else if args.detach {
            print_line(&task.name);
        }
        names.push(task.name);
    }
    if args.detach || args.validate_only {
        return Ok(exit::SUCCESS);
    }
    match follow(context, &names).await? {
        Followed::Detached => {
            eprintln!("detached; the tasks go on. To watch again:\n  mps task watch {}", names.join(" "));
            Ok(exit::DETACHED)
        }
        Followed::Ended(tasks) => finish(context, &tasks, args.download.as_deref()).await,
    }
}

fn is_playlist(path: &Path) -> bool {
    let suffix = path.extension().and_then(|suffix| suffix.to_str());
    suffix.is_some_and(|suffix| ["m3u8", "m3u"].contains(&suffix.to_ascii_lowercase().as_str()))
}

/// Puts a file into storage; other inputs stay where they are.
pub async fn place(context: &Context, reference: &Reference, storage: &str) -> anyhow::Result<TaskInput> {
    let Reference::File(path) = reference else {
        return reference.task_input().context("only files are placed");
    };
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .context("the file's name is not UTF-8")?;
    if is_playlist(path) {
        let text = format!(
            "{name} is a playlist, and its segments are files of their own: upload its folder, and write storage:key of the playlist"
        );
        return Err(UsageError(text).into());
    }
    let key = format!("uploads/{}/{name}", mps_proto::name::new_id());
    let bar = crate::commands::storage::transfer_bar(context, path, name)?;
    context
        .client
        .upload_file(&context.name("storages", storage), &key, path, |sent| bar.set_position(sent))
        .await?;
    bar.finish_and_clear();
    let object = StorageObject {
        storage: context.name("storages", storage),
        key,
    };
    Ok(TaskInput {
        source: Some(Source::Object(object)),
    })
}

async fn submit(context: &Context, args: &ProcessArgs, asked: &[Node], reference: &Reference) -> anyhow::Result<ProcessMediaResponse> {
    let storage = args.storage.as_deref().unwrap_or("local");
    let input = place(context, reference, storage).await?;
    let nodes = with_defaults(context, args, asked, &input).await?;
    let output = output(args, reference, storage);
    let request = ProcessMediaRequest {
        parent: context.parent(),
        input: Some(input),
        output,
        nodes,
        priority: args.priority,
        labels: labels(&args.labels)?.into_iter().collect(),
        validate_only: args.validate_only,
        request_id: mps_proto::name::new_id(),
        ..Default::default()
    };
    Ok(context.client.tasks().process_media(request).await?.into_inner())
}

/// A URL has no storage of its own, so its outputs need one.
fn output(args: &ProcessArgs, reference: &Reference, storage: &str) -> Option<TaskOutput> {
    let from_url = matches!(reference, Reference::Url(_));
    if args.storage.is_none() && args.output.is_none() && !from_url {
        return None;
    }
    let needs_storage = from_url || args.storage.is_some();
    let directory = match (&args.output, from_url) {
        (Some(directory), _) => directory.clone(),
        (None, true) => format!("outputs/{}/", mps_proto::name::new_id()),
        (None, false) => String::new(),
    };
    Some(TaskOutput {
        storage: if needs_storage { storage.to_owned() } else { String::new() },
        directory,
    })
}

/// The nodes that were asked for, or the one that stands for none; with the watermarks on them.
async fn with_defaults(context: &Context, args: &ProcessArgs, asked: &[Node], input: &TaskInput) -> anyhow::Result<Vec<Node>> {
    let mut nodes = asked.to_vec();
    if nodes.is_empty() {
        let template = if has_video(context, input).await? {
            DEFAULT_VIDEO
        } else {
            DEFAULT_AUDIO
        };
        nodes.push(nodes::transcode(template.to_owned()));
    }
    nodes::mark(&mut nodes, &args.nodes.watermarks)?;
    Ok(nodes)
}

/// Asks a worker what the input contains.
async fn has_video(context: &Context, input: &TaskInput) -> anyhow::Result<bool> {
    let request = ProbeMediaRequest {
        parent: context.parent(),
        input: Some(input.clone()),
    };
    let media = context
        .client
        .storages()
        .probe_media(request)
        .await?
        .into_inner()
        .media
        .unwrap_or_default();
    Ok(media.streams.iter().any(|stream| stream.kind == "video"))
}

fn labels(texts: &[String]) -> Result<Vec<(String, String)>, UsageError> {
    texts
        .iter()
        .map(|text| {
            let pair = text
                .split_once('=')
                .ok_or_else(|| UsageError(format!("--label {text}: write key=value")))?;
            Ok((pair.0.to_owned(), pair.1.to_owned()))
        })
        .collect()
}

fn show_plan(context: &Context, answer: ProcessMediaResponse) -> anyhow::Result<()> {
    if context.json {
        return print_json("mps.v1.ProcessMediaResponse", &answer);
    }
    let Plan { units } = answer.plan.unwrap_or_default();
    let mut table = Table::new(["PASS", "NODES", "POOL", "DECODES", "SECONDS", "NEEDS"]);
    for (number, unit) in units.iter().enumerate() {
        table.row([
            (number + 1).to_string(),
            unit.node_keys.join(" "),
            unit.pool.clone(),
            unit.passes.to_string(),
            unit.estimated_seconds.map_or("unknown".into(), |seconds| format!("{seconds:.1}")),
            unit.requirements.join(" "),
        ]);
    }
    table.print();
    for key in units.iter().flat_map(|unit| &unit.output_keys) {
        print_line(key);
    }
    Ok(())
}

async fn finish(context: &Context, tasks: &[Task], folder: Option<&Path>) -> anyhow::Result<Exit> {
    for task in tasks {
        report_failures(task);
    }
    let mut files: Vec<PathBuf> = Vec::new();
    for task in tasks {
        if let Some(folder) = folder {
            files.extend(download_outputs(context, task, folder).await?);
        }
    }
    if !context.json {
        show_outputs(tasks, &files);
    }
    let all_done = tasks.iter().all(|task| task.state() == TaskState::Succeeded);
    Ok(if all_done { exit::SUCCESS } else { exit::TASK_FAILED })
}

/// What failed and what to do, per node.
pub fn report_failures(task: &Task) {
    if task.state() != TaskState::Succeeded {
        eprintln!("{} {}", task.name, state_text(task));
    }
    for status in &task.node_statuses {
        if let Some(error) = &status.error {
            eprintln!("  {}: {}", status.key, mps_client::describe_rpc(error));
        }
        for warning in &status.warnings {
            eprintln!("  {}: warning: {}", status.key, warning.message);
        }
    }
}
