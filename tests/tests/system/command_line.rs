//! The mps command against a real `mps up`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use mps_tests::{
    media,
    process::{Process, bin_dir},
    wait::until,
};
use serde_json::Value;

/// `mps up` in a folder of its own.
struct Up {
    process: Process,
    folder: tempfile::TempDir,
}

impl Up {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("mps-up-").tempdir().expect("temporary folder");
        let process = Self::spawn(folder.path());
        let up = Self { process, folder };
        up.wait_ready().await;
        up
    }

    fn spawn(folder: &Path) -> Process {
        let mut command = Command::new(bin_dir().join("mps"));
        command
            .args(["up", "--port", "0", "--data-dir"])
            .arg(folder.join("data"))
            .env("MPS_CONFIG_FILE", folder.join("config.toml"));
        let _ = std::fs::remove_file(folder.join("up.log"));
        Process::start(&mut command, &folder.join("up.log"))
    }

    async fn wait_ready(&self) {
        until("mps up is ready", Duration::from_secs(60), || async {
            self.process.log_text().contains("ready;").then_some(())
        })
        .await;
    }

    fn mps(&self, arguments: &[&str]) -> Output {
        Command::new(bin_dir().join("mps"))
            .args(arguments)
            .env("MPS_CONFIG_FILE", self.folder.path().join("config.toml"))
            .current_dir(self.folder.path())
            .output()
            .expect("mps runs")
    }

    /// Runs a command that must succeed; gives its output.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.mps(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "mps {arguments:?}: {}\n{text}{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.logs()
        );
        text
    }

    fn logs(&self) -> String {
        ["server", "worker"]
            .map(|name| std::fs::read_to_string(self.folder.path().join(format!("data/logs/{name}.log"))).unwrap_or_default())
            .join("\n")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&self.ok(&all)).expect("--json prints JSON")
    }
}

fn clip(up: &Up) -> PathBuf {
    let path = up.folder.path().join("my clip.mp4");
    media::clip(&path, 3, "640x360");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_machine_stack_processes_a_file_and_keeps_its_tasks() {
    let mut up = Up::start().await;
    let file = clip(&up);
    let file = file.to_str().expect("path is UTF-8");
    up.ok(&[
        "process",
        file,
        "--transcode",
        "preset-h264-360p",
        "--snapshot",
        "10%",
        "--snapshot",
        "1s",
        "--download",
        "out",
    ]);
    let files: Vec<PathBuf> = std::fs::read_dir(up.folder.path().join("out"))
        .expect("outputs are there")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let video = files
        .iter()
        .find(|path| path.extension().is_some_and(|suffix| suffix == "mp4"))
        .expect("an mp4");
    assert_eq!(media::decode_fully(video), 90);

    let tasks = up.json(&["task", "list"]);
    assert_eq!(tasks["tasks"][0]["state"], "TASK_STATE_SUCCEEDED");
    let name = tasks["tasks"][0]["name"].as_str().expect("a name").to_owned();
    let probe = up.json(&["probe", file]);
    assert_eq!(probe["container"], "mp4");
    up.ok(&["doctor"]);

    up.process.signal(nix::sys::signal::Signal::SIGINT);
    until("mps up has ended", Duration::from_secs(20), || {
        let alive = up.process.is_alive();
        async move { (!alive).then_some(()) }
    })
    .await;
    up.process = Up::spawn(up.folder.path());
    up.wait_ready().await;
    assert_eq!(
        up.json(&["task", "get", &name])["state"],
        "TASK_STATE_SUCCEEDED",
        "tasks outlive a restart"
    );
    up.process.stop(Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_are_as_documented() {
    let mut up = Up::start().await;
    let code = |arguments: &[&str]| up.mps(arguments).status.code();
    assert_eq!(code(&["no-such-command"]), Some(64));
    assert_eq!(code(&["process", "missing.mp4"]), Some(64));
    assert_eq!(code(&["task", "get", "01k0000000000000000000000x"]), Some(66));
    assert_eq!(code(&["--address", "http://127.0.0.1:9", "task", "list"]), Some(69));
    assert_eq!(code(&["--key", "mps_no_key", "task", "list"]), Some(77));
    let text = up.folder.path().join("text.mp4");
    std::fs::write(&text, "this is no film\n".repeat(100)).expect("file");
    let output = up.mps(&["process", "text.mp4", "--transcode", "preset-h264-360p"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("text"), "the hint is shown");
    up.process.stop(Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stack_ends_with_its_mps_up() {
    let mut up = Up::start().await;
    let children = up.process.children();
    assert_eq!(children.len(), 3, "redis, server and worker");
    up.process.kill();
    until("the children are gone", Duration::from_secs(20), || async {
        let left = children.iter().filter(|pid| mps_tests::process::is_running(**pid)).count();
        (left == 0).then_some(())
    })
    .await;
}
