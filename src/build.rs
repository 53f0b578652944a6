//! What this program was built from.

/// The package's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, when it was known.
pub const REVISION: &str = match option_env!("REDSPAN_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The compiler's version, when it was known.
pub const RUSTC: &str = match option_env!("REDSPAN_RUSTC") {
    Some(version) => version,
    None => "unknown",
};
