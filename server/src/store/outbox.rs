//! SQL of the outbox.
