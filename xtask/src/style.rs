//! check-style: what every tracked file looks like.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, ensure};

/// Folders with our own Rust.
const RUST_FOLDERS: &[&str] = &["server/", "worker/", "client/", "crates/", "proto/", "xtask/", "tests/"];
const MAX_LINES: usize = 700;
/// Macros that mark unfinished work or were forgotten. In pieces, so that this file passes its own check.
const FORBIDDEN_MACROS: &[&str] = &[concat!("to", "do!"), concat!("un", "implemented!"), concat!("d", "bg!")];
/// Names that adapters must not know: SQL and Redis live elsewhere.
const NOT_IN_ADAPTERS: &[&str] = &["sea_orm", "sqlx", "redis", "SELECT ", "INSERT INTO", "DELETE FROM"];
/// Folders of one developer's machine.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

pub fn check() -> anyhow::Result<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    let mut violations = Vec::new();
    for file in tracked(root)? {
        let path = root.join(&file);
        // Deleted but not yet committed, or no text: nothing to read.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        violations.extend(check_file(&file, &text));
    }
    Ok(violations)
}

fn tracked(root: &Path) -> anyhow::Result<Vec<String>> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("git is needed")?;
    ensure!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).context("a file's name is not UTF-8")?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn check_file(file: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    if file.ends_with(".rs") && RUST_FOLDERS.iter().any(|folder| file.starts_with(folder)) {
        violations.extend(check_rust(file, text));
    }
    if !file.ends_with("Cargo.lock") {
        violations.extend(find(file, text, MACHINE_PATHS, "path of one machine"));
    }
    violations
}

fn check_rust(file: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    if !text.starts_with("//! ") {
        violations.push(format!("{file}:1: does not open with a `//!` line that says what lives here"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        violations.push(format!("{file}: has {lines} lines; at most {MAX_LINES}, so split it"));
    }
    violations.extend(find(file, text, FORBIDDEN_MACROS, "unfinished or forgotten"));
    if file.starts_with("server/src/grpc/") && !file.ends_with("tests.rs") {
        violations.extend(find(file, text, NOT_IN_ADAPTERS, "adapters know no SQL and no Redis"));
    }
    violations
}

/// Lines that contain one of the needles as a word or path of its own.
fn find(file: &str, text: &str, needles: &[&str], why: &str) -> Vec<String> {
    let mut violations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for needle in needles.iter().filter(|needle| has_word(line, needle)) {
            violations.push(format!("{file}:{}: {needle} ({why})", number + 1));
        }
    }
    violations
}

/// The needle where no letter, digit or path goes before it: `https://host/home/` is no folder of a machine.
fn has_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|start| start.chars().next_back());
        !before.is_some_and(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | '}' | '$' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_violation() {
        let unfinished = format!("//! x\nfn f() {{ {}() }}\n", FORBIDDEN_MACROS[0]);
        let machine = format!("path = {}me\n", MACHINE_PATHS[0]);
        for (file, text) in [
            ("server/src/a.rs", "fn main() {}\n"),
            ("server/src/a.rs", unfinished.as_str()),
            ("server/src/grpc/a.rs", "//! x\nuse sea_orm::X;\n"),
            ("worker/src/a.rs", &format!("//! x\n{}", "\n".repeat(MAX_LINES))),
            ("README.md", &machine),
        ] {
            assert_eq!(check_file(file, text).len(), 1, "{file}: {text:.60}");
        }
    }

    #[test]
    fn what_only_looks_alike_passes() {
        for (file, text) in [
            ("server/src/a.rs", "//! x\nuse sea_orm::X;\n"),
            (
                "README.md",
                &format!("see https://example.org{0}page and target{0}x", MACHINE_PATHS[0]),
            ),
            ("scripts/x.rs", "fn main() {}"),
            ("Cargo.lock", &format!("{}x", MACHINE_PATHS[0])),
        ] {
            assert_eq!(check_file(file, text), Vec::<String>::new(), "{file}");
        }
    }
}
