//! StorageService.
