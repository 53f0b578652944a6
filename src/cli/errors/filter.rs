//! Which errors: the flags that `errors list` and `errors stats` share, and how they read in a sentence.

use clap::Args;

use crate::{
    cli::{
        text::{one_line, to_the_second},
        when::Period,
        word,
    },
    domain::{Category, Fingerprint, Severity, Timestamp, TraceId},
    failure::Failure,
    store::ErrorFilter,
};

/// Which errors; everything that is given must hold.
#[derive(Args, Debug, Default)]
pub struct Filter {
    #[command(flatten)]
    pub(super) period: Period,
    /// Whose request failed
    #[arg(long, visible_alias = "user")]
    user_id: Option<String>,
    /// In which service
    #[arg(long, visible_alias = "service")]
    service_name: Option<String>,
    /// In which environment
    #[arg(long)]
    environment: Option<String>,
    /// On which endpoint: `/orders/{id}`
    #[arg(long)]
    endpoint: Option<String>,
    /// With which method
    #[arg(long)]
    method: Option<String>,
    /// How bad; several separated by commas
    #[arg(long, value_delimiter = ',', value_parser = word(Severity::ALL, Severity::as_str))]
    severity: Vec<Severity>,
    /// Of which category; several separated by commas
    #[arg(long, value_delimiter = ',', value_parser = word(Category::ALL, Category::as_str))]
    category: Vec<Category>,
    /// With which HTTP status
    #[arg(long)]
    status_code: Option<i32>,
    /// Which called service failed
    #[arg(long)]
    external_service: Option<String>,
    /// Whether somebody took care of it
    #[arg(long, value_name = "true|false")]
    resolved: Option<bool>,
    /// In which request
    #[arg(long)]
    request_id: Option<String>,
    /// In which trace, 32 hexadecimal digits
    #[arg(long, value_parser = trace_id)]
    trace_id: Option<TraceId>,
    /// Of which group
    #[arg(long)]
    fingerprint: Option<String>,
    /// With this tag: `handled`, `probe`, `client_error`, …
    #[arg(long)]
    tag: Option<String>,
    /// With this text in the message, as it stands
    #[arg(long)]
    text: Option<String>,
    /// Those that were deleted too
    #[arg(long)]
    include_deleted: bool,
}

impl Filter {
    pub(super) fn to_filter(&self, now: Timestamp) -> Result<ErrorFilter, Failure> {
        let (from, to) = self.period.range(now)?;
        let filter = ErrorFilter {
            from,
            to,
            user_id: self.user_id.clone(),
            service_name: self.service_name.clone(),
            environment: self.environment.clone(),
            endpoint: self.endpoint.clone(),
            method: self.method.clone(),
            severity: self.severity.clone(),
            category: self.category.clone(),
            status_code: self.status_code,
            external_service: self.external_service.clone(),
            resolved: self.resolved,
            request_id: self.request_id.clone(),
            trace_id: self.trace_id,
            fingerprint: self.fingerprint.clone().map(Fingerprint),
            tag: self.tag.clone(),
            text: self.text.clone(),
            include_deleted: self.include_deleted,
        };
        match filter.without_bounds() {
            None => Ok(filter),
            Some((condition, _)) => Err(Failure::Usage(format!(
                "--{condition} needs --since or --from beside it: no index finds it, so all errors \
                 since then are looked at"
            ))),
        }
    }

    /// The end of a sentence that begins with "errors": ` since … with severity error`; empty
    /// when nothing is left out.
    pub(super) fn words(&self, now: Timestamp) -> String {
        let from = self.period.from(now);
        let from = from.map(|from| format!(" since {} UTC", to_the_second(from)));
        let to = self.period.to();
        let to = to.map(|to| format!(" before {} UTC", to_the_second(to)));
        let one_of = |words: Vec<String>| Some(words.join(" or ")).filter(|it| !it.is_empty());
        let conditions = [
            ("user", self.user_id.clone()),
            ("service", self.service_name.clone()),
            ("environment", self.environment.clone()),
            ("endpoint", self.endpoint.clone()),
            ("method", self.method.clone()),
            (
                "severity",
                one_of(self.severity.iter().map(ToString::to_string).collect()),
            ),
            (
                "category",
                one_of(self.category.iter().map(ToString::to_string).collect()),
            ),
            ("status", self.status_code.map(|it| it.to_string())),
            ("external service", self.external_service.clone()),
            ("resolved", self.resolved.map(|it| it.to_string())),
            ("request", self.request_id.clone()),
            ("trace", self.trace_id.map(|it| it.to_string())),
            ("group", self.fingerprint.clone()),
            ("tag", self.tag.clone()),
            ("text", self.text.as_ref().map(|text| format!("{text:?}"))),
        ];
        let conditions: Vec<String> = conditions
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", one_line(&value?))))
            .collect();
        let conditions = conditions.join(", ");
        let conditions = Some(conditions).filter(|words| !words.is_empty());
        let conditions = conditions.map(|words| format!(" with {words}"));
        [from, to, conditions].into_iter().flatten().collect()
    }
}

fn trace_id(text: &str) -> Result<TraceId, String> {
    TraceId::from_hex(text.as_bytes())
        .ok_or_else(|| "give 32 hexadecimal digits, not all zero".to_owned())
}
