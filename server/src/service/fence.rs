//! Why a call about a unit is refused.

use sea_orm::DbErr;

use crate::{
    error::ApiError,
    storage::StorageError,
    store::{
        Store,
        leases::{self, Token, UnitRow},
    },
};

/// Why a worker's call failed.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// The attempt does not hold the unit, or it is over.
    #[error("the unit belongs to another attempt, or is over")]
    Fenced,
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Worth a retry: a worker works on while the database does not answer.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<StorageError> for UnitError {
    fn from(error: StorageError) -> Self {
        Self::Api(error.into())
    }
}

/// The unit, if the attempt holds it.
pub async fn leased(store: &Store, token: &Token) -> Result<UnitRow, UnitError> {
    match leases::get(store, &token.unit_id).await? {
        Some(unit) if unit.is_leased(token.attempt) => Ok(unit),
        _ => Err(UnitError::Fenced),
    }
}
