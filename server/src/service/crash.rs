//! Edges at which tests end the server, as a power cut would.

/// Ends the process at the edge that `MPS_TEST_CRASH_AT` names. Builds without debug assertions do nothing.
pub fn crash_point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("MPS_TEST_CRASH_AT").is_ok_and(|wanted| wanted == name) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
