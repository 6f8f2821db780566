//! Removes what is over.
