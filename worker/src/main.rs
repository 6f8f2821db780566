//! mps-worker: `run` (the supervisor) and the hidden `run-unit` (the child).

mod pipe;
mod unit;

fn main() {
    let _ = pipe::MAX_MESSAGE;
    std::process::exit(unit::run());
}
