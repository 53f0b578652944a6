//! Stacks of Rust, PHP and Ruby.

use super::{Frame, Roots, is_in, is_number, starts_with};

/// `   3: shop::cart::add`, and on the next line `at ./src/cart.rs:17:5`
pub(super) fn rust(line: &str, next: Option<&str>) -> Option<Frame> {
    let (number, name) = line.trim_start().split_once(": ")?;
    if !is_number(number) || !line.starts_with(' ') {
        return None;
    }
    let place = next.filter(|next| is_rust_place(next))?.trim_start();
    // `<shop::Cart as core::ops::Add>::add`, and behind a name its hash: `::h0123456789abcdef`.
    let path = name
        .trim_start_matches(['<', '&', '*'])
        .trim_start_matches("dyn ");
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => name,
    };
    let is_closure = name.contains("{{closure}}") || name.contains("{closure#");
    let name = match name.split_once("{closure#") {
        Some((before, _)) => format!("{before}{{{{closure}}}}"),
        None => name.to_owned(),
    };
    Some(Frame {
        is_foreign: !path.contains("::")
            || starts_with(path, &["std::", "core::", "alloc::", "__rustc::"])
            || is_in(
                place,
                &[
                    "/rustc/",
                    "/registry/src/",
                    "/git/checkouts/",
                    "/library/std/",
                ],
            ),
        is_telling: !is_closure,
        name,
    })
}

pub(super) fn is_rust_place(line: &str) -> bool {
    line.starts_with("   ") && line.trim_start().starts_with("at ")
}

/// `#0 /app/src/Cart.php(17): Shop\Cart->add()`
pub(super) fn php(line: &str, roots: &Roots<'_>) -> Option<Frame> {
    let frame = line.trim_start().strip_prefix('#')?;
    let (number, frame) = frame.split_once(' ')?;
    if !is_number(number) {
        return None;
    }
    let (place, function) = frame.split_once(": ")?;
    let file = place.split('(').next().unwrap_or(place);
    let function = function.split('(').next().unwrap_or(function);
    // `{closure:/app/src/routes.php:17}` since PHP 8.4.
    let (function, is_closure) = match function.split_once("{closure") {
        Some((before, _)) => (format!("{before}{{closure}}"), true),
        None => (function.to_owned(), false),
    };
    Some(Frame {
        name: format!("{} {function}", roots.relative(file)),
        is_foreign: file.contains("/vendor/") || file.starts_with("[internal"),
        is_telling: !is_closure,
    })
}

/// ``/app/cart.rb:17:in `add'``, `from /app/cart.rb:17:in 'Cart#add'`
pub(super) fn ruby(line: &str, roots: &Roots<'_>) -> Option<Frame> {
    let line = line.trim();
    let line = line.strip_prefix("from ").unwrap_or(line);
    let (place, function) = line.split_once(":in ")?;
    let (file, number) = place.rsplit_once(':')?;
    if !is_number(number) {
        return None;
    }
    // In the first line the message follows.
    let function = function.trim_start_matches(['`', '\'']);
    let function = function.split('\'').next().unwrap_or(function);
    // `block in add`, `block (2 levels) in add`, `rescue in add`
    let outer = function.rsplit(" in ").next().unwrap_or(function);
    Some(Frame {
        name: format!("{} {outer}", roots.relative(file)),
        is_foreign: is_in(file, &["/gems/", "/lib/ruby/", "<internal:"]),
        is_telling: outer.len() == function.len() || !outer.starts_with('<'),
    })
}

/// The type in the first line of a failure: `/app/cart.rb:17:in 'add': no lines (ArgumentError)`.
pub(super) fn ruby_type(line: &str) -> Option<&str> {
    let (place, rest) = line.split_once(":in ")?;
    if line.starts_with([' ', '\t']) || !place.rsplit_once(':').is_some_and(|(_, it)| is_number(it))
    {
        return None;
    }
    let (_, message) = rest.split_once("': ")?;
    let (_, type_name) = message.strip_suffix(')')?.rsplit_once(" (")?;
    Some(type_name)
}
