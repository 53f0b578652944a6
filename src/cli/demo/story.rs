//! What a story of the demo is made of: spans inside spans, and the errors that they must lead to.

use std::time::Duration;

use opentelemetry::trace::SpanKind;

use crate::domain::{Category, Severity};

/// One thing that customers do.
#[derive(Debug)]
pub(super) struct Story {
    /// How often, compared with the others.
    pub weight: u32,
    /// The span that it begins with.
    pub step: Step,
    /// The errors that it must lead to.
    pub errors: &'static [Expected],
}

/// A span and those inside it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub service: &'static str,
    pub kind: SpanKind,
    /// `{number}` and `{customer}` stand for one of many, here and in values.
    pub name: &'static str,
    pub attributes: &'static [(&'static str, Value)],
    /// Its own time, without that of the steps inside.
    pub millis: u32,
    pub thrown: Option<Thrown>,
    /// Its status is ERROR.
    pub failed: bool,
    pub steps: &'static [Step],
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Text(&'static str),
    Number(i64),
}

/// An exception, as a program's language reports it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thrown {
    pub type_name: &'static str,
    pub message: &'static str,
    pub stack: &'static str,
}

/// A kind of error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize)]
pub(super) struct Expected {
    pub service: &'static str,
    pub endpoint: &'static str,
    pub error: &'static str,
    pub severity: Severity,
    pub category: Category,
}

/// A span that ends well, with nothing inside.
pub(super) const fn step(
    service: &'static str,
    kind: SpanKind,
    name: &'static str,
    attributes: &'static [(&'static str, Value)],
    millis: u32,
) -> Step {
    Step {
        service,
        kind,
        name,
        attributes,
        millis,
        thrown: None,
        failed: false,
        steps: &[],
    }
}

impl Step {
    /// The services that have a part in it.
    pub fn services(&self) -> Vec<&'static str> {
        let inner = self.steps.iter().flat_map(Self::services);
        std::iter::once(self.service).chain(inner).collect()
    }

    /// How long it takes, with all that is inside.
    pub fn lasts(&self) -> Duration {
        let inner: Duration = self.steps.iter().map(Self::lasts).sum();
        Duration::from_millis(u64::from(self.millis)) + inner
    }

    /// The requests in it: spans with which a service begins to work for somebody else.
    pub fn requests(&self) -> u64 {
        let is_one = matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        u64::from(is_one) + self.steps.iter().map(Self::requests).sum::<u64>()
    }

    /// These happen inside.
    pub const fn with(mut self, steps: &'static [Step]) -> Self {
        self.steps = steps;
        self
    }

    /// It fails without an exception.
    pub const fn failed(mut self) -> Self {
        self.failed = true;
        self
    }

    /// It fails with this exception.
    pub const fn throws(mut self, thrown: Thrown) -> Self {
        self.thrown = Some(thrown);
        self.failed = true;
        self
    }

    /// The exception is caught, and the span ends well.
    pub const fn catches(mut self, thrown: Thrown) -> Self {
        self.thrown = Some(thrown);
        self
    }
}

/// A kind of error, in one line.
pub(super) const fn expected(
    service: &'static str,
    endpoint: &'static str,
    error: &'static str,
    severity: Severity,
    category: Category,
) -> Expected {
    Expected {
        service,
        endpoint,
        error,
        severity,
        category,
    }
}
