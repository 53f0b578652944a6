//! Where the whole of a trace can be seen: `links.trace`.

use std::str::FromStr;

use hyper::Uri;

use super::values::Value;
use crate::domain::TraceId;

/// What stands for the trace's id.
const PLACE: &str = "{trace_id}";

/// A URL with a place for the id of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLink(String);

impl TraceLink {
    /// The link to a trace.
    #[must_use]
    pub fn to(&self, trace: TraceId) -> String {
        self.0.replace(PLACE, &trace.to_string())
    }
}

impl FromStr for TraceLink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let filled = text.replace(PLACE, "0af7651916cd43dd8448eb211c80319c");
        let uri = filled.parse::<Uri>().ok();
        let is_web = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        let is_one_word = !text.chars().any(|it| it.is_whitespace() || it.is_control());
        if !(is_web && is_one_word && text.contains(PLACE)) {
            return Err(
                "an http or https URL, without a user, with {trace_id} where the trace's id \
                 belongs, like https://jaeger.example/trace/{trace_id}"
                    .to_owned(),
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for TraceLink {
    const KIND: &'static str = "URL";
    // A wrong one may hold a password.
    const SENSITIVE: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_trace_wherever_its_id_stands() {
        let trace = TraceId::from_slice(&[0xab; 16]).unwrap();
        for (template, link) in [
            (
                "https://jaeger.example/trace/{trace_id}",
                "https://jaeger.example/trace/abababababababababababababababab",
            ),
            (
                "http://[::1]:3000/explore?q=%22{trace_id}%22#{trace_id}",
                "http://[::1]:3000/explore?q=%22abababababababababababababababab%22\
                 #abababababababababababababababab",
            ),
        ] {
            let parsed: TraceLink = template.parse().unwrap();
            assert_eq!(parsed.to(trace), link);
        }
    }

    #[test]
    fn what_is_no_link_to_a_trace_is_refused() {
        for text in [
            "https://jaeger.example/trace/",
            "jaeger.example/trace/{trace_id}",
            "javascript:alert('{trace_id}')",
            "ftp://jaeger.example/{trace_id}",
            "https://ada:secret@jaeger.example/{trace_id}",
            "https:///{trace_id}",
            "https://jaeger.example/{trace_id} ",
            "https://jaeger.example/{trace_id}#\u{1b}[2J",
        ] {
            assert!(text.parse::<TraceLink>().is_err(), "{text}");
        }
    }
}
