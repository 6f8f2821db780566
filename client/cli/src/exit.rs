//! Exit codes and how an error is shown. The codes stand in the README.

use std::process::ExitCode;

use mps_client::ClientError;
use tonic::Code;

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(u8);

/// Done.
pub const SUCCESS: Exit = Exit(0);
/// Something failed that no other code names.
pub const FAILURE: Exit = Exit(1);
/// A task failed, in whole or in part, or was cancelled.
pub const TASK_FAILED: Exit = Exit(2);
/// Wrong arguments.
pub const USAGE: Exit = Exit(64);
/// There is no such resource.
pub const NOT_FOUND: Exit = Exit(66);
/// The server does not answer.
pub const UNAVAILABLE: Exit = Exit(69);
/// No valid key, or its role is too low.
pub const NO_PERMISSION: Exit = Exit(77);
/// Ctrl-C: detached; tasks go on.
pub const DETACHED: Exit = Exit(130);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.0)
    }
}

/// Wrong use of the command line, found after parsing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// Prints an error with what to do about it; gives the exit code.
pub fn report(error: &anyhow::Error) -> Exit {
    if error.downcast_ref::<UsageError>().is_some() {
        eprintln!("mps: {error}");
        return USAGE;
    }
    match status_of(error) {
        Some(status) => {
            eprintln!("mps: {}", mps_client::describe(status));
            of_code(status.code())
        }
        None => {
            eprintln!("mps: {error:#}");
            FAILURE
        }
    }
}

/// The gRPC status behind an error, wherever it stands in the chain.
fn status_of(error: &anyhow::Error) -> Option<&tonic::Status> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Call(status)) => Some(status),
        _ => cause.downcast_ref::<tonic::Status>(),
    })
}

fn of_code(code: Code) -> Exit {
    match code {
        Code::InvalidArgument | Code::OutOfRange => USAGE,
        Code::NotFound => NOT_FOUND,
        Code::Unavailable | Code::DeadlineExceeded => UNAVAILABLE,
        Code::Unauthenticated | Code::PermissionDenied => NO_PERMISSION,
        _ => FAILURE,
    }
}
