//! URLs: user and password before the host, every value of the query and of a fragment that is like
//! one. Keys stay.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::Found;

/// Adds users, passwords and values of queries, of URLs and of paths without host.
pub(super) fn find(text: &str, found: &mut Found) {
    let bytes = text.as_bytes();
    // Each word is searched for its end and its last @ once, however many `://` are in it.
    let mut word = Word::default();
    for at in memmem::find_iter(bytes, "://") {
        let start = at + "://".len();
        if start >= word.end {
            word = Word::from(text, start);
        }
        if let Some(user) = userinfo(text, start, &word) {
            found.add(user);
        }
    }
    let mut from = 0;
    while let Some(at) = memchr(b'?', &bytes[from..]) {
        let start = from + at + 1;
        let end = end_of_url(text, start);
        let is_url = is_in_url(text, start - 1);
        find_values(text, start..end, is_url, found);
        from = end;
    }
    // What OAuth hands over in the fragment.
    let mut from = 0;
    while let Some(at) = memchr(b'#', &bytes[from..]) {
        let mut start = from + at + 1;
        let end = end_of_url(text, start);
        if is_in_url(text, start - 1) {
            for part in text[start..end].split('#') {
                find_values(text, start..start + part.len(), false, found);
                start += part.len() + 1;
            }
        }
        from = end;
    }
}

/// What goes on to the next white space or quote.
#[derive(Default)]
struct Word {
    end: usize,
    /// Its last `@`.
    last_at: Option<usize>,
}

impl Word {
    fn from(text: &str, start: usize) -> Self {
        let end = end_of_url(text, start);
        Self {
            end,
            last_at: text[start..end].rfind('@').map(|at| start + at),
        }
    }
}

/// Adds the values of a query, without `?`. A query of one word is the value itself, where there is
/// no doubt that it is one.
pub(super) fn find_values(text: &str, query: Range<usize>, is_query: bool, found: &mut Found) {
    let whole = &text[query.clone()];
    let mut at = query.start;
    for (position, pair) in whole.split(['&', ';']).enumerate() {
        let start = at;
        at += pair.len() + 1;
        let fragment = pair.find('#').unwrap_or(pair.len());
        let end = start + fragment - place_in_code(&pair[..fragment]);
        match pair[..fragment].split_once('=') {
            Some((key, _)) if position == 0 && !is_query && !is_key(key) => return,
            Some((key, _)) => found.add(start + key.len() + 1..end),
            None if position == 0 && !is_query => return,
            None => found.add(start..end),
        }
        if fragment < pair.len() {
            return;
        }
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.contains(['?', '(', ')'])
}

/// The length of `:17:3)` at the end, as stacks put it behind a script's URL.
fn place_in_code(value: &str) -> usize {
    let inner = value.strip_suffix(')').unwrap_or(value);
    let digits = |text: &str| {
        let rest = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
        (rest.len() < text.len())
            .then(|| rest.strip_suffix(':').map(str::len))
            .flatten()
    };
    let Some(line) = digits(inner).and_then(|column| digits(&inner[..column])) else {
        return 0;
    };
    value.len() - line
}

/// User and password after `://`. A password may hold what may not stand in a URL.
fn userinfo(text: &str, start: usize, word: &Word) -> Option<Range<usize>> {
    let url = &text[start..word.end];
    let authority = &url[..url.find(['/', '?', '#']).unwrap_or(url.len())];
    if let Some(at) = authority.rfind('@') {
        // Paths of databases have no @, so that one is the end of a password with a slash.
        let scheme = &text[..start - "://".len()];
        let is_web = ["http", "https", "ws", "wss"]
            .iter()
            .any(|web| scheme.ends_with(web));
        let at = start + at;
        let at = word.last_at.filter(|_| !is_web).unwrap_or(at);
        return (at > start).then_some(start..at);
    }
    // `user:pass/word@host`, but not `host:8080/react@18`.
    let (_, after) = authority.split_once(':')?;
    if after.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let at = word.last_at.filter(|at| *at > start)?;
    Some(start..at)
}

/// Whether what stands before belongs to a URL or a path.
fn is_in_url(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let start = before
        .rfind(|letter: char| {
            letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`' | '(' | ',')
        })
        .map_or(0, |end| end + 1);
    let word = before.get(start..).unwrap_or("");
    word.starts_with('/') || word.contains("://")
}

fn end_of_url(text: &str, start: usize) -> usize {
    let is_end =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`');
    text[start..]
        .find(is_end)
        .map_or(text.len(), |end| start + end)
}
