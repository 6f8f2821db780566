//! One shared connection with a deadline on every call. After a failure calls fail at once for a moment, so that a dead Redis slows nobody.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

use crate::QueueError;

/// Longest that a call may take, connecting included.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_millis(500);
/// How long calls fail at once after a failure.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(200);
/// Requests that may wait for the connection's writer.
const PIPELINE_BUFFER: usize = 1_024;

/// The shared connection.
pub(crate) struct Link {
    client: Client,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    connection: Option<MultiplexedConnection>,
    paused_until: Option<Instant>,
}

impl Link {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// Runs one exchange on the shared connection.
    pub(crate) async fn call<T, F>(&self, exchange: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, QueueError>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let work = async {
            let connection = self.connection().await?;
            exchange(connection).await.map_err(QueueError::from)
        };
        let result = tokio::time::timeout(CALL_DEADLINE, work)
            .await
            .unwrap_or_else(|_| Err(QueueError::no_answer()));
        if let Err(error) = &result
            && error.connection_lost
        {
            self.drop_connection();
        }
        result
    }

    async fn connection(&self) -> Result<MultiplexedConnection, QueueError> {
        if let Some(connection) = self.current()? {
            return Ok(connection);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connection) = self.current()? {
            return Ok(connection);
        }
        let connection = connect(&self.client, CALL_DEADLINE).await?;
        self.lock().connection = Some(connection.clone());
        Ok(connection)
    }

    /// The connection, if there is one; an error during the pause after a failure.
    fn current(&self) -> Result<Option<MultiplexedConnection>, QueueError> {
        let state = self.lock();
        if state.paused_until.is_some_and(|until| Instant::now() < until) {
            return Err(QueueError::paused());
        }
        Ok(state.connection.clone())
    }

    fn drop_connection(&self) {
        let mut state = self.lock();
        state.connection = None;
        state.paused_until = Some(Instant::now() + PAUSE_AFTER_FAILURE);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A connection of one's own; `response_deadline` covers the longest blocking read on it.
pub(crate) async fn connect(client: &Client, response_deadline: Duration) -> Result<MultiplexedConnection, QueueError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CALL_DEADLINE))
        .set_response_timeout(Some(response_deadline))
        .set_pipeline_buffer_size(PIPELINE_BUFFER);
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    tokio::time::timeout(CALL_DEADLINE, connecting)
        .await
        .unwrap_or_else(|_| Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))))
        .map_err(QueueError::lost)
}
