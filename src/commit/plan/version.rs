//! Which of two versions is the older one.

use std::cmp::Ordering;

/// Whether the version is known to be older than the other: both begin with numbers separated by
/// dots. Of any two others nobody can say.
pub(super) fn is_older(version: &str, other: &str) -> bool {
    match (parse(version), parse(other)) {
        (Some(version), Some(other)) => compare(&version, &other) == Ordering::Less,
        _ => false,
    }
}

/// The numbers, and what follows the first `-` (a pre-release). Build metadata says nothing.
fn parse(version: &str) -> Option<(Vec<u64>, Option<&str>)> {
    let version = version.trim();
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    let version = version.split_once('+').map_or(version, |(core, _)| core);
    let (core, pre_release) = match version.split_once('-') {
        Some((core, pre_release)) => (core, Some(pre_release)),
        None => (version, None),
    };
    let mut numbers = core
        .split('.')
        .map(|part| part.parse().ok())
        .collect::<Option<Vec<u64>>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some((numbers, pre_release))
}

fn compare(a: &(Vec<u64>, Option<&str>), b: &(Vec<u64>, Option<&str>)) -> Ordering {
    a.0.cmp(&b.0).then_with(|| match (a.1, b.1) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => compare_pre_releases(a, b),
    })
}

/// Part by part; numbers by value and before words (Semantic Versioning §11).
fn compare_pre_releases(a: &str, b: &str) -> Ordering {
    let part = |text: &str| {
        text.parse::<u64>()
            .map_or((1, 0, text.to_owned()), |number| (0, number, String::new()))
    };
    a.split('.').map(part).cmp(b.split('.').map(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_numbers_are_compared_as_numbers() {
        assert!(is_older("1.9.3", "1.10.0"));
        assert!(is_older("v1.2", "1.2.1"));
        assert!(is_older("2024.11.3", "2025.1"));
        assert!(!is_older("1.10.0", "1.9.3"));
        assert!(!is_older("1.2.0", "1.2"));
        assert!(!is_older("1.2+build.7", "1.2+build.9"));
    }

    #[test]
    fn a_pre_release_is_older_than_its_release() {
        assert!(is_older("1.0.0-rc.1", "1.0.0"));
        assert!(is_older("1.0.0-rc.2", "1.0.0-rc.10"));
        assert!(is_older("1.0.0-1", "1.0.0-alpha"));
        assert!(!is_older("1.0.0", "1.0.0-rc.1"));
    }

    #[test]
    fn of_hashes_and_words_none_is_older() {
        assert!(!is_older("4f2a9c1", "9d0e877"));
        assert!(!is_older("main", "1.0"));
        assert!(!is_older("", ""));
        assert!(!is_older("1..2", "2"));
        assert!(!is_older("99999999999999999999999", "100"));
    }
}
