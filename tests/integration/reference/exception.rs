//! Exceptions: how they are found, and when one names another.

/// An exception as it was recorded.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    pub(super) full_type: Option<String>,
    pub(super) message: Option<String>,
    pub(super) stack: Option<String>,
    /// As sent; absent when it was an attribute of the span itself.
    pub(super) at_nanos: Option<u64>,
}

const GENERIC: [&str; 17] = [
    "",
    "Error",
    "Exception",
    "RuntimeError",
    "RuntimeException",
    "errorString",
    "wrapError",
    "wrapErrors",
    "joinError",
    "fundamental",
    "withStack",
    "withMessage",
    "Throwable",
    "BaseException",
    "StandardError",
    "object",
    "string",
];

const CANCELLATIONS: [&str; 8] = [
    "CancelledError",
    "CancellationException",
    "JobCancellationException",
    "OperationCanceledException",
    "TaskCanceledException",
    "AbortError",
    "ClientAbortException",
    "ClientDisconnect",
];

impl Exception {
    pub(super) fn is_control_flow(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        match self.short_type().as_str() {
            "Retry" | "StopIteration" => true,
            "SystemExit" => matches!(message, "" | "0"),
            _ => false,
        }
    }

    /// Somebody gave up waiting.
    pub(super) fn is_cancellation(&self) -> bool {
        let message = self.message.as_deref().unwrap_or_default();
        CANCELLATIONS.contains(&self.short_type().as_str()) || message.contains("context canceled")
    }

    pub(super) fn speaks_of_timeout(&self) -> bool {
        [&self.message, &self.stack]
            .into_iter()
            .flatten()
            .any(|text| {
                let text = text.to_lowercase();
                ["timeout", "timed out", "deadline exceeded"]
                    .iter()
                    .any(|words| text.contains(words))
            })
    }

    pub(super) fn short_type(&self) -> String {
        short_type(self.full_type.as_deref().unwrap_or_default())
    }

    pub(super) fn first_line(&self) -> String {
        let message = self.message.as_deref().unwrap_or_default();
        message.lines().next().unwrap_or_default().to_owned()
    }

    /// Whether type, message or stack of this one speak of the other.
    pub(super) fn names(&self, other: &Self) -> bool {
        let short_type = other.short_type();
        let is_telling = !GENERIC.contains(&short_type.as_str()) && short_type != "Object";
        let names_type = |text: &String| contains_word(text, &short_type);
        is_telling && self.texts().any(names_type) || self.quotes(other)
    }

    /// Whether type, message or stack of this one hold the other's message.
    pub(super) fn quotes(&self, other: &Self) -> bool {
        let first_line = other.first_line().trim().to_owned();
        first_line.chars().count() >= 8 && self.texts().any(|text| text.contains(&first_line))
    }

    fn texts(&self) -> impl Iterator<Item = &String> {
        let texts = [&self.full_type, &self.message, &self.stack];
        texts.into_iter().flatten()
    }
}

/// What follows the last `.`, `:`, `\`, `$` or `/`, without `*`.
pub(super) fn short_type(full_type: &str) -> String {
    full_type
        .rsplit(['.', ':', '\\', '$', '/'])
        .next()
        .unwrap_or_default()
        .replace('*', "")
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
