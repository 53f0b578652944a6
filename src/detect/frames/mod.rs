//! Stacks of the languages that can be recognised, without what differs from one release, machine
//! or run to the next: the application's own frames, and what the failure was caused by.
//!
//! A stack is a chain of failures, the one that was recorded first and then its causes, in whatever
//! order the language prints them: `Caused by:` of Java, `[cause]` and `[errors]` of JavaScript,
//! `--->` of .NET, `Next` of PHP, the blocks of Ruby. In Python the direct cause (`raise … from`)
//! and what was being handled count the same, and so do the parts of an exception group. What Java
//! suppressed while it closed its resources is left out.

mod dotnet;
mod go;
mod java;
mod others;
mod place;
mod python;
mod script;

use place::Roots;

/// Deep recursion tells nothing new.
pub(super) const MAX_FRAMES: usize = 64;

/// Causes of causes beyond these are left out.
const MAX_CAUSES: usize = 8;

/// Failures of a chain that are kept while it is read, of which some turn out to say nothing.
const MAX_LINKS: usize = 64;

/// One frame: what runs, and whose it is.
#[derive(Debug, PartialEq)]
struct Frame {
    name: String,
    /// A library's, the runtime's, or made by a tool.
    is_foreign: bool,
    /// The name says which code it is. That of an anonymous function or a numbered closure does not.
    is_telling: bool,
}

impl Frame {
    fn foreign() -> Self {
        Self {
            name: String::new(),
            is_foreign: true,
            is_telling: true,
        }
    }
}

/// A failure of the chain.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Link {
    /// Its type; empty for the failure that was recorded, whose type is known.
    pub type_name: String,
    /// The names of the application's own frames, the innermost first. A name counts once in a
    /// stack, so that recursion of any depth is the same.
    pub frames: Vec<String>,
    /// The innermost of them has a name that says which code it is.
    is_telling: bool,
}

/// What a stack says.
#[derive(Debug, Default)]
pub(super) struct Stack {
    /// The failure and its causes. Empty when nothing of the stack is known.
    pub chain: Vec<Link>,
}

impl Stack {
    pub fn read(text: &str) -> Self {
        let mut reader = Reader::new(text);
        while let Some(line) = reader.next() {
            reader.take(line);
        }
        reader.finish()
    }

    pub fn has_frames(&self) -> bool {
        self.chain.iter().any(|link| !link.frames.is_empty())
    }

    /// Whether the frames alone tell this failure from others of its type.
    pub fn is_telling(&self) -> bool {
        let links = self.chain.iter();
        links
            .filter(|link| !link.frames.is_empty())
            .all(|link| link.is_telling)
    }
}

/// Goes through the lines of a stack.
struct Reader<'t> {
    lines: std::str::Lines<'t>,
    next: Option<&'t str>,
    first: &'t str,
    roots: Roots<'t>,
    /// In order of the chain; `at` is the one whose frames are being read.
    links: Vec<(Link, Vec<Frame>)>,
    at: usize,
    /// .NET: the failures whose frames follow when this one's have ended.
    outer: Vec<usize>,
    /// Python and PHP: what comes next was caused by what came before.
    wraps: bool,
    /// Java: lines that are indented as deep as this belong to suppressed failures.
    suppressed: Option<usize>,
    is_python: bool,
    frames: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        let mut lines = text.lines();
        let next = lines.next();
        Self {
            lines,
            next,
            first: next.unwrap_or(""),
            roots: Roots::of(text),
            links: vec![Default::default()],
            at: 0,
            outer: Vec::new(),
            wraps: false,
            suppressed: None,
            is_python: false,
            frames: 0,
        }
    }

    fn next(&mut self) -> Option<&'t str> {
        let line = self.next?;
        self.next = self.lines.next();
        Some(line)
    }

    fn take(&mut self, line: &'t str) {
        if self.skips_suppressed(line) || self.starts_link(line) {
            return;
        }
        let next = self.next;
        let frame = python::frame(line, &self.roots)
            .or_else(|| {
                let frame = others::rust(line, next)?;
                // The line with its place is read with it.
                if next.is_some_and(others::is_rust_place) {
                    self.next();
                }
                Some(frame)
            })
            .or_else(|| java::frame(line))
            .or_else(|| script::frame(line, &self.roots))
            .or_else(|| dotnet::frame(line))
            .or_else(|| go::frame(line, next))
            .or_else(|| others::php(line, &self.roots))
            .or_else(|| others::ruby(line, &self.roots));
        let Some(frame) = frame else { return };
        self.frames += 1;
        if go::is_panic(line) {
            // What ran before is what caught it.
            self.links[self.at].1.clear();
        }
        self.links[self.at].1.push(frame);
    }

    /// The lines of a failure that Java suppressed.
    fn skips_suppressed(&mut self, line: &str) -> bool {
        let indentation = line.len() - line.trim_start().len();
        if self.suppressed.is_some_and(|outer| indentation >= outer) {
            return true;
        }
        let is_suppressed = indentation > 0 && line.trim_start().starts_with("Suppressed: ");
        self.suppressed = is_suppressed.then_some(indentation);
        is_suppressed
    }

    /// Whether the line begins or ends a failure of the chain.
    fn starts_link(&mut self, line: &str) -> bool {
        let bare = line.trim_start_matches([' ', '\t', '|', '+', '-']);
        if bare.starts_with("Traceback (most recent call last)")
            || bare.starts_with("Exception Group Traceback (most recent call last)")
        {
            let is_first = !self.is_python;
            self.is_python = true;
            if !is_first {
                self.open("", self.wraps);
            }
            self.wraps = false;
            return true;
        }
        if python::is_cause(bare) {
            self.wraps = true;
            return true;
        }
        if self.is_python {
            let (failure, frames) = &mut self.links[self.at];
            if failure.type_name.is_empty()
                && !frames.is_empty()
                && let Some(type_name) = python::type_of(line)
            {
                type_name.clone_into(&mut failure.type_name);
                return true;
            }
            return false;
        }
        if let Some(cause) = dotnet::cause(line) {
            self.outer.push(self.at);
            self.open(type_of(cause), false);
            return true;
        }
        if dotnet::ends_cause(line) {
            self.at = self.outer.pop().unwrap_or(0);
            return true;
        }
        let cause = ["Caused by: ", "[cause]: "]
            .iter()
            .find_map(|mark| bare.strip_prefix(mark));
        if let Some(cause) = cause {
            self.open(type_of(cause), false);
            return true;
        }
        if let Some(wrapper) = bare.strip_prefix("Next ").filter(|_| line == bare) {
            // PHP names what was caused after its cause, whose own type stands in the first line.
            let cause = &mut self.links[self.at].0.type_name;
            if cause.is_empty() {
                type_of(self.first).clone_into(cause);
            }
            self.open(type_of(wrapper), true);
            return true;
        }
        // Ruby's causes are blocks of their own.
        if let Some(type_name) = others::ruby_type(line) {
            if self.frames > 0 {
                self.open(type_name, false);
            }
            return false;
        }
        // Go prints the other goroutines behind the one that failed.
        if bare.starts_with("goroutine ") && self.frames > 0 {
            self.next = None;
            return true;
        }
        false
    }

    /// A new failure: the cause of the last one, or what the first one caused.
    fn open(&mut self, type_name: &str, wraps: bool) {
        let link = Link {
            type_name: type_name.to_owned(),
            ..Link::default()
        };
        // Of very many only the first count, and nobody waits for the others to move.
        self.links.truncate(MAX_LINKS);
        if wraps {
            self.links.insert(0, (link, Vec::new()));
            self.at = 0;
        } else {
            self.links.push((link, Vec::new()));
            self.at = self.links.len() - 1;
        }
    }

    fn finish(self) -> Stack {
        let mut names: Vec<String> = Vec::new();
        let mut chain = Vec::new();
        for (place, (mut link, mut frames)) in self.links.into_iter().enumerate().take(MAX_CAUSES) {
            if self.is_python {
                frames.reverse();
            }
            if place == 0 {
                // The type that was recorded is more exact.
                link.type_name.clear();
            }
            let mut own = frames
                .into_iter()
                .filter(|frame| !frame.is_foreign)
                .peekable();
            link.is_telling = own.peek().is_none_or(|innermost| innermost.is_telling);
            for frame in own {
                if names.len() < MAX_FRAMES && !names.contains(&frame.name) {
                    names.push(frame.name.clone());
                    link.frames.push(frame.name);
                }
            }
            chain.push(link);
        }
        Stack { chain }
    }
}

/// The type before a message: `java.sql.SQLException: deadlock`.
fn type_of(line: &str) -> &str {
    let end = line.find([':', ' ', '{', '(']).unwrap_or(line.len());
    // `std::io::Error` and `Foo::Bar` have colons of their own.
    let mut end = end;
    while line[end..].starts_with("::") {
        let rest = &line[end + 2..];
        end += 2 + rest.find([':', ' ', '{', '(']).unwrap_or(rest.len());
    }
    line[..end].trim()
}

fn is_in(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

fn starts_with(text: &str, beginnings: &[&str]) -> bool {
    beginnings
        .iter()
        .any(|beginning| text.starts_with(beginning))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
