//! Properties whose cases cost databases: fewer of them than of others.

use std::env;

use proptest::{
    strategy::Strategy,
    test_runner::{Config, TestCaseResult, TestRunner},
};

/// Of so many cases of a cheap property there is one of these.
const CHEAPER: u32 = 100;

/// Tries this many cases, or a hundredth of `PROPTEST_CASES` when that is more. (`proptest!` would
/// take the variable as it is, whatever its configuration says.)
pub fn check<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> TestCaseResult) {
    let asked = env::var("PROPTEST_CASES").ok();
    let asked: Option<u32> = asked.and_then(|asked| asked.parse().ok());
    let mut runner = TestRunner::new(Config {
        cases: asked.map_or(cases, |asked| (asked / CHEAPER).max(cases)),
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    if let Err(failure) = runner.run(strategy, test) {
        panic!("{failure}");
    }
}
