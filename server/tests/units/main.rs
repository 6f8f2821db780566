//! The protocol of units on a real database and store: leasing, losing, failing and committing, on SQLite and on Postgres.

mod bench;
mod commits;
mod failures;
mod leases;
mod probes;
mod series;
mod set_ends;
mod sets;

/// Each behaviour on both databases.
#[macro_export]
macro_rules! on_both {
    ($($behaviour:ident),* $(,)?) => {$(
        mod $behaviour {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$behaviour($crate::bench::Bench::start(false).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$behaviour($crate::bench::Bench::start(true).await).await;
            }
        }
    )*};
}
