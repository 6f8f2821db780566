//! Plays a stream in a real browser: Debian's Chromium with hls.js or dash.js (tests/browser).

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What a browser saw.
#[derive(Debug)]
pub struct Played {
    /// Errors of the player and of the page; none in a good run.
    pub errors: Vec<String>,
    pub duration: f64,
    pub renditions: Vec<Value>,
    pub audio_tracks: u64,
    pub text_tracks: u64,
    /// Width and height shown after the switch to each rendition.
    pub sizes: Vec<(u64, u64)>,
    pub frames: u64,
}

/// Whether this machine has the browser and the players.
pub fn is_installed() -> bool {
    modules().join("node_modules/playwright-core").is_dir() && Path::new("/usr/bin/chromium").exists()
}

/// Plays the first `seconds`, seeks to `seek_to`, and switches to each rendition. `kind`: `hls` or `dash`; `url` may also be the path of
/// a manifest beside its segments.
pub fn play(kind: &str, url: &str, seconds: f64, seek_to: f64) -> Played {
    let script = repository().join("tests/browser/play.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(modules())
        .args([kind, url, &seconds.to_string(), &seek_to.to_string()])
        .output()
        .expect("node is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("the browser said: {text}{}", String::from_utf8_lossy(&output.stderr)));
    read(&told)
}

fn read(told: &Value) -> Played {
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    let number = |name: &str| told[name].as_u64().unwrap_or_default();
    let size = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_u64()?));
    Played {
        errors: list("errors")
            .iter()
            .chain(&list("console"))
            .filter_map(|error| Some(error.as_str()?.to_owned()))
            .collect(),
        duration: told["duration"].as_f64().unwrap_or_default(),
        renditions: list("renditions"),
        audio_tracks: number("audio_tracks"),
        text_tracks: number("text_tracks"),
        sizes: list("sizes").iter().filter_map(size).collect(),
        frames: number("frames"),
    }
}

fn modules() -> PathBuf {
    repository().join(".tools/browser")
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}
