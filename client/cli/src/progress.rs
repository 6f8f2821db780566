//! Following tasks: a bar per node on a terminal, a line per change elsewhere.

use std::{collections::HashMap, io::IsTerminal, time::Duration};

use futures::{StreamExt, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mps_client::{WatchEvent, WatchOptions};
use mps_proto::v1::{NodeProgress, NodeState, NodeStatus, Task, TaskState};

use crate::{
    context::Context,
    output::{print_line, to_json, word},
};

/// Whether a task's run has ended.
pub fn is_ended(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::Succeeded | TaskState::PartiallySucceeded | TaskState::Failed | TaskState::Cancelled
    )
}

/// How following ended.
pub enum Followed {
    /// Every task has ended.
    Ended(Vec<Task>),
    /// Ctrl-C: the tasks go on.
    Detached,
}

/// Follows tasks until each has ended, or Ctrl-C.
pub async fn follow(context: &Context, names: &[String]) -> anyhow::Result<Followed> {
    let watches = names.iter().map(|name| {
        let id = name.rsplit('/').next().unwrap_or(name);
        let options = WatchOptions {
            parent: parent_of(name).unwrap_or_else(|| context.parent()),
            filter: format!("id = \"{id}\""),
            ..Default::default()
        };
        context.client.watch(options).boxed()
    });
    let mut events = stream::select_all(watches);
    let mut display = Display::new(context.json);
    let mut ended: HashMap<String, Task> = HashMap::new();
    let interrupt = tokio::signal::ctrl_c();
    tokio::pin!(interrupt);
    while ended.len() < names.len() {
        let event = tokio::select! {
            _ = &mut interrupt => {
                display.clear();
                return Ok(Followed::Detached);
            }
            event = events.next() => event,
        };
        match event {
            Some(Ok(WatchEvent::Task(task))) => {
                display.task(&task)?;
                if is_ended(task.state()) {
                    ended.insert(task.name.clone(), *task);
                }
            }
            Some(Ok(WatchEvent::Progress(progress))) => display.progress(&progress.name, &progress.nodes.into_iter().collect()),
            Some(Ok(WatchEvent::Removed(name))) => anyhow::bail!("{name} was deleted while it was watched"),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => anyhow::bail!("the watch ended before the tasks did"),
        }
    }
    display.finish();
    let in_order = names.iter().filter_map(|name| {
        ended.remove(name).or_else(|| {
            let key = ended.keys().find(|full| full.rsplit('/').next() == Some(name.as_str()))?.clone();
            ended.remove(&key)
        })
    });
    Ok(Followed::Ended(in_order.collect()))
}

/// Prints every change of the project's tasks until Ctrl-C.
pub async fn follow_all(context: &Context) -> anyhow::Result<()> {
    let options = WatchOptions {
        parent: context.parent(),
        ..Default::default()
    };
    let mut events = context.client.watch(options).boxed();
    loop {
        let event = tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            event = events.next() => event,
        };
        match event {
            Some(Ok(WatchEvent::Task(task))) if context.json => print_line(&to_json("mps.v1.Task", &*task, false)?),
            Some(Ok(WatchEvent::Task(task))) => print_line(&format!("{} {}", task.name, state_text(&task))),
            Some(Ok(WatchEvent::Removed(name))) => print_line(&format!("{name} removed")),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error.into()),
            None => return Ok(()),
        }
    }
}

fn parent_of(name: &str) -> Option<String> {
    let (project, _) = name.strip_prefix("projects/")?.split_once('/')?;
    Some(format!("projects/{project}"))
}

/// A task's state in words, with why it waits or failed.
pub fn state_text(task: &Task) -> String {
    let mut text = word(task.state().as_str_name(), "TASK_STATE_");
    if !task.waiting_message.is_empty() {
        text += &format!(" ({})", task.waiting_message);
    }
    if let Some(error) = &task.error {
        text += &format!(": {}", error.message);
    }
    text
}

/// Shows tasks while they run.
struct Display {
    bars: Option<MultiProgress>,
    nodes: HashMap<(String, String), ProgressBar>,
    last_lines: HashMap<String, String>,
    json: bool,
}

impl Display {
    fn new(json: bool) -> Self {
        let on_terminal = !json && std::io::stderr().is_terminal();
        Self {
            bars: on_terminal.then(MultiProgress::new),
            nodes: HashMap::new(),
            last_lines: HashMap::new(),
            json,
        }
    }

    fn task(&mut self, task: &Task) -> anyhow::Result<()> {
        if self.json {
            print_line(&to_json("mps.v1.Task", task, false)?);
            return Ok(());
        }
        if self.bars.is_none() {
            let line = state_text(task);
            if self.last_lines.insert(task.name.clone(), line.clone()).as_ref() != Some(&line) {
                eprintln!("{} {line}", short(&task.name));
            }
            return Ok(());
        }
        for status in &task.node_statuses {
            self.node(task, status);
        }
        Ok(())
    }

    fn node(&mut self, task: &Task, status: &NodeStatus) {
        let Some(bar) = self.bar(&task.name, &status.key) else { return };
        match status.state() {
            NodeState::Waiting => bar.set_message(match task.waiting_message.as_str() {
                "" => "waiting".to_owned(),
                why => format!("waiting: {why}"),
            }),
            NodeState::Processing => match &status.progress {
                Some(progress) => show_progress(&bar, progress),
                None => bar.set_message("processing"),
            },
            NodeState::Succeeded => {
                bar.set_position(1000);
                bar.finish_with_message("done");
            }
            NodeState::Failed => {
                let why = status.error.as_ref().map_or("", |error| error.message.as_str());
                bar.abandon_with_message(format!("failed: {why}"));
            }
            state => bar.abandon_with_message(word(state.as_str_name(), "NODE_STATE_")),
        }
    }

    fn progress(&mut self, task: &str, nodes: &HashMap<String, NodeProgress>) {
        for (key, progress) in nodes {
            if let Some(bar) = self.bar(task, key) {
                show_progress(&bar, progress);
            }
        }
    }

    fn bar(&mut self, task: &str, node: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let key = (task.to_owned(), node.to_owned());
        if let Some(bar) = self.nodes.get(&key) {
            return Some(bar.clone());
        }
        let style = ProgressStyle::with_template("{prefix:<34} {bar:28} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = bars.add(ProgressBar::new(1000).with_style(style));
        bar.set_prefix(format!("{} {node}", short(task)));
        bar.enable_steady_tick(Duration::from_millis(200));
        self.nodes.insert(key, bar.clone());
        Some(bar)
    }

    fn finish(&mut self) {
        for bar in self.nodes.values() {
            bar.disable_steady_tick();
        }
    }

    fn clear(&mut self) {
        self.finish();
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
        }
    }
}

fn show_progress(bar: &ProgressBar, progress: &NodeProgress) {
    if bar.is_finished() {
        return;
    }
    let phase = word(progress.phase().as_str_name(), "PHASE_");
    if let Some(fraction) = progress.fraction {
        bar.set_position((fraction.clamp(0.0, 1.0) * 1000.0) as u64);
    }
    let mut text = phase;
    if progress.fps > 0.0 {
        text += &format!(" {:.0} fps, {:.1}×", progress.fps, progress.speed);
    }
    if let Some(eta) = &progress.eta {
        text += &format!(", {} s left", eta.seconds + i64::from(eta.nanos > 0));
    }
    bar.set_message(text);
}

/// The last six characters of a task's id tell tasks of one call apart.
fn short(name: &str) -> String {
    let id = name.rsplit('/').next().unwrap_or(name);
    id.chars().skip(id.chars().count().saturating_sub(6)).collect()
}
