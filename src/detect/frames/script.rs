//! Stacks of JavaScript and TypeScript: V8's form (Node, Chromium) and that of Firefox and Safari.

use super::{Frame, Roots, is_in, is_number, starts_with};

/// `at add (/app/cart.js:17:3)`, `at async /app/cart.js:17:3`, `add@https://shop/cart.js:17:3`
pub(super) fn frame(line: &str, roots: &Roots<'_>) -> Option<Frame> {
    let line = line.trim();
    if let Some(frame) = line.strip_prefix("at ") {
        return of_v8(frame, roots);
    }
    let (function, place) = line.split_once('@')?;
    // Safari and Firefox say what called asynchronously: `async*add`, `setTimeout handler*add`.
    let function = function.rsplit('*').next().unwrap_or(function);
    (place == "[native code]" || is_place(place)).then(|| named(function, place, roots))
}

fn of_v8(frame: &str, roots: &Roots<'_>) -> Option<Frame> {
    let frame = frame.strip_prefix("async ").unwrap_or(frame);
    // Node prints what an error holds behind its last frame.
    let frame = frame.trim_end_matches(" {");
    if let Some((function, place)) = frame.strip_suffix(')').and_then(|it| it.split_once(" (")) {
        if place.starts_with("eval at ") {
            return Some(Frame::foreign());
        }
        return is_place(place).then(|| named(function, place, roots));
    }
    is_place(frame).then(|| named("", frame, roots))
}

fn named(function: &str, place: &str, roots: &Roots<'_>) -> Frame {
    let (file, column) = file_of(place);
    // `Cart.add [as handler]`, `new Cart`
    let function = function.split(" [as ").next().unwrap_or(function).trim();
    let function = function.strip_prefix("async ").unwrap_or(function);
    // What a closure is called depends on what else stands in its function: `add/<`, `add/</<`.
    let outer = function.trim_end_matches(['/', '<']);
    let last = outer.rsplit('.').next().unwrap_or(outer);
    let is_anonymous = outer.len() < function.len() || ANONYMOUS.contains(&last);
    let name = if ANONYMOUS.contains(&last) { "" } else { outer };
    Frame {
        name: format!("{} {name}", roots.relative(file))
            .trim_end()
            .to_owned(),
        is_foreign: is_foreign(file) || is_minified(file, column),
        is_telling: !is_anonymous && last.len() > 1,
    }
}

/// Names that say nothing of which function it is: V8 names a function without a name after the
/// property that it is called by.
#[rustfmt::skip]
const ANONYMOUS: &[&str] = &[
    "", "<anonymous>", "anonymous", "(anonymous)", "handler", "handle", "callback", "cb", "fn", "fun",
    "func", "listener", "next", "global code", "module code", "eval code",
];

/// The file of `https://shop/cart.js?v=1:17:3`, without its host and query, and the column.
fn file_of(place: &str) -> (&str, usize) {
    let mut parts = place.rsplitn(3, ':');
    let (file, column) = match (parts.next(), parts.next(), parts.next()) {
        (Some(column), Some(line), Some(file)) if is_number(line) && is_number(column) => {
            (file, column.parse().unwrap_or(0))
        }
        _ => (place, 0),
    };
    let file = file.split(['?', '#']).next().unwrap_or(file);
    let file = match file.split_once("://") {
        None | Some(("node", _)) => file,
        // `webpack-internal:///(rsc)/./src/cart.js`
        Some((scheme, path)) if scheme.starts_with("webpack") => {
            path.split_once("/./").map_or(path, |(_, path)| path)
        }
        Some(("file", path)) => path,
        // The host is no part of it.
        Some((_, url)) if !is_in(url, CDN) => url.split_once('/').map_or(url, |(_, path)| path),
        Some(_) => file,
    };
    (file, column)
}

/// `…:17:3`, `native`, `<anonymous>`
fn is_place(place: &str) -> bool {
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next(), parts.next());
    (column.is_some_and(is_number) && line.is_some_and(is_number) && parts.next().is_some())
        || matches!(place, "native" | "<anonymous>")
        || place.starts_with("index ")
}

fn is_foreign(file: &str) -> bool {
    is_in(file, FOREIGN)
        || is_in(file, CDN)
        || starts_with(
            file,
            &[
                "node:",
                "internal/",
                "ext:",
                "deno:",
                "bun:",
                "index ",
                "<",
                "[",
            ],
        )
        || file == "native"
}

const FOREIGN: &[&str] = &[
    "node_modules/",
    "webpack/runtime",
    "webpack/bootstrap",
    "-extension:",
    "-extension/",
];

const CDN: &[&str] = &["unpkg.com", "jsdelivr.net", "cdnjs.", "esm.sh", "deno.land"];

/// A line of hand-written code is not longer than this.
const MAX_COLUMN: usize = 250;

/// Names in minified code are other ones after each build, and so are its files.
fn is_minified(file: &str, column: usize) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    column > MAX_COLUMN || name.contains(".min.") || has_content_hash(name)
}

/// `main.3f2a1c9b.js`, `index-BxY3k9aZ.js`
fn has_content_hash(name: &str) -> bool {
    let Some((stem, _)) = name.rsplit_once('.') else {
        return false;
    };
    stem.split('.')
        .flat_map(|part| {
            part.rsplit_once('-')
                .map_or([part, ""], |(_, end)| [part, end])
        })
        .any(|part| {
            let digits = part.bytes().filter(u8::is_ascii_digit).count();
            let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_mixed = part.bytes().any(|byte| byte.is_ascii_uppercase())
                && part.bytes().any(|byte| byte.is_ascii_lowercase())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            (is_hex && digits > 0 && part.len() >= 8) || (is_mixed && digits > 0 && part.len() == 8)
        })
}
