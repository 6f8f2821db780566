//! SQL of keeping and losing leases: renewals, expiry and the derived counters. Renewals lock no task.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::{Store, Token};
use crate::service::states::UnitState;

/// Renews what this worker still holds, late ones too, and notes that it was seen. Gives its drain flag; `None`: it is not known.
pub async fn renew(store: &Store, worker_id: &str, tokens: &[Token], ttl_ms: i64) -> Result<Option<bool>, DbErr> {
    let txn = store.begin().await?;
    if !tokens.is_empty() {
        let mut values: Vec<Value> = vec![worker_id.into(), ttl_ms.into()];
        let mut held = Vec::new();
        for token in tokens {
            values.push(token.unit_id.as_str().into());
            values.push(token.attempt.into());
            held.push(format!("(id = ${} AND attempt = ${})", values.len() - 1, values.len()));
        }
        let text = format!(
            "UPDATE units SET lease_until_ms = {{now}} + $2 WHERE worker_id = $1 AND state = 2 AND ({})",
            held.join(" OR ")
        );
        txn.execute_raw(store.sql(&text, values)).await?;
    }
    let text = "UPDATE workers SET seen_ms = {now} WHERE id = $1 RETURNING draining";
    let row = txn.query_one_raw(store.sql(text, [worker_id.into()])).await?;
    txn.commit().await?;
    row.map(|row| Ok(row.try_get::<i32>("", "draining")? != 0)).transpose()
}

/// A unit as a renewal sees it.
pub struct Standing {
    pub token: Token,
    pub state: UnitState,
    pub worker_id: Option<String>,
    /// What is left of the lease; negative when it expired.
    pub remaining_ms: i64,
    /// `tasks.state`; `None` for probes.
    pub task_state: Option<i32>,
}

/// How units stand now.
pub async fn standings(store: &Store, tokens: &[Token]) -> Result<Vec<Standing>, DbErr> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=tokens.len()).map(|number| format!("${number}")).collect();
    let text = format!(
        "SELECT u.id, u.attempt, u.state, u.worker_id, COALESCE(u.lease_until_ms - {{now}}, 0) AS remaining, t.state AS task_state \
         FROM units u LEFT JOIN tasks t ON t.id = u.task_id WHERE u.id IN ({})",
        places.join(",")
    );
    let values = tokens.iter().map(|token| token.unit_id.as_str().into());
    let rows = store.reader().query_all_raw(store.sql(&text, values)).await?;
    rows.iter()
        .map(|row| {
            let state: i32 = row.try_get("", "state")?;
            Ok(Standing {
                token: Token {
                    unit_id: row.try_get("", "id")?,
                    attempt: row.try_get("", "attempt")?,
                },
                state: UnitState::of(state).ok_or_else(|| DbErr::Type(format!("unit has unknown state {state}")))?,
                worker_id: row.try_get("", "worker_id")?,
                remaining_ms: row.try_get("", "remaining")?,
                task_state: row.try_get("", "task_state")?,
            })
        })
        .collect()
}

/// Units whose lease ran out, with their tasks, longest first.
pub async fn expired(store: &Store, limit: i64) -> Result<Vec<(Token, String)>, DbErr> {
    let text = "SELECT id, attempt, task_id FROM units WHERE state = 2 AND lease_until_ms < {now} ORDER BY lease_until_ms LIMIT $1";
    let rows = store.reader().query_all_raw(store.sql(text, [limit.into()])).await?;
    rows.iter()
        .map(|row| {
            let token = Token {
                unit_id: row.try_get("", "id")?,
                attempt: row.try_get("", "attempt")?,
            };
            Ok((token, row.try_get("", "task_id")?))
        })
        .collect()
}

/// Decides that a lease is lost, unless a renewal came meanwhile; the row stays locked for the rest of the transaction.
pub async fn lose(store: &Store, txn: &DatabaseTransaction, token: &Token) -> Result<bool, DbErr> {
    let text = "UPDATE units SET lease_until_ms = 0 WHERE id = $1 AND attempt = $2 AND state = 2 AND lease_until_ms < {now}";
    let values = [token.unit_id.as_str().into(), token.attempt.into()];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Open tasks with an id above `after`, with their stored and their derived count of open units.
pub async fn open_counts(store: &Store, after: &str, limit: i64) -> Result<Vec<(String, i64, i64)>, DbErr> {
    let text = "SELECT t.id, t.open_units, (SELECT count(*) FROM units u WHERE u.task_id = t.id AND u.run = t.run AND u.state IN (0, 1, 2, 3)) \
        AS derived FROM tasks t WHERE t.state IN (1, 2, 3) AND t.id > $1 ORDER BY t.id LIMIT $2";
    let rows = store.reader().query_all_raw(store.sql(text, [after.into(), limit.into()])).await?;
    rows.iter()
        .map(|row| {
            let stored: i32 = row.try_get("", "open_units")?;
            Ok((row.try_get("", "id")?, i64::from(stored), row.try_get("", "derived")?))
        })
        .collect()
}

/// The derived count of a task that is locked.
pub async fn derive_open_units(store: &Store, txn: &DatabaseTransaction, task_id: &str, run: i32) -> Result<i64, DbErr> {
    let text = "SELECT count(*) AS derived FROM units WHERE task_id = $1 AND run = $2 AND state IN (0, 1, 2, 3)";
    let row = txn.query_one_raw(store.sql(text, [task_id.into(), run.into()])).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("count".into()))?.try_get("", "derived")
}
