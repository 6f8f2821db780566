//! ProcessMedia.
