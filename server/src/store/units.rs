//! Units as tasks see them: made, counted, moved to the front, cancelled while queued. What workers do to them is in `leases`.

use mps_proto::worker::v1::MediaPlan;
use prost::Message;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{Store, rows};

/// Priority of probes: before every task.
pub const PROBE_PRIORITY: i32 = 100;

/// A unit to be queued. A probe has no task: `task_id` is empty; its row in `probes` has the input (a `v1::TaskInput`) and takes
/// the result (a `worker.v1.ChildResult`).
#[derive(Debug, Clone)]
pub struct NewUnit {
    pub id: String,
    pub task_id: String,
    pub project: String,
    pub run: i32,
    pub pool: String,
    /// Sorted, from `mps_plan::requirements`.
    pub requirements: Vec<String>,
    pub priority: i32,
    /// Cost for fair ranks; 1 is one transcode.
    pub cost: f64,
    pub plan: MediaPlan,
    /// Attempts so far, when it comes from a split: the new unit counts on from there.
    pub attempt: i32,
    /// Failures charged so far, when it comes from a split.
    pub charged: i32,
}

/// Requirements as `units.requirements` and `requirement_sets` store them: comma-separated, the plan's version first.
/// `workers::WorkerRow::can` reads them.
pub fn requirements_text(requirements: &[String], plan_version: i32) -> String {
    let mut parts = vec![format!("plan.{plan_version}")];
    parts.extend(requirements.iter().cloned());
    parts.join(",")
}

/// Queues units; sets each one's rank (start-time fair queueing over projects).
pub async fn insert(store: &Store, txn: &DatabaseTransaction, units: &[NewUnit]) -> Result<(), DbErr> {
    let mut values = Vec::with_capacity(units.len());
    for unit in units {
        let requirements = requirements_text(&unit.requirements, unit.plan.plan_version);
        know_requirements(store, txn, &unit.pool, &requirements).await?;
        let rank = match store.ranks() {
            Some(ranks) => next_rank(store, ranks, unit).await?,
            None => next_rank(store, txn, unit).await?,
        };
        values.push(values_of(unit, requirements, rank));
    }
    let into = "INSERT INTO units (id, task_id, project_id, run, pool, requirements, priority, rank, cost, attempt, charged, plan, \
        front, state, not_before_ms, create_ms)";
    rows::insert(store, txn, into, values, ", 0, 1, 0, {now}", "").await?;
    Ok(())
}

fn values_of(unit: &NewUnit, requirements: String, rank: f64) -> Vec<Value> {
    vec![
        unit.id.as_str().into(),
        unit.task_id.as_str().into(),
        unit.project.as_str().into(),
        unit.run.into(),
        unit.pool.as_str().into(),
        requirements.into(),
        unit.priority.into(),
        rank.into(),
        unit.cost.into(),
        unit.attempt.into(),
        unit.charged.into(),
        unit.plan.encode_to_vec().into(),
    ]
}

/// max(the project's last rank, the pool's highest leased rank) + cost, kept as the project's last. All weights are 1.
async fn next_rank(store: &Store, connection: &impl ConnectionTrait, unit: &NewUnit) -> Result<f64, DbErr> {
    let text = "INSERT INTO project_ranks (project_id, pool, last_rank) \
        VALUES ($1, $2, COALESCE((SELECT highest_rank FROM pool_ranks WHERE pool = $2), 0) + $3) \
        ON CONFLICT (project_id, pool) DO UPDATE SET last_rank = CASE \
            WHEN project_ranks.last_rank + $3 > excluded.last_rank THEN project_ranks.last_rank + $3 ELSE excluded.last_rank END \
        RETURNING last_rank";
    let values = [unit.project.as_str().into(), unit.pool.as_str().into(), unit.cost.into()];
    let row = connection.query_one_raw(store.sql(text, values)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("rank".into()))?.try_get("", "last_rank")
}

async fn know_requirements(store: &Store, txn: &DatabaseTransaction, pool: &str, requirements: &str) -> Result<(), DbErr> {
    let key = format!("{pool} {requirements}");
    if store.known_requirements.lock().is_ok_and(|known| known.contains(&key)) {
        return Ok(());
    }
    let text = "INSERT INTO requirement_sets (pool, requirements) VALUES ($1, $2) ON CONFLICT (pool, requirements) DO NOTHING";
    let written = txn.execute_raw(store.sql(text, [pool.into(), requirements.into()])).await?;
    // Only what stood there before is sure to stay: this transaction may be rolled back.
    if written.rows_affected() == 0
        && let Ok(mut known) = store.known_requirements.lock()
    {
        known.insert(key);
    }
    Ok(())
}

/// A queued, leased or committing unit of a task's run.
#[derive(Debug, Clone)]
pub struct OpenUnit {
    pub id: String,
    pub state: i32,
    pub attempt: i32,
    pub worker_id: Option<String>,
}

/// Units of a run that have not ended.
pub async fn open_of_run(store: &Store, txn: &DatabaseTransaction, task_id: &str, run: i32) -> Result<Vec<OpenUnit>, DbErr> {
    let text = "SELECT id, state, attempt, worker_id FROM units WHERE task_id = $1 AND run = $2 AND state IN (0, 1, 2, 3) ORDER BY id";
    let rows = txn.query_all_raw(store.sql(text, [task_id.into(), run.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(OpenUnit {
                id: row.try_get("", "id")?,
                state: row.try_get("", "state")?,
                attempt: row.try_get("", "attempt")?,
                worker_id: row.try_get("", "worker_id")?,
            })
        })
        .collect()
}

/// Cancels what nobody has leased yet; gives the ids.
pub async fn cancel_queued(store: &Store, txn: &DatabaseTransaction, task_id: &str, run: i32) -> Result<Vec<String>, DbErr> {
    let text = "UPDATE units SET state = 6 WHERE task_id = $1 AND run = $2 AND state IN (0, 1) RETURNING id";
    let rows = txn.query_all_raw(store.sql(text, [task_id.into(), run.into()])).await?;
    rows.iter().map(|row| row.try_get("", "id")).collect()
}

/// Moves a task's queued units in front of their project's others of the same priority.
pub async fn move_to_front(store: &Store, txn: &DatabaseTransaction, task_id: &str, run: i32) -> Result<(), DbErr> {
    let text = "UPDATE units SET rank = COALESCE((SELECT MIN(other.rank) FROM units AS other WHERE other.project_id = units.project_id \
        AND other.pool = units.pool AND other.priority = units.priority AND other.state = 1 AND other.task_id <> units.task_id), rank), \
        front = -{now} WHERE task_id = $1 AND run = $2 AND state = 1";
    txn.execute_raw(store.sql(text, [task_id.into(), run.into()])).await?;
    Ok(())
}

/// Deletes every unit of a task.
pub async fn delete_of_task(store: &Store, txn: &DatabaseTransaction, task_id: &str) -> Result<(), DbErr> {
    txn.execute_raw(store.sql("DELETE FROM units WHERE task_id = $1", [task_id.into()]))
        .await?;
    Ok(())
}
