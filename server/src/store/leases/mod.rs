//! SQL of leasing: what workers do to units. Lock order: task, unit, output, outbox, worker; callers lock the task first.

pub mod keep;

use mps_proto::worker::v1::MediaPlan;
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::{Store, units::PROBE_PRIORITY};
use crate::service::states::UnitState;

pub(super) const COLUMNS: &str = "id, task_id, project_id, run, pool, requirements, priority, rank, cost, state, attempt, charged, \
    worker_id, avoid_worker, last_stall, plan, commit_list, commit_by";
/// Sets of requirements that one statement looks through.
const SETS_PER_STATEMENT: usize = 100;

/// One unit.
#[derive(Debug, Clone)]
pub struct UnitRow {
    pub id: String,
    /// Empty: a probe.
    pub task_id: String,
    pub project: String,
    pub run: i32,
    pub pool: String,
    pub requirements: String,
    pub priority: i32,
    pub rank: f64,
    pub cost: f64,
    pub state: UnitState,
    pub attempt: i32,
    /// Attempts that failed by the fault of machines or the outside.
    pub charged: i32,
    /// Worker of the last attempt.
    pub worker_id: Option<String>,
    /// Worker on which it failed.
    pub avoid_worker: Option<String>,
    /// Where an earlier attempt stood still: stream and seconds.
    pub last_stall: Option<String>,
    pub plan: MediaPlan,
    /// A `CompleteUnitRequest`, from `committing` on.
    pub commit_list: Option<Vec<u8>>,
    pub commit_by: Option<String>,
}

impl UnitRow {
    pub(super) fn read(row: &QueryResult) -> Result<Self, DbErr> {
        let state: i32 = row.try_get("", "state")?;
        let plan: Vec<u8> = row.try_get("", "plan")?;
        Ok(Self {
            id: row.try_get("", "id")?,
            task_id: row.try_get("", "task_id")?,
            project: row.try_get("", "project_id")?,
            run: row.try_get("", "run")?,
            pool: row.try_get("", "pool")?,
            requirements: row.try_get("", "requirements")?,
            priority: row.try_get("", "priority")?,
            rank: row.try_get("", "rank")?,
            cost: row.try_get("", "cost")?,
            state: UnitState::of(state).ok_or_else(|| DbErr::Type(format!("unit has unknown state {state}")))?,
            attempt: row.try_get("", "attempt")?,
            charged: row.try_get("", "charged")?,
            worker_id: row.try_get("", "worker_id")?,
            avoid_worker: row.try_get("", "avoid_worker")?,
            last_stall: row.try_get("", "last_stall")?,
            plan: MediaPlan::decode(plan.as_slice()).map_err(|error| DbErr::Type(format!("plan does not decode: {error}")))?,
            commit_list: row.try_get("", "commit_list")?,
            commit_by: row.try_get("", "commit_by")?,
        })
    }

    pub fn is_probe(&self) -> bool {
        self.task_id.is_empty()
    }

    /// Whether this attempt holds the unit.
    pub fn is_leased(&self, attempt: i32) -> bool {
        self.state == UnitState::Leased && self.attempt == attempt
    }
}

/// The fencing token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub unit_id: String,
    pub attempt: i32,
}

/// A unit, as committed.
pub async fn get(store: &Store, id: &str) -> Result<Option<UnitRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM units WHERE id = $1");
    let row = store.reader().query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref().map(UnitRow::read).transpose()
}

/// A unit, within a transaction that locked its task.
pub async fn get_in(store: &Store, txn: &DatabaseTransaction, id: &str) -> Result<Option<UnitRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM units WHERE id = $1");
    let row = txn.query_one_raw(store.sql(&text, [id.into()])).await?;
    row.as_ref().map(UnitRow::read).transpose()
}

/// The database's clock within a transaction.
pub async fn now_in(store: &Store, txn: &DatabaseTransaction) -> Result<i64, DbErr> {
    let row = txn.query_one_raw(store.sql("SELECT {now} AS now", [])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("clock".into()))?.try_get("", "now")
}

/// Distinct requirements of a pool's units.
pub async fn requirement_sets(store: &Store, pool: &str) -> Result<Vec<String>, DbErr> {
    let text = "SELECT requirements FROM requirement_sets WHERE pool = $1";
    let rows = store.reader().query_all_raw(store.sql(text, [pool.into()])).await?;
    rows.iter().map(|row| row.try_get("", "requirements")).collect()
}

/// Projects that run as many units of tasks as they may.
pub async fn saturated_projects(store: &Store, limit: i64) -> Result<Vec<String>, DbErr> {
    let text = "SELECT project_id FROM units WHERE state IN (2, 3) AND task_id <> '' GROUP BY project_id HAVING count(*) >= $1";
    let rows = store.reader().query_all_raw(store.sql(text, [limit.into()])).await?;
    rows.iter().map(|row| row.try_get("", "project_id")).collect()
}

/// Priorities that are asked for, both ends included.
#[derive(Debug, Clone, Copy)]
pub struct Priorities {
    pub lowest: i32,
    pub highest: i32,
}

impl Priorities {
    pub const ALL: Self = Self {
        lowest: i32::MIN,
        highest: i32::MAX,
    };
    pub const OF_TASKS: Self = Self {
        highest: PROBE_PRIORITY - 1,
        ..Self::ALL
    };
    pub const OF_PROBES: Self = Self {
        lowest: PROBE_PRIORITY,
        ..Self::ALL
    };
}

/// What a worker may be given.
pub struct Pick<'a> {
    pub pool: &'a str,
    pub worker_id: &'a str,
    /// Requirements that the worker meets, and whether another live worker meets them too: then units that failed here go there.
    pub sets: &'a [(String, bool)],
    pub priorities: Priorities,
    pub without_projects: &'a [String],
    pub limit: i64,
}

/// A queued unit that could be leased; nothing is locked yet.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub unit_id: String,
    pub task_id: String,
    pub attempt: i32,
    priority: i32,
    rank: f64,
    front: i64,
}

/// The best queued units that fit, best first: for each set of requirements the head of its part of the queue's index.
pub async fn candidates(store: &Store, pick: &Pick<'_>) -> Result<Vec<Candidate>, DbErr> {
    let mut found = Vec::new();
    for sets in pick.sets.chunks(SETS_PER_STATEMENT) {
        let (text, values) = candidates_sql(pick, sets);
        for row in store.reader().query_all_raw(store.sql(&text, values)).await? {
            found.push(Candidate {
                unit_id: row.try_get("", "id")?,
                task_id: row.try_get("", "task_id")?,
                attempt: row.try_get("", "attempt")?,
                priority: row.try_get("", "priority")?,
                rank: row.try_get("", "rank")?,
                front: row.try_get("", "front")?,
            });
        }
    }
    found.sort_by(|a, b| {
        (b.priority.cmp(&a.priority))
            .then(a.rank.total_cmp(&b.rank))
            .then(a.front.cmp(&b.front))
            .then(a.unit_id.cmp(&b.unit_id))
    });
    found.truncate(pick.limit.max(0) as usize);
    Ok(found)
}

fn candidates_sql(pick: &Pick<'_>, sets: &[(String, bool)]) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![
        pick.pool.into(),
        pick.worker_id.into(),
        pick.limit.into(),
        pick.priorities.lowest.into(),
        pick.priorities.highest.into(),
    ];
    let mut place = |value: &str| {
        values.push(value.into());
        format!("${}", values.len())
    };
    let projects: Vec<String> = pick.without_projects.iter().map(|project| place(project)).collect();
    let allowed = if projects.is_empty() {
        String::new()
    } else {
        format!("AND project_id NOT IN ({})", projects.join(","))
    };
    let mut parts = Vec::new();
    for (number, (requirements, elsewhere)) in sets.iter().enumerate() {
        let avoid = if *elsewhere {
            "AND (avoid_worker IS NULL OR avoid_worker <> $2)"
        } else {
            "AND $2 <> ''"
        };
        let requirements = place(requirements);
        parts.push(format!(
            "SELECT * FROM (SELECT id, task_id, attempt, priority, rank, front FROM units WHERE pool = $1 AND requirements = {requirements} \
             AND state = 1 AND priority >= $4 AND priority <= $5 AND not_before_ms <= {{now}} {avoid} {allowed} ORDER BY priority DESC, rank, front, id LIMIT $3) AS set{number}"
        ));
    }
    (parts.join(" UNION ALL "), values)
}

/// Whether the task's row can be locked without waiting for another transaction. SQLite has one writer: always.
pub async fn is_lockable(store: &Store, txn: &DatabaseTransaction, task_id: &str) -> Result<bool, DbErr> {
    if !store.is_postgres() {
        return Ok(true);
    }
    let text = "SELECT id FROM tasks WHERE id = $1 {skip_locked}";
    Ok(txn.query_one_raw(store.sql(text, [task_id.into()])).await?.is_some())
}

/// Leases a queued unit: attempt + 1. `None` when somebody was faster.
pub async fn take(
    store: &Store,
    txn: &DatabaseTransaction,
    candidate: &Candidate,
    worker_id: &str,
    ttl_ms: i64,
) -> Result<Option<UnitRow>, DbErr> {
    let text = format!(
        "UPDATE units SET state = 2, attempt = attempt + 1, worker_id = $3, lease_until_ms = {{now}} + $4, start_ms = {{now}}, \
         commit_list = NULL, commit_by = NULL, commit_until_ms = NULL WHERE id = $1 AND attempt = $2 AND state = 1 RETURNING {COLUMNS}"
    );
    let values = [
        candidate.unit_id.as_str().into(),
        candidate.attempt.into(),
        worker_id.into(),
        ttl_ms.into(),
    ];
    let row = txn.query_one_raw(store.sql(&text, values)).await?;
    row.as_ref().map(UnitRow::read).transpose()
}

/// Raises the highest rank that was leased in a pool: where idle projects join the queue. A unit that overtook older ones of its own
/// project by priority raises nothing: its rank counts those that still wait, and others would have to wait for them too.
pub async fn raise_pool_rank(store: &Store, txn: &DatabaseTransaction, unit: &UnitRow) -> Result<(), DbErr> {
    let text = "INSERT INTO pool_ranks (pool, highest_rank) SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM \
        (SELECT pool, rank FROM units WHERE project_id = $3 AND state = 1 AND priority < $4 LIMIT 200) AS behind \
        WHERE behind.pool = $1 AND behind.rank < $2) ON CONFLICT (pool) DO UPDATE \
        SET highest_rank = excluded.highest_rank WHERE pool_ranks.highest_rank < excluded.highest_rank";
    let values = [
        unit.pool.as_str().into(),
        unit.rank.into(),
        unit.project.as_str().into(),
        unit.priority.into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Ends a unit. `false` when it is not in the state any more.
pub async fn end(store: &Store, txn: &DatabaseTransaction, unit: &UnitRow, to: UnitState) -> Result<bool, DbErr> {
    let text = "UPDATE units SET state = $4, lease_until_ms = NULL, commit_until_ms = NULL WHERE id = $1 AND attempt = $2 AND state = $3";
    let values = [
        unit.id.as_str().into(),
        unit.attempt.into(),
        (unit.state as i32).into(),
        (to as i32).into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// How a unit is queued again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requeue {
    /// 1 when the failure counts.
    pub charge: i32,
    /// From now, by the database's clock.
    pub delay_ms: i64,
    pub avoid_worker: Option<String>,
    /// Where this attempt stood still.
    pub stall: Option<String>,
}

/// Queues a unit again; the next lease raises the attempt. `false` when it is not in the state any more.
pub async fn requeue(store: &Store, txn: &DatabaseTransaction, unit: &UnitRow, how: &Requeue) -> Result<bool, DbErr> {
    let text = "UPDATE units SET state = 1, charged = charged + $4, not_before_ms = CASE WHEN $5 > 0 THEN {now} + $5 ELSE 0 END, \
        avoid_worker = COALESCE($6, avoid_worker), last_stall = COALESCE($7, last_stall), lease_until_ms = NULL, commit_until_ms = NULL, commit_list = NULL, commit_by = NULL \
        WHERE id = $1 AND attempt = $2 AND state = $3";
    let values = [
        unit.id.as_str().into(),
        unit.attempt.into(),
        (unit.state as i32).into(),
        how.charge.into(),
        how.delay_ms.into(),
        how.avoid_worker.clone().into(),
        how.stall.clone().into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Places a unit that was queued in this transaction: its rank, and when and where it may start.
pub async fn place(store: &Store, txn: &DatabaseTransaction, unit_id: &str, rank: f64, how: &Requeue) -> Result<(), DbErr> {
    let text = "UPDATE units SET rank = $4, not_before_ms = CASE WHEN $2 > 0 THEN {now} + $2 ELSE 0 END, avoid_worker = $3, \
        last_stall = $5 WHERE id = $1";
    let values = [
        unit_id.into(),
        how.delay_ms.into(),
        how.avoid_worker.clone().into(),
        rank.into(),
        how.stall.clone().into(),
    ];
    txn.execute_raw(store.sql(text, values)).await?;
    Ok(())
}

/// Writes what a probe found.
pub async fn write_probe_result(store: &Store, txn: &DatabaseTransaction, unit_id: &str, result: Vec<u8>) -> Result<(), DbErr> {
    let text = "UPDATE probes SET result = $2 WHERE unit_id = $1";
    txn.execute_raw(store.sql(text, [unit_id.into(), result.into()])).await?;
    Ok(())
}

/// Input of a probe: a `v1::TaskInput`.
pub async fn probe_input(store: &Store, unit_id: &str) -> Result<Option<Vec<u8>>, DbErr> {
    let text = "SELECT input FROM probes WHERE unit_id = $1";
    let row = store.reader().query_one_raw(store.sql(text, [unit_id.into()])).await?;
    row.map(|row| row.try_get("", "input")).transpose()
}

/// Drops reserved outputs of a unit that will not make them, and ends its sets; of one node, or of all.
pub async fn drop_outputs(store: &Store, txn: &DatabaseTransaction, unit_id: &str, node_key: Option<&str>) -> Result<(), DbErr> {
    let text = "UPDATE outputs SET reserved = 0, state = 4 WHERE unit_id = $1 AND state = 0 AND ($2 = '' OR node_key = $2)";
    txn.execute_raw(store.sql(text, [unit_id.into(), node_key.unwrap_or_default().into()]))
        .await?;
    super::sets::end_of_unit(store, txn, unit_id, node_key.unwrap_or_default()).await
}
