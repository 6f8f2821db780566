//! What becomes of a unit whose attempt is over: a pure decision.

use mps_proto::{
    rpc::Status,
    v1::ErrorReason,
    worker::v1::{Failure, FailureKind},
};

use super::{errors, stall};
use crate::store::leases::{Requeue, UnitRow};

/// Most bytes of the child's log that an error carries.
const MAX_LOG_TAIL: usize = 1024;
/// Longest wait before a retry, in seconds.
const MAX_BACK_OFF_S: i64 = 60;

/// Why an attempt is over.
#[derive(Debug, Clone, Default)]
pub struct AttemptOver {
    pub failure: Failure,
    /// The child crashed or hung.
    pub split: bool,
    /// Handed back unharmed.
    pub released: bool,
    pub log_tail: String,
    /// The state in which it must be found.
    pub guard: Guard,
}

/// In which state the attempt must be found, so that a late event changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Guard {
    #[default]
    Leased,
    /// Leased, and the lease ran out.
    Expired,
    /// Committing, held by this server.
    Committing,
    Queued,
}

impl AttemptOver {
    /// A queued unit of a task that is over.
    pub fn never_started() -> Self {
        Self {
            released: true,
            guard: Guard::Queued,
            ..Self::default()
        }
    }

    /// The lease ran out.
    pub fn lost() -> Self {
        let message = "the worker that had it was not heard of any more";
        let status = errors::status(
            tonic::Code::Unavailable,
            ErrorReason::LeaseLost,
            message,
            "see the worker's log, then restart",
        );
        Self {
            failure: Failure {
                kind: FailureKind::Node as i32,
                status: Some(status),
            },
            guard: Guard::Expired,
            ..Self::default()
        }
    }

    /// The commit could not be carried out.
    pub fn uncommitted(message: &str) -> Self {
        let hint = "test the output's storage, then restart";
        let status = errors::status(tonic::Code::Unavailable, ErrorReason::StorageUnavailable, message, hint);
        Self {
            failure: Failure {
                kind: FailureKind::Outside as i32,
                status: Some(status),
            },
            guard: Guard::Committing,
            ..Self::default()
        }
    }
}

/// What else counts.
pub struct Circumstances {
    /// The task is cancelling, or over.
    pub cancelled: bool,
    /// The same failure was seen on another worker.
    pub elsewhere_too: bool,
    /// An earlier attempt stood still at the same place.
    pub stalled_here_before: bool,
    pub max_attempts: i32,
}

/// What becomes of the unit, or of one node of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Cancel,
    /// Queued again.
    Again(Requeue),
    /// One unit per node, each with this many failures charged.
    Split {
        how: Requeue,
        charged: i32,
    },
    Fail(Status),
}

/// Decides about a whole unit.
pub fn of_unit(unit: &UnitRow, over: &AttemptOver, around: &Circumstances) -> Fate {
    if around.cancelled {
        return Fate::Cancel;
    }
    // a cancel that the task knows nothing of: the worker heard of an earlier run
    let heard_cancel = errors::reason_of(&over.failure) == ErrorReason::Cancelled.reason();
    if over.released || heard_cancel {
        return Fate::Again(Requeue::default());
    }
    if over.split && unit.plan.nodes.len() > 1 {
        // each node gets a try of its own, whatever the pass has cost so far
        let charged = (unit.charged + 1).min(around.max_attempts - 1);
        let how = Requeue {
            charge: 0,
            ..elsewhere(unit, over)
        };
        return Fate::Split { how, charged };
    }
    of_failure(unit, over, around)
}

/// Decides about a failure of the unit, or of a node of its pass.
pub fn of_failure(unit: &UnitRow, over: &AttemptOver, around: &Circumstances) -> Fate {
    if around.cancelled {
        return Fate::Cancel;
    }
    let last = unit.charged + 1 >= around.max_attempts;
    match over.failure.kind() {
        FailureKind::Data => Fate::Fail(final_status(over)),
        // what stands still at one place twice does so by itself
        _ if around.stalled_here_before => Fate::Fail(of_the_file(final_status(over))),
        _ if last => Fate::Fail(final_status(over)),
        FailureKind::Outside => Fate::Again(Requeue {
            charge: 1,
            delay_ms: back_off_ms(unit.charged),
            ..Requeue::default()
        }),
        // what crashes on two machines is the data's fault
        FailureKind::Node | FailureKind::Unspecified if around.elsewhere_too => Fate::Fail(final_status(over)),
        FailureKind::Node | FailureKind::Unspecified => Fate::Again(elsewhere(unit, over)),
    }
}

fn elsewhere(unit: &UnitRow, over: &AttemptOver) -> Requeue {
    Requeue {
        charge: 1,
        delay_ms: 0,
        avoid_worker: unit.worker_id.clone(),
        stall: stall::place(&over.failure),
    }
}

/// A failure that the machine was suspected of, and that is the file's.
fn of_the_file(mut status: Status) -> Status {
    status.code = tonic::Code::FailedPrecondition as i32;
    let hint = "the file stops every pass at this place: make it anew from its source, or choose a clip that leaves the place out";
    errors::with_metadata(status, "hint", hint)
}

/// 2, 4, 8 … seconds.
fn back_off_ms(charged: i32) -> i64 {
    let seconds = 2_i64.saturating_pow(charged.clamp(0, 30) as u32 + 1);
    seconds.min(MAX_BACK_OFF_S) * 1000
}

fn final_status(over: &AttemptOver) -> Status {
    let status = over.failure.status.clone().unwrap_or_else(|| {
        errors::status(
            tonic::Code::Internal,
            ErrorReason::PipelineFailed,
            "the worker gave no reason",
            "see the worker's log",
        )
    });
    if over.log_tail.is_empty() {
        return status;
    }
    errors::with_metadata(status, "log_tail", errors::tail(&over.log_tail, MAX_LOG_TAIL))
}

#[cfg(test)]
mod tests {
    use mps_proto::worker::v1::{MediaPlan, PlanNode};

    use super::*;
    use crate::service::states::UnitState;

    fn unit(nodes: usize, charged: i32) -> UnitRow {
        let node = |number| PlanNode {
            key: format!("n{number}"),
            ..PlanNode::default()
        };
        UnitRow {
            id: "u".into(),
            task_id: "t".into(),
            project: "p".into(),
            run: 1,
            pool: "cpu".into(),
            requirements: "plan.1".into(),
            priority: 0,
            rank: 0.0,
            cost: 1.0,
            state: UnitState::Leased,
            attempt: 1,
            charged,
            worker_id: Some("w1".into()),
            avoid_worker: None,
            last_stall: None,
            plan: MediaPlan {
                nodes: (0..nodes).map(node).collect(),
                ..MediaPlan::default()
            },
            commit_list: None,
            commit_by: None,
        }
    }

    fn failed(kind: FailureKind, reason: ErrorReason) -> AttemptOver {
        AttemptOver {
            failure: Failure {
                kind: kind as i32,
                status: Some(errors::status(tonic::Code::Internal, reason, "it broke", "try")),
            },
            ..AttemptOver::default()
        }
    }

    const OPEN: Circumstances = Circumstances {
        cancelled: false,
        elsewhere_too: false,
        stalled_here_before: false,
        max_attempts: 3,
    };

    #[test]
    fn data_fails_at_once_and_machines_are_retried_elsewhere_three_times() {
        let data = failed(FailureKind::Data, ErrorReason::InputNotMedia);
        assert!(matches!(of_unit(&unit(1, 0), &data, &OPEN), Fate::Fail(_)));
        let node = failed(FailureKind::Node, ErrorReason::Stalled);
        let Fate::Again(how) = of_unit(&unit(1, 1), &node, &OPEN) else {
            panic!()
        };
        assert_eq!((how.charge, how.delay_ms, how.avoid_worker.as_deref()), (1, 0, Some("w1")));
        assert!(matches!(of_unit(&unit(1, 2), &node, &OPEN), Fate::Fail(_)));
    }

    #[test]
    fn a_standstill_is_tried_once_more_and_at_the_same_place_it_is_the_files() {
        let mut stalled = failed(FailureKind::Node, ErrorReason::Stalled);
        let status = stalled.failure.status.take().unwrap();
        let status = errors::with_metadata(errors::with_metadata(status, "stream", "film"), "position", "3.20");
        stalled.failure.status = Some(status);
        let Fate::Again(how) = of_unit(&unit(1, 0), &stalled, &OPEN) else {
            panic!()
        };
        assert_eq!(how.stall.as_deref(), Some("film 3.20"));
        let around = Circumstances {
            stalled_here_before: true,
            ..OPEN
        };
        let Fate::Fail(status) = of_unit(&unit(1, 1), &stalled, &around) else {
            panic!()
        };
        assert_eq!(status.code, tonic::Code::FailedPrecondition as i32);
        let info = errors::info_of(&status).unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["position"].as_str()), ("STALLED", "3.20"));
        assert!(info.metadata["hint"].contains("clip"));
    }

    #[test]
    fn the_outside_is_retried_with_back_off() {
        let outside = failed(FailureKind::Outside, ErrorReason::InputUnavailable);
        for (charged, delay_ms) in [(0, 2000), (1, 4000)] {
            let Fate::Again(how) = of_unit(&unit(1, charged), &outside, &OPEN) else {
                panic!()
            };
            assert_eq!((how.delay_ms, how.avoid_worker), (delay_ms, None));
        }
    }

    #[test]
    fn a_crash_splits_and_leaves_each_node_a_try() {
        let crash = AttemptOver {
            split: true,
            ..failed(FailureKind::Node, ErrorReason::ChildCrashed)
        };
        assert!(matches!(of_unit(&unit(2, 0), &crash, &OPEN), Fate::Split { charged: 1, .. }));
        assert!(matches!(of_unit(&unit(2, 2), &crash, &OPEN), Fate::Split { charged: 2, .. }));
        assert!(matches!(of_unit(&unit(1, 0), &crash, &OPEN), Fate::Again(_)));
    }

    #[test]
    fn a_crash_on_two_workers_is_the_datas_fault() {
        let around = Circumstances {
            elsewhere_too: true,
            ..OPEN
        };
        let crash = failed(FailureKind::Node, ErrorReason::ChildCrashed);
        assert!(matches!(of_unit(&unit(1, 1), &crash, &around), Fate::Fail(_)));
    }

    #[test]
    fn a_unit_handed_back_is_not_charged_and_a_cancelled_task_takes_all() {
        let released = AttemptOver {
            released: true,
            ..AttemptOver::default()
        };
        assert_eq!(of_unit(&unit(1, 2), &released, &OPEN), Fate::Again(Requeue::default()));
        let around = Circumstances { cancelled: true, ..OPEN };
        assert_eq!(of_unit(&unit(1, 0), &released, &around), Fate::Cancel);
    }

    #[test]
    fn the_last_failure_carries_the_end_of_the_log() {
        let over = AttemptOver {
            log_tail: "ä".repeat(2000),
            ..failed(FailureKind::Data, ErrorReason::InputDamaged)
        };
        let Fate::Fail(status) = of_unit(&unit(1, 0), &over, &OPEN) else {
            panic!()
        };
        let info = errors::info_of(&status).unwrap();
        assert_eq!(info.reason, "INPUT_DAMAGED");
        assert!(info.metadata["log_tail"].len() <= MAX_LOG_TAIL);
    }
}
