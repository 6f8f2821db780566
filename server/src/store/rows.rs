//! Many rows by few statements.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use super::Store;

/// Most rows of one statement; a power of two.
const MAX_ROWS: usize = 64;

/// Inserts rows: `into` is `INSERT INTO table (columns)`, `constants` ends each row's values (such as `, {now}`), `tail` ends the
/// statement. Gives the number of rows that were written.
///
/// Statements have 1, 2, 4, … rows, so that few texts stay prepared.
pub async fn insert(
    store: &Store,
    txn: &DatabaseTransaction,
    into: &str,
    rows: Vec<Vec<Value>>,
    constants: &str,
    tail: &str,
) -> Result<u64, DbErr> {
    let mut written = 0;
    let mut left = rows;
    while !left.is_empty() {
        let rest = left.split_off(piece(left.len()));
        let text = format!("{into} VALUES {} {tail}", places(&left, constants));
        let values = left.into_iter().flatten();
        written += txn.execute_raw(store.sql(&text, values)).await?.rows_affected();
        left = rest;
    }
    Ok(written)
}

/// The largest power of two that is no larger than `count` and `MAX_ROWS`.
fn piece(count: usize) -> usize {
    let mut piece = MAX_ROWS;
    while piece > count {
        piece /= 2;
    }
    piece
}

fn places(rows: &[Vec<Value>], constants: &str) -> String {
    let mut number = 0;
    let row = |row: &Vec<Value>| {
        let places: Vec<String> = row
            .iter()
            .map(|_| {
                number += 1;
                format!("${number}")
            })
            .collect();
        format!("({}{constants})", places.join(","))
    };
    rows.iter().map(row).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_powers_of_two_up_to_the_limit() {
        let pieces: Vec<usize> = [1, 2, 3, 37, 64, 1000].into_iter().map(piece).collect();
        assert_eq!(pieces, [1, 2, 2, 32, 64, 64]);
    }

    #[test]
    fn places_count_on_over_rows() {
        let rows = vec![vec![1.into(), 2.into()], vec![3.into(), 4.into()]];
        assert_eq!(places(&rows, ", {now}"), "($1,$2, {now}),($3,$4, {now})");
    }
}
