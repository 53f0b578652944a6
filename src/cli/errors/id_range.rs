//! Errors by their ids, as people type them: the beginning is enough when it is that of only one.

use uuid::Uuid;

use crate::{domain::ErrorId, failure::Failure, store::Reader};

/// Ids that are named when a beginning is that of several.
const MAX_NAMED: u32 = 4;

/// The ids that begin with the digits that were typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdRange {
    typed: String,
    first: ErrorId,
    last: ErrorId,
}

impl IdRange {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|it| *it != '-').collect();
        if !(8..=32).contains(&digits.len()) || !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
            return Err(
                "give an id like f9642518-8758-8458-ae74-77f85876412f, or at least its first 8 \
                 characters"
                    .to_owned(),
            );
        }
        let filled = |with: &str| {
            let id = format!("{digits}{}", with.repeat(32 - digits.len()));
            Uuid::try_parse(&id)
                .map(ErrorId)
                .map_err(|error| error.to_string())
        };
        Ok(Self {
            typed: text.to_lowercase(),
            first: filled("0")?,
            last: filled("f")?,
        })
    }

    /// As it was typed.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// The id, when all of it was typed.
    pub(super) fn whole(&self) -> Option<ErrorId> {
        (self.first == self.last).then_some(self.first)
    }

    /// The one id that leads to an error; `None` when none does.
    pub(super) async fn find<R: Reader + ?Sized>(
        &self,
        reader: &R,
    ) -> Result<Option<ErrorId>, Failure> {
        let ids = reader
            .get_error_ids(self.first, self.last, MAX_NAMED + 1)
            .await?;
        if ids.len() <= 1 {
            return Ok(ids.first().copied());
        }
        let mut named: Vec<_> = ids.iter().map(ToString::to_string).collect();
        if named.len() > MAX_NAMED as usize {
            named.pop();
            named.push("more".to_owned());
        }
        Err(Failure::Usage(format!(
            "{} is the beginning of several errors, give more of it: {}",
            self.typed,
            named.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_stands_for_all_ids_that_begin_with_it() {
        let range = IdRange::parse("F9642518-87").unwrap();
        assert_eq!(
            range.first.to_string(),
            "f9642518-8700-0000-0000-000000000000"
        );
        assert_eq!(
            range.last.to_string(),
            "f9642518-87ff-ffff-ffff-ffffffffffff"
        );
        assert_eq!(range.whole(), None);
        let whole = IdRange::parse("f9642518-8758-8458-ae74-77f85876412f").unwrap();
        assert_eq!(whole.whole(), Some(whole.last));
        for text in [
            "f964251",
            "f96425-1",
            "g9642518",
            "",
            &"0".repeat(33),
            "ä9642518",
        ] {
            assert!(IdRange::parse(text).is_err(), "{text}");
        }
    }
}
