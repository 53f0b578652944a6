//! Tracebacks of Python.

use super::{Frame, Roots, is_in};

/// `  File "/app/shop/cart.py", line 17, in add`
pub(super) fn frame(line: &str, roots: &Roots<'_>) -> Option<Frame> {
    let line = line.trim_start_matches([' ', '\t', '|']);
    let (file, rest) = line.strip_prefix("File \"")?.split_once('"')?;
    let function = rest
        .rsplit_once(", in ")
        .map_or("", |(_, function)| function)
        .trim();
    Some(Frame {
        name: format!("{} {function}", roots.relative(file)),
        is_foreign: is_in(file, FOREIGN) || file.starts_with('<'),
        // `<lambda>`, `<listcomp>`
        is_telling: !function.starts_with('<') || function == "<module>",
    })
}

const FOREIGN: &[&str] = &[
    "site-packages",
    "dist-packages",
    "/lib/python",
    "\\Lib\\",
    "/bin/",
    "/var/runtime/",
];

/// What stands between the cause and what it caused.
pub(super) fn is_cause(line: &str) -> bool {
    line.starts_with("The above exception was the direct cause of the following exception")
        || line.starts_with("During handling of the above exception, another exception occurred")
}

/// The type in the last line of a traceback: `shop.errors.Empty: order 17 has no lines`.
pub(super) fn type_of(line: &str) -> Option<&str> {
    // Lines of code are indented, in groups behind a bar.
    let line = match line.trim_start().strip_prefix("| ") {
        Some(grouped) => grouped,
        None => line,
    };
    let (name, _) = line.split_once(':').unwrap_or((line, ""));
    let name = name.trim_end();
    let is_name = name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '.'));
    is_name.then_some(name)
}
