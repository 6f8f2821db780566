//! The watch log: (task, revision) entries without payload, and the epoch that tells whether it is still the same log.
//!
//! The epoch is a random key beside the log plus the server's replication id, so that FLUSHALL, a lost disk, an older backup and a
//! failover to a replica that lags all show. The script that appends checks the key and makes a new one when it is gone; a reader
//! reads first and checks the epoch after it, in one round trip, so that entries of another epoch are never taken for more of the old.

use std::{sync::LazyLock, time::Duration};

use redis::{
    Client, Value,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamReadReply},
};

use crate::{
    Queue, QueueError, keys,
    link::{CALL_DEADLINE, connect},
};

/// A task changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub task_id: String,
    pub project: String,
    pub revision: i64,
}

/// A place in the watch log: everything up to and including `id` of this `epoch` is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub epoch: String,
    pub id: String,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Entries after the position (none: nothing happened), and the position after them.
    Entries { events: Vec<Event>, position: Position },
    /// The log is another one, or entries after the position were trimmed: take a snapshot.
    EpochChanged,
}

/// Most entries of one read.
pub const MAX_READ: usize = 1_000;
/// Longest blocking read.
const MAX_BLOCK: Duration = Duration::from_secs(5);
/// Entries that one trim looks at in one step, and steps of one trim.
const TRIM_STEP: usize = 1_000;
const TRIM_STEPS: usize = 20;

/// Gives the epoch after making sure that there is one. KEYS: epoch, log. ARGV[1]: a name for a new epoch.
const ENSURE: &str = "
if redis.call('EXISTS', KEYS[1], KEYS[2]) < 2 then
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('XADD', KEYS[2], '*', 't', '', 'p', '', 'r', '0')
end
local epoch = redis.call('GET', KEYS[1]) .. '.' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
";
/// The current epoch and the id of the newest entry.
static TAIL: LazyLock<String> =
    LazyLock::new(|| format!("{ENSURE} return {{epoch, redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1][1]}}"));
/// Appends. ARGV[2]: bound of the log; then task, project and revision of each entry.
static APPEND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{ENSURE}
for i = 3, #ARGV, 3 do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', 't', ARGV[i], 'p', ARGV[i + 1], 'r', ARGV[i + 2])
end
return epoch"
    )
});
/// The epoch (empty: none) and the id of the oldest entry.
const STATE: &str = "
local key = redis.call('GET', KEYS[1])
local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not key or not oldest then return {'', ''} end
return {key .. '.' .. string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)'), oldest[1]}
";
/// Removes the oldest entries while more than ARGV[1] stand and they are older than ARGV[2] ms; steps of ARGV[3], at most ARGV[4].
const TRIM: &str = "
local time = redis.call('TIME')
local young = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[2]
for _ = 1, ARGV[4] do
  local length = redis.call('XLEN', KEYS[1])
  if length < ARGV[1] + ARGV[3] then return length end
  local step = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3])
  if tonumber(string.match(step[#step][1], '%d+')) >= young then return length end
  redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - ARGV[3])
end
return redis.call('XLEN', KEYS[1])
";

impl Queue {
    /// Appends entries; nothing is promised about the order among tasks.
    pub async fn append_events(&self, events: &[Event]) -> Result<(), QueueError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut script = redis::cmd("EVAL");
        script.arg(APPEND.as_str()).arg(2).arg(keys::EPOCH).arg(keys::EVENTS);
        script.arg(new_epoch()).arg(keys::MAX_EVENTS);
        for event in events {
            script.arg(&event.task_id).arg(&event.project).arg(event.revision);
        }
        self.link
            .call(|mut connection| async move { script.query_async::<()>(&mut connection).await })
            .await
    }

    /// The end of the log; makes a log where there is none.
    pub async fn tail(&self) -> Result<Position, QueueError> {
        let mut script = redis::cmd("EVAL");
        script.arg(TAIL.as_str()).arg(2).arg(keys::EPOCH).arg(keys::EVENTS).arg(new_epoch());
        let (epoch, id) = self
            .link
            .call(|mut connection| async move { script.query_async(&mut connection).await })
            .await?;
        Ok(Position { epoch, id })
    }

    /// What stands after a position, without waiting; at most `MAX_READ` entries.
    pub async fn read_after(&self, position: &Position) -> Result<Read, QueueError> {
        let pipeline = read_and_check(position, None);
        let answer = self
            .link
            .call(|mut connection| async move { pipeline.query_async(&mut connection).await })
            .await?;
        understand(position, answer)
    }

    /// A reader that waits, on a connection of its own.
    pub fn event_reader(&self) -> EventReader {
        EventReader {
            client: self.client.clone(),
            connection: None,
        }
    }

    /// Removes a bounded number of entries that are old and many enough.
    pub async fn trim_events(&self) -> Result<(), QueueError> {
        self.trim_events_to(keys::MIN_EVENTS, keys::MIN_EVENT_AGE).await.map(drop)
    }

    async fn trim_events_to(&self, keep: usize, age: Duration) -> Result<usize, QueueError> {
        let mut script = redis::cmd("EVAL");
        script.arg(TRIM).arg(1).arg(keys::EVENTS);
        script.arg(keep).arg(age.as_millis() as u64).arg(TRIM_STEP).arg(TRIM_STEPS);
        self.link
            .call(|mut connection| async move { script.query_async(&mut connection).await })
            .await
    }
}

/// Follows the watch log on a connection of its own.
pub struct EventReader {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl EventReader {
    /// Waits up to `block` (at most 5 s) for entries after the position; at most `MAX_READ`.
    pub async fn read_after(&mut self, position: &Position, block: Duration) -> Result<Read, QueueError> {
        let block = block.min(MAX_BLOCK);
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&self.client, MAX_BLOCK + CALL_DEADLINE).await?,
        };
        let pipeline = read_and_check(position, Some(block));
        let answer = tokio::time::timeout(block + CALL_DEADLINE, pipeline.query_async(&mut connection))
            .await
            .map_err(|_| QueueError::no_answer())??;
        self.connection = Some(connection);
        understand(position, answer)
    }
}

fn new_epoch() -> String {
    use std::hash::{BuildHasher, RandomState};
    // Every RandomState has keys of its own, from the system's randomness.
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(std::process::id()));
    format!("{high:016x}{low:016x}")
}

fn read_and_check(position: &Position, block: Option<Duration>) -> redis::Pipeline {
    let mut read = redis::cmd("XREAD");
    read.arg("COUNT").arg(MAX_READ);
    if let Some(block) = block {
        read.arg("BLOCK").arg(block.as_millis().max(1) as u64);
    }
    read.arg("STREAMS").arg(keys::EVENTS).arg(&position.id);
    let mut state = redis::cmd("EVAL");
    state.arg(STATE).arg(2).arg(keys::EPOCH).arg(keys::EVENTS);
    let mut pipeline = redis::pipe();
    pipeline.add_command(read).add_command(state);
    pipeline
}

fn understand(position: &Position, (read, state): (Value, (String, String))) -> Result<Read, QueueError> {
    let (epoch, oldest) = state;
    if epoch != position.epoch || numbers(&oldest) > numbers(&position.id) {
        return Ok(Read::EpochChanged);
    }
    let entries = match read {
        Value::Nil => Vec::new(),
        read => redis::from_redis_value::<StreamReadReply>(read)
            .map_err(|error| QueueError::unexpected(&error.to_string()))?
            .keys
            .into_iter()
            .flat_map(|key| key.ids)
            .collect(),
    };
    let id = entries.last().map_or_else(|| position.id.clone(), |entry| entry.id.clone());
    Ok(Read::Entries {
        events: entries.iter().filter_map(event).collect(),
        position: Position { epoch, id },
    })
}

/// The marker of an epoch and anything unreadable is no event.
fn event(entry: &StreamId) -> Option<Event> {
    let task_id: String = entry.get("t").filter(|id: &String| !id.is_empty())?;
    Some(Event {
        task_id,
        project: entry.get("p")?,
        revision: entry.get("r")?,
    })
}

/// An entry's id as numbers, for comparing; a malformed one is before all.
fn numbers(id: &str) -> (u64, u64) {
    let (ms, sequence) = id.split_once('-').unwrap_or((id, "0"));
    (ms.parse().unwrap_or(0), sequence.parse().unwrap_or(0))
}

impl Position {
    /// Whether the id has the shape of an entry's id; a client may send anything.
    pub fn is_well_formed(&self) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.len() <= 20 && text.parse::<u64>().is_ok();
        self.id
            .split_once('-')
            .is_some_and(|(ms, sequence)| is_number(ms) && is_number(sequence))
    }

    /// Whether this position is at or after another of the same epoch.
    pub fn is_at_least(&self, other: &Self) -> bool {
        self.epoch == other.epoch && numbers(&self.id) >= numbers(&other.id)
    }
}

#[cfg(test)]
mod tests;
