//! Events that instrumentations note at each step of a call, above all those of browsers: they say when
//! something happened, not what failed.

/// Sorted.
const STEPS: [&[u8]; 26] = [
    b"connectEnd",
    b"connectStart",
    b"domComplete",
    b"domContentLoadedEventEnd",
    b"domContentLoadedEventStart",
    b"domInteractive",
    b"domainLookupEnd",
    b"domainLookupStart",
    b"fetchStart",
    b"firstContentfulPaint",
    b"firstPaint",
    b"loadEventEnd",
    b"loadEventStart",
    b"loaded",
    b"message",
    b"navigationStart",
    b"open",
    b"redirectEnd",
    b"redirectStart",
    b"requestStart",
    b"responseEnd",
    b"responseStart",
    b"secureConnectionStart",
    b"send",
    b"unloadEventEnd",
    b"unloadEventStart",
];

/// Whether an event of this name tells nothing of a failure.
pub(super) fn is_step(name: &[u8]) -> bool {
    STEPS.binary_search(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_found() {
        assert!(STEPS.iter().all(|step| is_step(step)));
        assert!(!is_step(b"connection closed"));
    }
}
