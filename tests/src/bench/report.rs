//! Results: a table for people, target/bench.json for programs.

use serde_json::{Value, json};

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
}

/// One measured figure. Where there is no peer, `peer` is 1 in the figure's own unit and the ratio is the figure itself.
pub struct Figure {
    pub name: String,
    pub ours: f64,
    pub peer: f64,
    pub better: Better,
    /// The ratio that must be reached; `None`: only reported.
    pub floor: Option<f64>,
    pub goal: Option<f64>,
    pub runs: usize,
}

/// All figures of a run.
#[derive(Default)]
pub struct Report {
    figures: Vec<Value>,
}

impl Report {
    pub fn add(&mut self, figure: Figure) {
        let ratio = figure.ours / figure.peer;
        let reached = |mark: Option<f64>| match (mark, figure.better) {
            (None, _) => "-",
            (Some(mark), Better::Lower) if ratio <= mark => "yes",
            (Some(mark), Better::Higher) if ratio >= mark => "yes",
            _ => "NO",
        };
        println!(
            "{:<44} ours {:>10.3}  peer {:>10.3}  ratio {:>10.3}  floor {:>8} {:<3}  goal {:>8} {}",
            figure.name,
            figure.ours,
            figure.peer,
            ratio,
            text(figure.floor),
            reached(figure.floor),
            text(figure.goal),
            reached(figure.goal),
        );
        let better = if figure.better == Better::Lower { "lower" } else { "higher" };
        self.figures.push(json!({
            "name": figure.name, "ours": figure.ours, "peer": figure.peer, "ratio": ratio, "better": better,
            "floor": figure.floor, "goal": figure.goal, "runs": figure.runs,
        }));
    }

    /// Writes target/bench.json of the workspace.
    pub fn finish(self) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench.json");
        let text = serde_json::to_string_pretty(&Value::Array(self.figures)).expect("figures are JSON");
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }
}

fn text(mark: Option<f64>) -> String {
    mark.map_or_else(|| "-".into(), |mark| format!("{mark}"))
}

/// Counted runs of each side: 3, or what `MPS_BENCH_RUNS` says.
pub fn runs() -> usize {
    let asked = std::env::var("MPS_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok());
    asked.filter(|runs| *runs > 0).unwrap_or(3)
}

/// Runs in front of them that warm caches; one alone is counted as it is.
pub fn warm_ups() -> usize {
    usize::from(runs() > 1)
}

/// The middle value.
pub fn median(mut values: Vec<f64>) -> f64 {
    percentile(&mut values, 0.5)
}

/// The value below which `share` of the values lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values[((last as f64) * share).round() as usize]
}
