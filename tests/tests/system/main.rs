//! Whole-system tests: one binary, so that it links once.

mod adaptive;
mod cancel;
mod command_line;
mod commit_edges;
mod fairness;
mod faults;
mod foreign_s3;
mod happy;
mod many_watchers;
mod playlists;
mod probes;
mod readme;
mod requests;
mod security;
mod series;
mod streams;
mod templates;
mod urls;
mod watching;
