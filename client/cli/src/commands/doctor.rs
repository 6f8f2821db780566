//! mps doctor: what is installed, reachable and permitted, and what to do.

use std::process::Command;

use mps_proto::v1::{GetServerInfoRequest, ListStoragesRequest, TestStorageRequest};

use crate::{
    args::Global,
    commands::{system, task::is_installed},
    config,
    context::{Context, endpoint},
    exit::{self, Exit},
    output::print_line,
};

/// GStreamer elements that the worker cannot do without, with the Debian package that brings each.
const ELEMENTS: [(&str, &str); 6] = [
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avenc_aac", "gstreamer1.0-libav"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("lamemp3enc", "gstreamer1.0-plugins-good"),
    ("webpenc", "gstreamer1.0-plugins-bad"),
    ("videoconvertscale", "gstreamer1.0-plugins-base"),
];

pub async fn run(global: &Global) -> anyhow::Result<Exit> {
    let mut report = Report::default();
    check_programs(&mut report);
    match endpoint(global) {
        Ok((address, key)) => {
            report.add(!key.is_empty(), "an API key is configured", "run `mps up`, or set MPS_KEY");
            report.say(&format!("server address: {address}"));
            check_server(&mut report, global).await;
        }
        Err(error) => report.add(false, &format!("{error:#}"), "remove or mend the file, or run `mps up`"),
    }
    if let Ok(path) = config::path() {
        report.say(&format!("configuration file: {}", path.display()));
    }
    report.finish(global.json)
}

fn check_programs(report: &mut Report) {
    report.add(
        is_installed("redis-server"),
        "redis-server is installed",
        "apt-get install redis-server",
    );
    let programs = std::env::current_exe().ok().and_then(|exe| exe.parent().map(ToOwned::to_owned));
    for program in ["mps-server", "mps-worker"] {
        let found = programs.as_ref().is_some_and(|folder| folder.join(program).is_file());
        report.add(
            found,
            &format!("{program} is beside mps"),
            "run `make build` (only needed for `mps up` on this machine)",
        );
    }
    if !is_installed("gst-inspect-1.0") {
        report.add(
            false,
            "gst-inspect-1.0 is installed",
            "apt-get install gstreamer1.0-tools (only needed where a worker runs)",
        );
        return;
    }
    for (element, package) in ELEMENTS {
        let found = Command::new("gst-inspect-1.0")
            .args(["--exists", element])
            .status()
            .is_ok_and(|status| status.success());
        report.add(found, &format!("GStreamer has {element}"), &format!("apt-get install {package}"));
    }
    report.add(
        is_installed("heif-convert"),
        "heif-convert is installed",
        "apt-get install libheif-examples (only needed for HEIC and AVIF pictures)",
    );
}

async fn check_server(report: &mut Report, global: &Global) {
    let context = match Context::open(global).await {
        Ok(context) => context,
        Err(error) => return report.add(false, &format!("{error:#}"), "check --address"),
    };
    let info = match context.client.system().get_server_info(GetServerInfoRequest {}).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            let hint = "start one with `mps up`, or check --address and --key";
            return report.add(false, &format!("the server answers: {}", status.message()), hint);
        }
    };
    report.add(true, &format!("the server answers (version {})", info.version), "");
    match system::list(&context).await {
        Ok(answer) => {
            let active = answer
                .workers
                .iter()
                .filter(|worker| worker.state() == mps_proto::v1::WorkerState::Active)
                .count();
            report.add(
                active > 0,
                &format!("{active} workers are active"),
                "start `mps-worker run`; its log says why it cannot join",
            );
        }
        Err(error) => report.add(false, &format!("workers can be listed: {error:#}"), "the key needs the role viewer"),
    }
    check_storages(report, &context).await;
}

async fn check_storages(report: &mut Report, context: &Context) {
    let request = ListStoragesRequest {
        parent: context.parent(),
        page_size: 100,
        ..Default::default()
    };
    let Ok(answer) = context.client.storages().list_storages(request).await else {
        return report.add(false, "storages can be listed", "the key needs the role viewer");
    };
    for storage in answer.into_inner().storages {
        let id = storage.name.rsplit('/').next().unwrap_or_default().to_owned();
        match context
            .client
            .storages()
            .test_storage(TestStorageRequest { name: storage.name })
            .await
        {
            Ok(test) => {
                let test = test.into_inner();
                let failed: Vec<String> = test
                    .checks
                    .iter()
                    .filter(|check| !check.ok)
                    .map(|check| format!("{}: {}", check.action, check.message))
                    .collect();
                let text = format!("storage {id} works {}", failed.join("; "));
                report.add(
                    test.ok,
                    text.trim_end(),
                    &format!("mps storage policy {id} prints the least policy to grant"),
                );
            }
            Err(status) => report.add(
                false,
                &format!("storage {id} can be tested: {}", status.message()),
                "the key needs the role operator",
            ),
        }
    }
}

/// Findings, in order.
#[derive(Default)]
struct Report {
    lines: Vec<(Option<bool>, String, String)>,
}

impl Report {
    fn add(&mut self, ok: bool, what: &str, hint: &str) {
        self.lines.push((Some(ok), what.to_owned(), hint.to_owned()));
    }

    fn say(&mut self, what: &str) {
        self.lines.push((None, what.to_owned(), String::new()));
    }

    fn finish(self, json: bool) -> anyhow::Result<Exit> {
        let failed = self.lines.iter().any(|(ok, ..)| *ok == Some(false));
        if json {
            let checks: Vec<serde_json::Value> = self
                .lines
                .iter()
                .map(|(ok, what, hint)| serde_json::json!({"ok": ok, "check": what, "hint": hint}))
                .collect();
            print_line(&serde_json::to_string_pretty(&checks)?);
        } else {
            for (ok, what, hint) in &self.lines {
                match ok {
                    Some(true) => print_line(&format!("ok    {what}")),
                    Some(false) => print_line(&format!("FAIL  {what}\n      → {hint}")),
                    None => print_line(&format!("      {what}")),
                }
            }
        }
        Ok(if failed { exit::FAILURE } else { exit::SUCCESS })
    }
}
