//! RenewLeases: all leases of a worker at once. It changes no state and locks no task.

use std::{collections::HashMap, time::Duration};

use mps_proto::{
    v1::TaskState,
    worker::v1::{LeaseState, LeaseVerdict, UnitAttempt},
};

use super::{fence::UnitError, lease::ttl_ms, states::UnitState};
use crate::{
    app::App,
    error::ApiError,
    store::leases::{
        Token,
        keep::{self, Standing},
    },
};

/// Most units that one worker renews at once.
const MAX_UNITS: usize = 1000;

/// What a renewal tells.
#[derive(Debug)]
pub struct Renewal {
    /// One for each unit that was asked about, in order.
    pub verdicts: Vec<LeaseVerdict>,
    pub drain: bool,
    pub unknown_worker: bool,
}

/// Renews what the worker still holds. A late renewal of a unit that nobody took revives its lease.
pub async fn renew(app: &App, worker_id: &str, tokens: &[Token]) -> Result<Renewal, UnitError> {
    if tokens.len() > MAX_UNITS {
        return Err(ApiError::invalid_field("units", "at most 1,000").into());
    }
    let draining = keep::renew(&app.store, worker_id, tokens, ttl_ms(app)).await?;
    let standings = keep::standings(&app.store, tokens).await?;
    let by_id: HashMap<&str, &Standing> = standings
        .iter()
        .map(|standing| (standing.token.unit_id.as_str(), standing))
        .collect();
    let verdict = |token: &Token| verdict(worker_id, token, by_id.get(token.unit_id.as_str()).copied());
    Ok(Renewal {
        verdicts: tokens.iter().map(verdict).collect(),
        drain: draining.unwrap_or(false),
        unknown_worker: draining.is_none(),
    })
}

fn verdict(worker_id: &str, token: &Token, standing: Option<&Standing>) -> LeaseVerdict {
    let state = standing.map_or(LeaseState::Fenced, |standing| lease_state(worker_id, token, standing));
    let remaining_ms = match (state, standing) {
        (LeaseState::Held, Some(standing)) => standing.remaining_ms.max(0) as u64,
        _ => 0,
    };
    LeaseVerdict {
        unit: Some(UnitAttempt {
            unit_id: token.unit_id.clone(),
            attempt: token.attempt,
        }),
        state: state as i32,
        remaining: prost_types::Duration::try_from(Duration::from_millis(remaining_ms)).ok(),
    }
}

fn lease_state(worker_id: &str, token: &Token, standing: &Standing) -> LeaseState {
    let same = standing.token.attempt == token.attempt && standing.worker_id.as_deref() == Some(worker_id);
    let cancelling = standing.task_state == Some(TaskState::Cancelling as i32);
    match standing.state {
        UnitState::Leased if same && cancelling => LeaseState::Cancelled,
        UnitState::Leased if same => LeaseState::Held,
        // the answer to CompleteUnit tells the rest
        UnitState::Committing | UnitState::Done if same => LeaseState::Held,
        _ => LeaseState::Fenced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(state: UnitState, attempt: i32, task: TaskState) -> Standing {
        Standing {
            token: Token {
                unit_id: "u".into(),
                attempt,
            },
            state,
            worker_id: Some("w".into()),
            remaining_ms: 5000,
            task_state: Some(task as i32),
        }
    }

    fn told(standing: &Standing) -> LeaseState {
        let token = Token {
            unit_id: "u".into(),
            attempt: 2,
        };
        verdict("w", &token, Some(standing)).state()
    }

    #[test]
    fn only_the_attempt_that_holds_the_unit_goes_on() {
        assert_eq!(told(&standing(UnitState::Leased, 2, TaskState::Processing)), LeaseState::Held);
        assert_eq!(told(&standing(UnitState::Leased, 3, TaskState::Processing)), LeaseState::Fenced);
        assert_eq!(told(&standing(UnitState::Queued, 2, TaskState::Processing)), LeaseState::Fenced);
        assert_eq!(told(&standing(UnitState::Cancelled, 2, TaskState::Cancelled)), LeaseState::Fenced);
    }

    #[test]
    fn a_cancelling_task_cancels_what_is_leased_but_not_what_commits() {
        assert_eq!(told(&standing(UnitState::Leased, 2, TaskState::Cancelling)), LeaseState::Cancelled);
        assert_eq!(told(&standing(UnitState::Committing, 2, TaskState::Cancelling)), LeaseState::Held);
    }
}
