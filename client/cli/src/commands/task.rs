//! mps task.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use mps_proto::v1::{
    CancelTaskRequest, CreateDownloadRequest, DeleteTaskRequest, GetTaskRequest, ListTasksRequest, ListTasksResponse, Output,
    RestartTaskRequest, Task, TaskState,
};

use crate::{
    args::TaskCommand,
    commands::process::report_failures,
    context::Context,
    exit::{self, Exit},
    output::{Table, bytes, duration, print_json, print_line, time, word},
    progress::{Followed, follow, follow_all, is_ended, state_text},
};

/// Players that are tried in turn.
const PLAYERS: [&str; 3] = ["mpv", "vlc", "ffplay"];

pub async fn run(context: &Context, command: TaskCommand) -> anyhow::Result<Exit> {
    match command {
        TaskCommand::List { filter, limit, oldest } => list(context, filter, limit, oldest).await?,
        TaskCommand::Get { task } => show_task(context, &get(context, &task).await?)?,
        TaskCommand::Watch { tasks } if tasks.is_empty() => follow_all(context).await?,
        TaskCommand::Watch { tasks } => return watch(context, tasks).await,
        TaskCommand::Wait { task, timeout } => return wait(context, &task, timeout).await,
        TaskCommand::Cancel { task } => {
            let request = CancelTaskRequest {
                name: context.name("tasks", &task),
                ..Default::default()
            };
            show_state(context, context.client.tasks().cancel_task(request).await?.into_inner().task)?;
        }
        TaskCommand::Restart { task, failed_only } => {
            let request = RestartTaskRequest {
                name: context.name("tasks", &task),
                failed_only,
                ..Default::default()
            };
            show_state(context, context.client.tasks().restart_task(request).await?.into_inner().task)?;
        }
        TaskCommand::Delete { task, outputs } => delete(context, &task, outputs).await?,
        TaskCommand::Outputs { task } => outputs(context, &task).await?,
        TaskCommand::Download { task, dir } => {
            let task = get(context, &task).await?;
            for file in download_outputs(context, &task, &dir).await? {
                print_line(&file.display().to_string());
            }
        }
        TaskCommand::Play { task, output, print } => play(context, &task, output, print).await?,
    }
    Ok(exit::SUCCESS)
}

async fn get(context: &Context, task: &str) -> anyhow::Result<Task> {
    let name = context.name("tasks", task);
    let answer = context.client.tasks().get_task(GetTaskRequest { name }).await?.into_inner();
    answer.task.context("the server answered without a task")
}

async fn list(context: &Context, filter: String, limit: usize, oldest: bool) -> anyhow::Result<()> {
    let mut all = ListTasksResponse::default();
    let mut request = ListTasksRequest {
        parent: context.parent(),
        filter,
        order_by: if oldest { "create_time" } else { "create_time desc" }.into(),
        ..Default::default()
    };
    while all.tasks.len() < limit {
        request.page_size = (limit - all.tasks.len()).min(1000) as i32;
        let page = context.client.tasks().list_tasks(request.clone()).await?.into_inner();
        all.tasks.extend(page.tasks);
        all.next_page_token = page.next_page_token.clone();
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if context.json {
        return print_json("mps.v1.ListTasksResponse", &all);
    }
    let mut table = Table::new(["TASK", "STATE", "CREATED", "ENDED", "NODES"]);
    for task in &all.tasks {
        let id = task.name.rsplit('/').next().unwrap_or_default().to_owned();
        let nodes: Vec<&str> = task.node_statuses.iter().map(|status| status.key.as_str()).collect();
        let state = word(task.state().as_str_name(), "TASK_STATE_");
        let [created, ended] = [task.create_time, task.end_time].map(|stamp| time(stamp.as_ref()));
        table.row([id, state, created, ended, nodes.join(" ")]);
    }
    table.print();
    Ok(())
}

fn show_task(context: &Context, task: &Task) -> anyhow::Result<()> {
    if context.json {
        return print_json("mps.v1.Task", task);
    }
    print_line(&format!("{}  run {}  {}", task.name, task.run, state_text(task)));
    let [created, started, ended] = [task.create_time, task.start_time, task.end_time].map(|stamp| time(stamp.as_ref()));
    print_line(&format!("created {created}  started {started}  ended {ended}"));
    let mut table = Table::new(["NODE", "STATE", "TEMPLATE", "ATTEMPTS", "DONE", "OUTPUTS"]);
    for status in &task.node_statuses {
        let fraction = status.progress.as_ref().and_then(|progress| progress.fraction);
        table.row([
            status.key.clone(),
            word(status.state().as_str_name(), "NODE_STATE_"),
            status.template.clone(),
            status.attempts.to_string(),
            fraction.map_or_else(|| "-".into(), |fraction| format!("{:.0} %", fraction * 100.0)),
            status.outputs.len().to_string(),
        ]);
    }
    table.print();
    report_failures(task);
    Ok(())
}

fn show_state(context: &Context, task: Option<Task>) -> anyhow::Result<()> {
    let task = task.unwrap_or_default();
    if context.json {
        return print_json("mps.v1.Task", &task);
    }
    print_line(&format!("{} {}", task.name, state_text(&task)));
    Ok(())
}

async fn watch(context: &Context, tasks: Vec<String>) -> anyhow::Result<Exit> {
    let mut names = Vec::new();
    for task in &tasks {
        names.push(get(context, task).await?.name);
    }
    match follow(context, &names).await? {
        Followed::Detached => Ok(exit::DETACHED),
        Followed::Ended(tasks) => {
            tasks.iter().for_each(report_failures);
            Ok(code_of(&tasks))
        }
    }
}

async fn wait(context: &Context, task: &str, timeout: u64) -> anyhow::Result<Exit> {
    let name = get(context, task).await?.name;
    let waiting = context.client.wait_task(&name);
    let task = match timeout {
        0 => waiting.await?,
        seconds => tokio::time::timeout(Duration::from_secs(seconds), waiting)
            .await
            .with_context(|| format!("{name} has not ended within {seconds} s"))??,
    };
    show_task(context, &task)?;
    Ok(code_of(&[task]))
}

fn code_of(tasks: &[Task]) -> Exit {
    if tasks.iter().all(|task| task.state() == TaskState::Succeeded) {
        return exit::SUCCESS;
    }
    exit::TASK_FAILED
}

async fn delete(context: &Context, task: &str, delete_outputs: bool) -> anyhow::Result<()> {
    let request = DeleteTaskRequest {
        name: context.name("tasks", task),
        delete_outputs,
        ..Default::default()
    };
    let answer = context.client.tasks().delete_task(request).await?.into_inner();
    if context.json {
        return print_json("mps.v1.DeleteTaskResponse", &answer);
    }
    print_line("deleted");
    for object in &answer.deleted_outputs {
        print_line(&format!("deleted {}:{}", short_storage(&object.storage), object.key));
    }
    for object in &answer.kept_outputs {
        print_line(&format!(
            "kept {}:{}: another task has replaced it",
            short_storage(&object.storage),
            object.key
        ));
    }
    Ok(())
}

fn short_storage(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

async fn outputs(context: &Context, task: &str) -> anyhow::Result<()> {
    let task = get(context, task).await?;
    if context.json {
        return print_json("mps.v1.Task", &task);
    }
    show_outputs(&[task], &[]);
    Ok(())
}

/// Outputs as a table; the name is the downloaded file's where there is one.
pub fn show_outputs(tasks: &[Task], files: &[PathBuf]) {
    let mut table = Table::new(["#", "NAME", "CODEC", "SIZE", "DURATION", "BYTES"]);
    let outputs = tasks.iter().flat_map(|task| &task.node_statuses).flat_map(|status| &status.outputs);
    for (number, output) in outputs.enumerate() {
        let name = files.get(number).map_or_else(
            || format!("{}:{}", short_storage(&output.storage), output.key),
            |file| file.display().to_string(),
        );
        table.row([
            (number + 1).to_string(),
            name,
            codecs(output),
            picture_size(output),
            media_duration(output),
            bytes(output.size_bytes),
        ]);
    }
    if !table.is_empty() {
        table.print();
    }
}

fn codecs(output: &Output) -> String {
    let media = output.media.as_ref();
    let codecs: Vec<&str> = media
        .iter()
        .flat_map(|media| &media.streams)
        .map(|stream| stream.codec.as_str())
        .collect();
    codecs.join("+")
}

fn picture_size(output: &Output) -> String {
    let streams = output.media.iter().flat_map(|media| &media.streams);
    let video = streams.filter_map(|stream| stream.video.as_ref()).next();
    video.map_or_else(|| "-".into(), |video| format!("{}×{}", video.width_px, video.height_px))
}

fn media_duration(output: &Output) -> String {
    duration(
        output
            .media
            .as_ref()
            .and_then(|media| media.duration.as_ref())
            .filter(|span| span.seconds > 0 || span.nanos > 0),
    )
}

/// Fetches all outputs of a task; two of one name get different files.
pub async fn download_outputs(context: &Context, task: &Task, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let mut taken = HashSet::new();
    let mut files = Vec::new();
    for output in task.node_statuses.iter().flat_map(|status| &status.outputs) {
        let base = output.key.rsplit('/').next().unwrap_or(&output.key);
        let mut name = base.to_owned();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{number}-{base}");
            number += 1;
        }
        let path = folder.join(name);
        context
            .client
            .download(&output.storage, &output.key, &path, |_| {})
            .await
            .with_context(|| format!("{} could not be downloaded", output.key))?;
        files.push(path);
    }
    Ok(files)
}

async fn play(context: &Context, task: &str, number: usize, print: bool) -> anyhow::Result<()> {
    let task = get(context, task).await?;
    let outputs: Vec<&Output> = task.node_statuses.iter().flat_map(|status| &status.outputs).collect();
    let Some(output) = number.checked_sub(1).and_then(|index| outputs.get(index)) else {
        let state = if is_ended(task.state()) {
            "it has ended"
        } else {
            "it has not ended yet"
        };
        anyhow::bail!("{} has {} outputs ({state}); see `mps task outputs`", task.name, outputs.len());
    };
    let request = CreateDownloadRequest {
        storage: output.storage.clone(),
        key: output.key.clone(),
        ..Default::default()
    };
    let url = context.client.storages().create_download(request).await?.into_inner().url;
    let player = if print {
        None
    } else {
        PLAYERS.iter().find(|player| is_installed(player))
    };
    let Some(player) = player else {
        print_line(&url);
        return Ok(());
    };
    let status = tokio::process::Command::new(player).arg(&url).status().await?;
    anyhow::ensure!(status.success(), "{player} ended with {status}");
    Ok(())
}

/// Whether a program is on the path.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
