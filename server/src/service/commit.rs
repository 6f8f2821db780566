//! CompleteUnit and what follows it.
