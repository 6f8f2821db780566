//! What ffmpeg and ffprobe say about files: tools that are not ours.

#![allow(dead_code, reason = "each file of tests uses a part")]

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use mps_media::job::Members;
use mps_proto::worker::v1::{ChildOrder, ChildProgress, ChildResult, InputLimits, MediaPlan, PlanNode};

/// An order that takes nodes through a pass over `input`.
pub fn order(input: &Path, nodes: Vec<PlanNode>, outputs: &Path) -> ChildOrder {
    std::fs::create_dir_all(outputs).unwrap();
    ChildOrder {
        plan: Some(MediaPlan {
            plan_version: mps_proto::PLAN_VERSION,
            nodes,
            damage_policy: 1,
            limits: Some(InputLimits::default()),
            ..Default::default()
        }),
        input_path: input.display().to_string(),
        output_folder: outputs.display().to_string(),
        input_name: input.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ..ChildOrder::default()
    }
}

/// Carries an order out; one at a time, since damage is counted for the whole process.
pub fn carry_out(order: &ChildOrder) -> ChildResult {
    carry_out_watched(order, &|_| (), &(Arc::new(|_| ()) as Members))
}

/// The same, telling of progress and of members of sets.
pub fn carry_out_watched(order: &ChildOrder, progress: &(dyn Fn(ChildProgress) + Send + Sync), members: &Members) -> ChildResult {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    mps_media::init().unwrap();
    mps_media::run(order, progress, members)
}

pub fn ffmpeg(arguments: &str, file: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(file)
        .status()
        .unwrap();
    assert!(status.success(), "{arguments}");
}

/// What ffmpeg's filters print about a file.
pub fn filtered(inputs: &[&Path], arguments: &str) -> String {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-nostdin"]);
    for input in inputs {
        command.arg("-i").arg(input);
    }
    let output = command
        .args(arguments.split_whitespace())
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

pub fn ffprobe(file: &Path, arguments: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments.split_whitespace())
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().trim_end_matches(',').to_owned()
}

pub fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text:?}"))
}

pub fn frames(file: &Path) -> u64 {
    let counted = ffprobe(file, "-select_streams v:0 -count_frames -show_entries stream=nb_read_frames");
    // In transport streams ffprobe says it for the programme too.
    number(counted.lines().next().unwrap_or_default()) as u64
}

pub fn seconds(file: &Path) -> f64 {
    number(&ffprobe(file, "-show_entries format=duration"))
}

pub fn size(file: &Path) -> String {
    ffprobe(file, "-select_streams v:0 -show_entries stream=width,height")
}
