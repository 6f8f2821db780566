//! Benchmarks: ratios measured side by side in one run, against what a user would run instead. Prints a table and writes target/bench.json.
//!
//! `mps-bench [NAME…]` runs those whose name begins with one of the words; without words all of them.

use mps_tests::bench::{calls, latency, memory, nodes, probe, report::Report, transcode};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.starts_with(word.as_str()));
    let mut report = Report::default();
    if is_wanted("transcode") {
        transcode::one(&mut report).await;
    }
    if is_wanted("pass") {
        transcode::two_and_snapshots(&mut report).await;
    }
    if is_wanted("ladder") {
        nodes::everything(&mut report).await;
    }
    if is_wanted("shaka") {
        nodes::against_shaka(&mut report).await;
    }
    if is_wanted("pictures") {
        nodes::thousand_pictures(&mut report).await;
    }
    if is_wanted("remux") {
        nodes::remux(&mut report).await;
    }
    if is_wanted("probe") {
        probe::run(&mut report).await;
    }
    if is_wanted("playable") {
        nodes::first_playable(&mut report).await;
    }
    if is_wanted("calls") {
        calls::run(&mut report).await;
    }
    if is_wanted("latency") {
        latency::run(&mut report).await;
    }
    if is_wanted("memory") {
        memory::run(&mut report).await;
    }
    report.finish();
}
