//! Stacks of Go: of a panic, and of `debug.Stack`.

use super::{Frame, is_in, is_number};

/// `main.(*Cart).Add(0xc000010000)`, and on the next line, after a tab, `/src/cart.go:17 +0x1d`
pub(super) fn frame(line: &str, next: Option<&str>) -> Option<Frame> {
    let file = next?.strip_prefix('\t')?;
    let file = &file[..file.find(".go:").or_else(|| file.find(".s:"))?];
    let function = line.strip_prefix("created by ").unwrap_or(line);
    let function = function.split(" in goroutine ").next().unwrap_or(function);
    // Arguments stand in the last brackets; those before belong to the receiver.
    let function = match function.rfind('(') {
        Some(arguments) if function.ends_with(')') => &function[..arguments],
        _ => function,
    };
    let function = function.trim();
    let name = without_numbers(function);
    Some(Frame {
        is_foreign: is_foreign(function, file),
        is_telling: name == function,
        name,
    })
}

/// What stands above it ran after the panic.
pub(super) fn is_panic(line: &str) -> bool {
    line.starts_with("panic(")
}

/// Closures are numbered in the order in which they stand in their function: `main.main.func2.1`.
fn without_numbers(function: &str) -> String {
    let mut name = String::with_capacity(function.len());
    let mut is_closure = false;
    // Dots in brackets and before the last slash belong to no function.
    let package = function.rfind('/').map_or(0, |slash| slash + 1);
    name.push_str(&function[..package]);
    for (place, part) in function[package..].split('.').enumerate() {
        if place > 0 {
            name.push('.');
        }
        let numbered = ["func", "gowrap", "deferwrap"]
            .iter()
            .find(|kind| part.strip_prefix(**kind).is_some_and(is_number));
        match numbered {
            Some(kind) if place > 1 => {
                is_closure = true;
                name.push_str(kind);
                name.push('?');
            }
            _ if is_closure && is_number(part) => name.push('?'),
            _ => name.push_str(part),
        }
    }
    name
}

/// The standard library, whose packages have names without a dot, or a module of somebody else.
fn is_foreign(function: &str, file: &str) -> bool {
    let first = match function.split_once('/') {
        Some((first, _)) => first,
        None => function.split(['.', '(']).next().unwrap_or(function),
    };
    is_in(file, &["/pkg/mod/", "/vendor/", "@v"]) || first == "panic" || STANDARD.contains(&first)
}

/// The standard library, without `main`.
#[rustfmt::skip]
const STANDARD: &[&str] = &[
    "archive", "bufio", "bytes", "cmp", "compress", "container", "context", "crypto", "database",
    "debug", "embed", "encoding", "errors", "expvar", "flag", "fmt", "go", "hash", "html", "image",
    "internal", "io", "iter", "log", "maps", "math", "mime", "net", "os", "path", "plugin", "reflect",
    "regexp", "runtime", "slices", "sort", "strconv", "strings", "sync", "syscall", "testing", "text",
    "time", "unicode", "unique", "unsafe", "weak",
];
