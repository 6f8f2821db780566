//! For tests: the same suites run on SQLite and on Postgres.

use sea_orm::ConnectionTrait;

use super::Store;

/// With MPS_TEST_DATABASE_URL a suite runs on that Postgres instead of SQLite, each test in a schema of its own.
pub async fn own_postgres_schema() -> Option<String> {
    let url = std::env::var("MPS_TEST_DATABASE_URL").ok()?;
    let schema = format!("test_{}", mps_proto::name::new_id());
    let store = Store::connect(&url, 2).await.unwrap();
    let statement = format!("CREATE SCHEMA {schema}");
    store.writer().execute_unprepared(&statement).await.unwrap();
    Some(format!("{url}?options=-csearch_path%3D{schema}"))
}
