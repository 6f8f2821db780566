//! AccessService.
