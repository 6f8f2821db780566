//! Encryption of storage credentials.
