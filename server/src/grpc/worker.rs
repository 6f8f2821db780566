//! WorkerService.
