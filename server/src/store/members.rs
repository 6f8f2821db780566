//! SQL of members of sets. A row stands before a URL is given, so that whatever arrives there can be found and deleted.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult, Value};

use super::{Store, leases::Token, rows};

const COLUMNS: &str = "set_id, track, number, attempt, object_key, size_bytes, sha256, start_ns, duration_ns, i_frame_offset, i_frame_bytes, \
    init, marks, state";

/// What is told of a segment besides its times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// Decoders begin anew with it.
    pub discontinuity: bool,
    /// Pictures that are shown before its first key frame need the segment before.
    pub needs_previous: bool,
    /// Its pictures carry captions.
    pub captions_608: bool,
    pub captions_708: bool,
}

impl Marks {
    /// As the column holds them, a bit each.
    fn bits(self) -> i32 {
        let marks = [self.discontinuity, self.needs_previous, self.captions_608, self.captions_708];
        (0..).zip(marks).map(|(place, is_set)| i32::from(is_set) << place).sum()
    }

    fn of(bits: i32) -> Self {
        let is_set = |place: u32| bits >> place & 1 == 1;
        Self {
            discontinuity: is_set(0),
            needs_previous: is_set(1),
            captions_608: is_set(2),
            captions_708: is_set(3),
        }
    }
}

/// A member; numbers below 0 are those of initialisation segments, from −1 on, and of all subtitles in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRow {
    pub set_id: String,
    pub track: i32,
    pub number: i32,
    pub attempt: i32,
    pub object_key: String,
    pub size_bytes: i64,
    pub sha256: String,
    pub start_ns: i64,
    pub duration_ns: i64,
    pub i_frame_offset: i64,
    pub i_frame_bytes: i64,
    /// Which initialisation segment it needs, from 0.
    pub init: i32,
    pub marks: Marks,
    /// Whether it is part of the set.
    pub committed: bool,
}

impl MemberRow {
    fn read(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            set_id: row.try_get("", "set_id")?,
            track: row.try_get("", "track")?,
            number: row.try_get("", "number")?,
            attempt: row.try_get("", "attempt")?,
            object_key: row.try_get("", "object_key")?,
            size_bytes: row.try_get("", "size_bytes")?,
            sha256: row.try_get("", "sha256")?,
            start_ns: row.try_get("", "start_ns")?,
            duration_ns: row.try_get("", "duration_ns")?,
            i_frame_offset: row.try_get("", "i_frame_offset")?,
            i_frame_bytes: row.try_get("", "i_frame_bytes")?,
            init: row.try_get("", "init")?,
            marks: Marks::of(row.try_get("", "marks")?),
            committed: row.try_get::<i32>("", "state")? == 1,
        })
    }

    /// Whether it is no segment: it has no place in its track's time.
    pub fn is_init(&self) -> bool {
        self.number < 0
    }
}

/// A member that is about to be uploaded.
pub struct NewMember {
    pub track: i32,
    pub number: i32,
    pub object_key: String,
    pub size_bytes: i64,
}

/// Writes rows for members before URLs are given. Asked again, the size follows.
pub async fn expect(store: &Store, txn: &DatabaseTransaction, set_id: &str, token: &Token, members: &[NewMember]) -> Result<(), DbErr> {
    let values = members.iter().map(|member| {
        vec![
            set_id.into(),
            member.track.into(),
            member.number.into(),
            token.attempt.into(),
            token.unit_id.as_str().into(),
            member.object_key.as_str().into(),
            member.size_bytes.into(),
        ]
    });
    let into = "INSERT INTO set_members (set_id, track, number, attempt, unit_id, object_key, size_bytes, sha256, start_ns, duration_ns, \
        i_frame_offset, i_frame_bytes, state, create_ms)";
    let tail = "ON CONFLICT (set_id, track, number, attempt) DO UPDATE SET size_bytes = excluded.size_bytes, \
        create_ms = excluded.create_ms WHERE set_members.state = 0";
    rows::insert(store, txn, into, values.collect(), ", '', 0, 0, 0, 0, 0, {now}", tail).await?;
    Ok(())
}

/// Makes an expected member part of the set. `false`: no URL was given to this attempt for a member of this size.
pub async fn commit(store: &Store, txn: &DatabaseTransaction, member: &MemberRow) -> Result<bool, DbErr> {
    let text = "UPDATE set_members SET state = 1, sha256 = $6, start_ns = $7, duration_ns = $8, i_frame_offset = $9, i_frame_bytes = $10, \
        init = $11, marks = $12 WHERE set_id = $1 AND track = $2 AND number = $3 AND attempt = $4 AND size_bytes = $5 AND state = 0";
    let values: [Value; 12] = [
        member.set_id.as_str().into(),
        member.track.into(),
        member.number.into(),
        member.attempt.into(),
        member.size_bytes.into(),
        member.sha256.as_str().into(),
        member.start_ns.into(),
        member.duration_ns.into(),
        member.i_frame_offset.into(),
        member.i_frame_bytes.into(),
        member.init.into(),
        member.marks.bits().into(),
    ];
    Ok(txn.execute_raw(store.sql(text, values)).await?.rows_affected() > 0)
}

/// Committed members with these tracks' numbers between bounds, to compare with what is committed again.
pub async fn committed_from(
    store: &Store,
    on: &impl ConnectionTrait,
    set_id: &str,
    track: i32,
    from_number: i32,
) -> Result<Vec<MemberRow>, DbErr> {
    let condition = "set_id = $1 AND track = $2 AND state = 1 AND (number >= $3 OR number < 0) ORDER BY number";
    select(store, on, condition, vec![set_id.into(), track.into(), from_number.into()]).await
}

/// Every committed member, by track and number.
pub async fn committed(store: &Store, set_id: &str) -> Result<Vec<MemberRow>, DbErr> {
    select(
        store,
        store.reader(),
        "set_id = $1 AND state = 1 ORDER BY track, number",
        vec![set_id.into()],
    )
    .await
}

/// How far a track is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackState {
    pub track: i32,
    pub segments: i32,
    pub size_bytes: i64,
    /// Where the last segment ends.
    pub end_ns: i64,
    pub has_init: bool,
}

/// How far each track is that has a committed member.
pub async fn states(store: &Store, on: &impl ConnectionTrait, set_id: &str) -> Result<Vec<TrackState>, DbErr> {
    let text = "SELECT track, SUM(CASE WHEN number >= 0 THEN 1 ELSE 0 END) AS segments, CAST(SUM(size_bytes) AS BIGINT) AS size_bytes, \
        CAST(MAX(start_ns + duration_ns) AS BIGINT) AS end_ns, SUM(CASE WHEN number < 0 THEN 1 ELSE 0 END) AS inits \
        FROM set_members WHERE set_id = $1 AND state = 1 GROUP BY track ORDER BY track";
    let rows = on.query_all_raw(store.sql(text, [set_id.into()])).await?;
    let read = |row: &QueryResult| {
        Ok(TrackState {
            track: row.try_get("", "track")?,
            segments: row.try_get::<i64>("", "segments")? as i32,
            size_bytes: row.try_get("", "size_bytes")?,
            end_ns: row.try_get("", "end_ns")?,
            has_init: row.try_get::<i64>("", "inits")? > 0,
        })
    };
    rows.iter().map(read).collect()
}

/// The SHA-256 of committed initialisation segments, the first of each track, by track.
pub async fn init_checksums(store: &Store, set_id: &str) -> Result<Vec<(i32, String)>, DbErr> {
    let text = "SELECT track, sha256 FROM set_members WHERE set_id = $1 AND state = 1 AND number = -1";
    let rows = store.reader().query_all_raw(store.sql(text, [set_id.into()])).await?;
    rows.iter()
        .map(|row| Ok((row.try_get("", "track")?, row.try_get("", "sha256")?)))
        .collect()
}

/// Members of a set whose objects are to be deleted with it, some at a time: committed ones, and those that may have arrived.
pub async fn some_of_set(store: &Store, set_id: &str, limit: i64) -> Result<Vec<MemberRow>, DbErr> {
    select(
        store,
        store.reader(),
        "set_id = $1 AND state <> 2 LIMIT $2",
        vec![set_id.into(), limit.into()],
    )
    .await
}

/// Members that were never committed, whose attempt is over and whose URL has ended.
pub async fn abandoned(store: &Store, url_ttl_ms: i64, limit: i64) -> Result<Vec<(MemberRow, String, String)>, DbErr> {
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("m.{column}")).collect();
    let text = format!(
        "SELECT {}, s.project_id, s.storage_id FROM set_members m JOIN sets s ON s.id = m.set_id WHERE m.state IN (0, 2) \
         AND m.create_ms < {{now}} - $1 AND NOT EXISTS (SELECT 1 FROM units u WHERE u.id = m.unit_id AND u.attempt = m.attempt \
         AND u.state IN (2, 3)) ORDER BY m.create_ms LIMIT $2",
        columns.join(", ")
    );
    let rows = store
        .reader()
        .query_all_raw(store.sql(&text, [url_ttl_ms.into(), limit.into()]))
        .await?;
    let read = |row: &QueryResult| {
        Ok((
            MemberRow::read(row)?,
            row.try_get("", "project_id")?,
            row.try_get("", "storage_id")?,
        ))
    };
    rows.iter().map(read).collect()
}

/// Forgets a member whose object is gone for good. A URL that may still be used keeps its row: the janitor looks there once more.
pub async fn forget(store: &Store, member: &MemberRow) -> Result<(), DbErr> {
    let text = if member.committed {
        "DELETE FROM set_members WHERE set_id = $1 AND track = $2 AND number = $3 AND attempt = $4"
    } else {
        "UPDATE set_members SET state = 2 WHERE set_id = $1 AND track = $2 AND number = $3 AND attempt = $4"
    };
    store.writer().execute_raw(store.sql(text, key_of(member))).await?;
    Ok(())
}

/// Forgets a member that the janitor deleted after its URL ended.
pub async fn forget_swept(store: &Store, member: &MemberRow) -> Result<(), DbErr> {
    let text = "DELETE FROM set_members WHERE set_id = $1 AND track = $2 AND number = $3 AND attempt = $4 AND state IN (0, 2)";
    store.writer().execute_raw(store.sql(text, key_of(member))).await?;
    Ok(())
}

fn key_of(member: &MemberRow) -> [Value; 4] {
    [
        member.set_id.as_str().into(),
        member.track.into(),
        member.number.into(),
        member.attempt.into(),
    ]
}

async fn select(store: &Store, on: &impl ConnectionTrait, condition: &str, values: Vec<Value>) -> Result<Vec<MemberRow>, DbErr> {
    let text = format!("SELECT {COLUMNS} FROM set_members WHERE {condition}");
    let rows = on.query_all_raw(store.sql(&text, values)).await?;
    rows.iter().map(MemberRow::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_in_bits() {
        for bits in 0..16 {
            assert_eq!(Marks::of(bits).bits(), bits);
        }
        assert!(Marks::of(2).needs_previous && !Marks::of(2).discontinuity);
    }
}
