//! Keys of files, series and sets.
