//! What users decide about failures: of their rules the first that matches a span or log record
//! says what becomes of it.

use std::fmt;

use regex::Regex;

use crate::{
    domain::{Category, Severity},
    otlp::SpanKind,
};

use super::exceptions::short_type;

/// Rules in their order. Each looks at one span or log record, not at what stands above or below it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(pub Vec<Rule>);

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it is called in lists and explanations.
    pub name: String,
    /// What it is about.
    pub condition: Condition,
    /// What it says.
    pub effect: Effect,
}

/// What a rule is about: everything that is given must be so.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    /// `service.name`, with its namespace.
    pub service: Option<Wildcard>,
    /// Name of the span; of a log record its logger.
    pub span_name: Option<Wildcard>,
    /// What kind of span, or a log record.
    pub kind: Option<RecordKind>,
    /// Endpoint of the span itself.
    pub endpoint: Option<Wildcard>,
    /// Type of the exception, else `error.type`; whole, or what follows its last separator.
    pub exception_type: Option<Wildcard>,
    /// Found somewhere in the exception's message, else in the status message.
    pub message: Option<Regex>,
    /// HTTP status, or the equivalent of a gRPC code.
    pub status_code: Option<StatusCodes>,
    /// Category as it would be without rules.
    pub category: Option<Category>,
}

/// What becomes of what a rule matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// It is no error: there is no row, and its request did not fail for it.
    pub drop: bool,
    /// See `api_errors.severity`. It makes a row of a log record below WARN, too.
    pub severity: Option<Severity>,
    /// See `api_errors.category`.
    pub category: Option<Category>,
    /// See `api_errors.endpoint`; of an entry span also that of its request.
    pub endpoint: Option<String>,
    /// Added to `api_errors.tags`.
    pub tags: Vec<String>,
    /// All errors of a service with the same text here are of one kind.
    pub fingerprint: Option<String>,
    /// `true`: the span failed, whatever it says. `false`: its request did not, though there is a row.
    pub fail_request: Option<bool>,
}

/// A text in which `*` stands for any other, also for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard(pub String);

/// HTTP statuses: ranges, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCodes(pub Vec<(u16, u16)>);

/// Kind of a span, or log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A span of this kind.
    Span(SpanKind),
    /// A log record.
    Log,
}

/// A span or log record in the eyes of rules.
pub(super) struct Subject<'s> {
    pub service: &'s str,
    pub span_name: &'s str,
    pub kind: RecordKind,
    pub endpoint: &'s str,
    /// The exception's, else `error.type`; may be empty.
    pub type_name: &'s str,
    pub message: &'s str,
    pub status_code: Option<i32>,
}

impl Rules {
    /// Whether spans that did not fail and have no exception concern them, too.
    pub(super) fn concern_requests(&self) -> bool {
        let effects = self.0.iter().map(|rule| &rule.effect);
        effects
            .into_iter()
            .any(|effect| effect.endpoint.is_some() || effect.fail_request.is_some())
    }

    /// The first rule that matches. `category` is asked for only when a rule wants to know it.
    pub(super) fn find(
        &self,
        subject: &Subject<'_>,
        category: impl Fn() -> Category,
    ) -> Option<&Rule> {
        let matches = |rule: &&Rule| rule.condition.holds(subject, &category);
        self.0.iter().find(matches)
    }

    /// Rules that never decide, because an earlier one matches all that they match: for each its
    /// place in the list and the earlier one's.
    #[must_use]
    pub fn shadowed(&self) -> Vec<(usize, usize)> {
        let places = 0..self.0.len();
        places
            .filter_map(|place| {
                let own = &self.0[place].condition;
                let earlier = self.0[..place].iter();
                let by = earlier
                    .into_iter()
                    .position(|other| other.condition.covers(own))?;
                Some((place, by))
            })
            .collect()
    }
}

impl Condition {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn holds(&self, subject: &Subject<'_>, category: &impl Fn() -> Category) -> bool {
        let is = |wanted: &Option<Wildcard>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.matches(text))
        };
        self.kind.is_none_or(|kind| kind == subject.kind)
            && is(&self.service, subject.service)
            && is(&self.endpoint, subject.endpoint)
            && is(&self.span_name, subject.span_name)
            && self.exception_type.as_ref().is_none_or(|wanted| {
                let name = subject.type_name.trim();
                !name.is_empty() && (wanted.matches(name) || wanted.matches(short_type(name)))
            })
            && self.status_code.as_ref().is_none_or(|codes| {
                subject
                    .status_code
                    .is_some_and(|status| codes.contain(status))
            })
            && self
                .message
                .as_ref()
                .is_none_or(|regex| regex.is_match(subject.message))
            && self.category.is_none_or(|wanted| wanted == category())
    }

    /// Whether it certainly holds for everything that the other holds for.
    fn covers(&self, other: &Self) -> bool {
        fn text(wide: Option<&Wildcard>, narrow: Option<&Wildcard>) -> bool {
            match (wide, narrow) {
                (None, _) => true,
                (Some(wide), Some(narrow)) => wide.covers(narrow),
                (Some(_), None) => false,
            }
        }
        fn types(wide: Option<&Wildcard>, narrow: Option<&Wildcard>) -> bool {
            // A type that is written out is also known by its short form.
            let by_short = |wide: &Wildcard, narrow: &Wildcard| {
                !narrow.0.contains('*') && wide.matches(short_type(&narrow.0))
            };
            text(wide, narrow)
                || wide
                    .zip(narrow)
                    .is_some_and(|(wide, narrow)| by_short(wide, narrow))
        }
        fn same<T: PartialEq>(wide: Option<&T>, narrow: Option<&T>) -> bool {
            wide.is_none() || wide == narrow
        }
        let message = |it: &Self| it.message.as_ref().map(ToString::to_string);
        text(self.service.as_ref(), other.service.as_ref())
            && text(self.span_name.as_ref(), other.span_name.as_ref())
            && text(self.endpoint.as_ref(), other.endpoint.as_ref())
            && types(self.exception_type.as_ref(), other.exception_type.as_ref())
            && same(self.kind.as_ref(), other.kind.as_ref())
            && same(self.category.as_ref(), other.category.as_ref())
            && same(message(self).as_ref(), message(other).as_ref())
            && match (&self.status_code, &other.status_code) {
                (None, _) => true,
                (Some(wide), Some(narrow)) => wide.cover(narrow),
                (Some(_), None) => false,
            }
    }
}

/// Regular expressions are the same when they are written the same.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        let message = |it: &Self| it.message.as_ref().map(ToString::to_string);
        self.service == other.service
            && self.span_name == other.span_name
            && self.kind == other.kind
            && self.endpoint == other.endpoint
            && self.exception_type == other.exception_type
            && message(self) == message(other)
            && self.status_code == other.status_code
            && self.category == other.category
    }
}

impl Wildcard {
    /// Whether the whole text is one that it stands for.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(start) else {
            return false;
        };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return text.ends_with(part);
            }
            let Some(at) = text.find(part) else {
                return false;
            };
            text = &text[at + part.len()..];
        }
        true
    }

    /// Whether it certainly stands for all that the other stands for: its own literal parts have no
    /// `*`, so those of the other lie in what its own stand for.
    fn covers(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl StatusCodes {
    fn contain(&self, status: i32) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (i32::from(*first)..=i32::from(*last)).contains(&status))
    }

    fn cover(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .all(|(first, last)| (*first..=*last).all(|status| self.contain(i32::from(status))))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &Option<Wildcard>| text.as_ref().map(|text| format!("{:?}", text.0));
        let parts = [
            ("service", text(&self.service)),
            ("span_name", text(&self.span_name)),
            ("kind", self.kind.map(|kind| kind.as_str().to_owned())),
            ("endpoint", text(&self.endpoint)),
            ("exception_type", text(&self.exception_type)),
            (
                "message",
                self.message.as_ref().map(|regex| format!("/{regex}/")),
            ),
            (
                "status_code",
                self.status_code.as_ref().map(ToString::to_string),
            ),
            ("category", self.category.map(|it| it.to_string())),
        ];
        list(f, &parts)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = (!self.tags.is_empty()).then(|| self.tags.join(" "));
        let parts = [
            ("drop", self.drop.then(|| "true".to_owned())),
            ("severity", self.severity.map(|it| it.to_string())),
            ("category", self.category.map(|it| it.to_string())),
            ("endpoint", self.endpoint.clone()),
            ("tags", tags),
            ("fingerprint", self.fingerprint.clone()),
            ("fail_request", self.fail_request.map(|it| it.to_string())),
        ];
        list(f, &parts)
    }
}

/// `name value, name value`
fn list(f: &mut fmt::Formatter<'_>, parts: &[(&str, Option<String>)]) -> fmt::Result {
    let mut separator = "";
    for (name, value) in parts {
        if let Some(value) = value {
            write!(f, "{separator}{name} {value}")?;
            separator = ", ";
        }
    }
    Ok(())
}

impl fmt::Display for StatusCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            if first == last {
                write!(f, "{first}")?;
            } else {
                write!(f, "{first}-{last}")?;
            }
        }
        Ok(())
    }
}

impl RecordKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Span(SpanKind::Server),
        Self::Span(SpanKind::Client),
        Self::Span(SpanKind::Producer),
        Self::Span(SpanKind::Consumer),
        Self::Span(SpanKind::Internal),
        Self::Log,
    ];

    /// As it is written in rules.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Span(SpanKind::Server) => "server",
            Self::Span(SpanKind::Client) => "client",
            Self::Span(SpanKind::Producer) => "producer",
            Self::Span(SpanKind::Consumer) => "consumer",
            Self::Span(SpanKind::Internal) => "internal",
            Self::Log => "log",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wildcard(text: &str) -> Wildcard {
        Wildcard(text.to_owned())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (wanted, text, matches) in [
            ("shop", "shop", true),
            ("shop", "shops", false),
            ("*", "", true),
            ("shop*", "shop/cart", true),
            ("*cart", "shop/cart", true),
            ("*o*a*", "shop/cart", true),
            ("a*a", "a", false),
            ("a*b*c", "abbc", true),
            ("*.ValidationError", "shop.ValidationError", true),
            ("a*b", "ab-", false),
        ] {
            assert_eq!(wildcard(wanted).matches(text), matches, "{wanted} {text}");
        }
    }

    fn subject() -> Subject<'static> {
        Subject {
            service: "shop",
            span_name: "POST /pay",
            kind: RecordKind::Span(SpanKind::Server),
            endpoint: "/pay",
            type_name: "shop.PaymentError",
            message: "card 17 was declined",
            status_code: Some(502),
        }
    }

    #[test]
    fn all_that_a_condition_says_must_hold() {
        let all = || Condition {
            service: Some(wildcard("shop")),
            span_name: Some(wildcard("POST*")),
            kind: Some(RecordKind::Span(SpanKind::Server)),
            endpoint: Some(wildcard("/pay")),
            exception_type: Some(wildcard("PaymentError")),
            message: Some(Regex::new(r"card \d+").expect("it is one")),
            status_code: Some(StatusCodes(vec![(500, 599)])),
            category: Some(Category::ExternalApi),
        };
        let category = || Category::ExternalApi;
        assert!(all().holds(&subject(), &category));
        assert!(!all().holds(&subject(), &|| Category::Network));
        let others = [
            Subject {
                service: "mail",
                ..subject()
            },
            Subject {
                span_name: "GET /pay",
                ..subject()
            },
            Subject {
                kind: RecordKind::Log,
                ..subject()
            },
            Subject {
                endpoint: "/",
                ..subject()
            },
            Subject {
                type_name: "",
                ..subject()
            },
            Subject {
                message: "card",
                ..subject()
            },
            Subject {
                status_code: None,
                ..subject()
            },
        ];
        for other in others {
            assert!(!all().holds(&other, &category));
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_what_never_can_is_known() {
        let rule = |name: &str, condition| Rule {
            name: name.to_owned(),
            condition,
            effect: Effect::default(),
        };
        let service = |text| Condition {
            service: Some(wildcard(text)),
            ..Condition::default()
        };
        let statuses = |text, first, last| Condition {
            status_code: Some(StatusCodes(vec![(first, last)])),
            ..service(text)
        };
        let rules = Rules(vec![
            rule("mail", service("mail*")),
            rule("shop's 500s", statuses("shop", 500, 599)),
            rule("mail/in", service("mail/in")),
            rule("shop's 503", statuses("shop", 503, 503)),
            rule("shop", service("shop")),
            rule("all", service("*")),
            rule("late", statuses("late", 400, 400)),
        ]);
        let types = |name| Condition {
            exception_type: Some(wildcard(name)),
            ..Condition::default()
        };
        for (wide, narrow, covers) in [
            ("y*", "yy*", true),
            ("yy*", "y*", false),
            ("*a*", "*ba*", true),
            ("*", "*x", true),
            ("a*b", "a*", false),
        ] {
            assert_eq!(
                service(wide).covers(&service(narrow)),
                covers,
                "{wide} {narrow}"
            );
        }
        assert!(types("Timeout").covers(&types("java.Timeout")));
        assert!(!types("java.Timeout").covers(&types("Timeout")));
        let found = rules.find(&subject(), || Category::Unknown);
        assert_eq!(found.map(|rule| rule.name.as_str()), Some("shop's 500s"));
        assert_eq!(rules.shadowed(), [(2, 0), (3, 1), (6, 5)]);
    }
}
