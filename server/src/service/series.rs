//! DeclareOutputs: rows for the files of a node whose number follows from the input.

use std::collections::{HashMap, HashSet};

use mps_proto::worker::v1::{PlanNode, PlanOutput, PlanSeries};

use super::{
    accept::key_reserved,
    fence::{self, UnitError},
};
use crate::{
    app::App,
    error::ApiError,
    store::{
        leases::Token,
        outputs::{self, NewOutput, OutputRow, ReserveError},
        sets,
    },
};

/// Most files of a series that names no bound.
const MAX_FILES: i32 = 10_000;

/// Makes rows for `count` files and drops those of an earlier attempt beyond. The same count gives the same rows.
pub async fn declare(app: &App, token: &Token, node_key: &str, count: i32) -> Result<Vec<PlanOutput>, UnitError> {
    let unit = fence::leased(&app.store, token).await?;
    let node = unit.plan.nodes.iter().find(|node| node.key == node_key);
    let node = node.ok_or_else(|| ApiError::invalid_field("node_key", "names no node of the unit"))?;
    let series = node
        .series
        .as_ref()
        .ok_or_else(|| ApiError::invalid_field("node_key", "names a node without a series"))?;
    let keys = keys(series, count)?;
    let txn = app.store.begin().await?;
    if !sets::is_leased(&app.store, &txn, token).await? {
        txn.rollback().await?;
        return Err(UnitError::Fenced);
    }
    let rows = outputs::reserved_of_node(&app.store, &txn, &unit.id, node_key).await?;
    // the plan names the first file itself, and where it goes the others go
    let Some(first) = rows.first() else {
        txn.rollback().await?;
        return Err(ApiError::wrong_state("the node has no output that is still to be made").into());
    };
    let before: HashMap<&str, &OutputRow> = rows.iter().map(|row| (row.object_key.as_str(), row)).collect();
    let mut declared = Vec::with_capacity(keys.len());
    let mut new = Vec::new();
    for (number, key) in (0..).zip(&keys) {
        let found = before.get(key.as_str());
        let id = found.map_or_else(mps_proto::name::new_id, |row| row.id.clone());
        if found.is_none() {
            new.push(new_output(first, &id, number, key, series));
        }
        declared.push(PlanOutput {
            output_id: id,
            number: found.map_or(number, |row| row.number),
            format: series.format.clone(),
            content_type: series.content_type.clone(),
        });
    }
    let beyond = beyond(node, &rows, &keys);
    outputs::drop_rows(&app.store, &txn, &beyond).await?;
    match outputs::reserve(&app.store, &txn, &new).await {
        Ok(()) => {}
        Err(ReserveError::Db(error)) => return Err(error.into()),
        Err(ReserveError::Taken { object_key, task_id }) => {
            txn.rollback().await?;
            return Err(key_reserved(&unit.project, &object_key, &task_id).into());
        }
    }
    txn.commit().await?;
    Ok(declared)
}

/// Reserved rows that neither the plan names nor the series has.
fn beyond(node: &PlanNode, rows: &[OutputRow], keys: &[String]) -> Vec<String> {
    let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
    let planned = |id: &str| node.outputs.iter().any(|output| output.output_id == id);
    let beyond = rows
        .iter()
        .filter(|row| !keys.contains(row.object_key.as_str()) && !planned(&row.id));
    beyond.map(|row| row.id.clone()).collect()
}

fn new_output(first: &OutputRow, id: &str, number: i32, key: &str, series: &PlanSeries) -> NewOutput {
    NewOutput {
        id: id.to_owned(),
        task_id: first.task_id.clone(),
        run: first.run,
        node_key: first.node_key.clone(),
        number,
        project: first.project.clone(),
        storage_id: first.storage_id.clone(),
        bucket_ref: first.bucket_ref.clone(),
        object_key: key.to_owned(),
        content_type: series.content_type.clone(),
        unit_id: first.unit_id.clone(),
    }
}

/// Keys of the first files of a series.
fn keys(series: &PlanSeries, count: i32) -> Result<Vec<String>, ApiError> {
    let most = if series.max_files > 0 { series.max_files } else { MAX_FILES };
    if !(0..=most).contains(&count) {
        return Err(ApiError::invalid_field("count", format!("0 to {most}")));
    }
    if count > 1 && !series.key.contains("{number}") {
        return Err(ApiError::invalid_field(
            "count",
            "the series' key has no {number}: it has one file at most",
        ));
    }
    let key = |number| {
        mps_plan::series_key(series, number).map_err(|fault| ApiError::invalid_field("count", format!("gives a key that {fault}")))
    };
    (0..count).map(key).collect()
}

#[cfg(test)]
mod tests {
    use mps_proto::v1::NumberFormat;

    use super::*;

    fn series(key: &str) -> PlanSeries {
        PlanSeries {
            key: key.into(),
            number_format: Some(NumberFormat {
                initial_value: Some(5),
                increment: Some(10),
                min_length: Some(4),
                place_holder: "x".into(),
            }),
            max_files: 3,
            ..PlanSeries::default()
        }
    }

    #[test]
    fn numbers_are_written_as_the_series_says() {
        assert_eq!(keys(&series("a/{number}.jpg"), 2).unwrap(), ["a/xxx5.jpg", "a/xx15.jpg"]);
        assert_eq!(keys(&series("one.jpg"), 1).unwrap(), ["one.jpg"]);
        assert_eq!(keys(&series("one.jpg"), 0).unwrap().len(), 0);
    }

    #[test]
    fn more_files_than_the_series_may_have_are_refused() {
        assert!(keys(&series("a/{number}.jpg"), 4).is_err());
        assert!(keys(&series("a/{number}.jpg"), -1).is_err());
        assert!(keys(&series("one.jpg"), 2).is_err());
    }
}
