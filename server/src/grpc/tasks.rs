//! TaskService.
