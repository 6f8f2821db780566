//! mps: the command line of the media processing service.

mod args;
mod commands;
mod config;
mod context;
mod document;
mod exit;
mod output;
mod progress;
mod reference;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let arguments = match args::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { exit::SUCCESS }.into();
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mps: no runtime: {error}");
            return exit::FAILURE.into();
        }
    };
    let result = runtime.block_on(commands::run(arguments));
    // Ctrl-C may have left a blocking read behind: it is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(error) => exit::report(&error).into(),
    }
}
