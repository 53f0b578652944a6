//! Tests whose tools are missing: a line that nobody misses, and a failure in CI and in the
//! long form.

use std::io::Write;

/// Says that the test does not run, past the test runner, which keeps what a passing test prints.
pub fn skipped(what: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "skipped: {what}").unwrap();
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let is_full = std::env::var_os("FULL").is_some();
    assert!(
        !is_ci && !is_full,
        "nothing is skipped in CI or in the long form"
    );
}
