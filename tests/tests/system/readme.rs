//! What the README shows is what works: its grpcurl calls are run as they stand there.

use std::{path::PathBuf, process::Command, time::Duration};

use mps_proto::v1::TaskState;
use mps_tests::{Stack, StackOptions, media};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_owned()
}

/// The shell block of the README behind `<!-- test: grpcurl -->`.
fn readme_calls() -> String {
    let text = std::fs::read_to_string(repository().join("README.md")).expect("README.md is there");
    let block = text
        .split("<!-- test: grpcurl -->")
        .nth(1)
        .expect("README.md marks its grpcurl block");
    let block = block.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("the mark stands before a shell block").to_owned()
}

/// Runs a script with the tools of this repository in front of the path.
fn shell(script: &str, stack: &Stack) -> (bool, String) {
    let tools = repository().join(".tools/bin");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .env("PATH", path)
        .env("MPS_KEY", stack.admin_key())
        .env("MPS_HOST", format!("127.0.0.1:{}", stack.public_port))
        .output()
        .expect("bash is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn has_grpcurl() -> bool {
    repository().join(".tools/bin/grpcurl").exists()
}

/// The same calls by `buf curl`, where grpcurl cannot be had.
fn as_buf_curl(calls: &str) -> String {
    let joined = calls.replace("\\\n", " ");
    let mut script = String::new();
    for call in joined.split("grpcurl ").skip(1) {
        let call = call
            .trim()
            .replace("-plaintext", "--http2-prior-knowledge")
            .replace("-max-time 5", "");
        let call = call
            .replace("\"$MPS_HOST\" mps.v1", "\"http://$MPS_HOST/mps.v1")
            .replace("/ProcessMedia", "/ProcessMedia\"");
        script += &format!("timeout 5 buf curl {}\n", call.replace("/WatchTasks", "/WatchTasks\""));
    }
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcurl_calls_of_the_readme_work_as_they_stand_there() {
    let stack = Stack::start(StackOptions::default()).await;
    let clip = stack.folder.path().join("clip.mp4");
    media::clip(&clip, 3, "320x240");
    stack.upload(&clip, "in/clip.mp4").await;
    let calls = readme_calls();
    let script = if has_grpcurl() { calls } else { as_buf_curl(&calls) };
    // The watch of the README ends by its time limit, which is an exit code of its own: what counts is what came.
    let (_, text) = shell(&script.replace("set -e", ""), &stack);
    assert!(
        text.contains("\"name\": \"projects/default/tasks/"),
        "ProcessMedia answers with the task: {text}"
    );
    assert!(text.contains("initialStateComplete"), "WatchTasks sends the snapshot's end: {text}");
    let name = text
        .split("\"name\": \"")
        .filter_map(|rest| rest.split('"').next())
        .find(|name| name.contains("/tasks/"))
        .expect("a task has a name");
    let task = stack.wait_ended(name, Duration::from_secs(60)).await;
    assert_eq!(task.state(), TaskState::Succeeded, "{task:#?}");
    let keys: Vec<&str> = task
        .node_statuses
        .iter()
        .flat_map(|status| &status.outputs)
        .map(|output| output.key.as_str())
        .collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("out/")), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_shows_the_contract_with_its_comments() {
    if !has_grpcurl() {
        return; // `make test` names the missing tool in its last lines.
    }
    let stack = Stack::start(StackOptions::default().workers(0)).await;
    let (ok, text) = shell(
        "grpcurl -plaintext -H \"authorization: Bearer $MPS_KEY\" \"$MPS_HOST\" describe mps.v1.VideoSettings",
        &stack,
    );
    assert!(ok && text.contains("Constant rate factor"), "{text}");
    let (ok, text) = shell(
        "grpcurl -plaintext -H \"authorization: Bearer $MPS_KEY\" \"$MPS_HOST\" list",
        &stack,
    );
    assert!(
        ok && text.contains("mps.v1.TaskService") && text.contains("grpc.health.v1.Health"),
        "{text}"
    );
    assert!(!text.contains("mps.worker"), "the internal service is not shown: {text}");
    let (ok, text) = shell("grpcurl -plaintext \"$MPS_HOST\" grpc.health.v1.Health/Check", &stack);
    assert!(ok && text.contains("SERVING"), "health needs no key: {text}");
}
