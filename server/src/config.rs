//! Configuration: commented defaults < file < `MPS_…` environment.

/// The whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {}
