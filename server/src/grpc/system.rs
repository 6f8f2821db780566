//! SystemService.
