//! Workers: join, list, drain.
