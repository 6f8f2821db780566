//! Repository checks that no other tool makes: which crate may depend on which, and what every file looks like.

mod deps;
mod style;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run -p xtask -- check-deps | check-style";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let checked = match command.as_str() {
        "check-deps" => deps::check(),
        "check-style" => style::check(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match checked {
        Ok(violations) if violations.is_empty() => ExitCode::SUCCESS,
        Ok(violations) => {
            for violation in &violations {
                eprintln!("{violation}");
            }
            eprintln!("{command}: {} violations", violations.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
