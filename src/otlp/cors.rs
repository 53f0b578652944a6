//! Cross-origin requests: which pages in browsers may send, and what their browsers must be told of
//! it with every answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, Response, StatusCode, http::request};

/// What exporters in browsers set, beside what is configured.
const HEADERS: &str =
    "content-type, content-encoding, authorization, traceparent, tracestate, baggage";

/// How long a browser may go on without asking again, in seconds: what Chromium allows at most.
const MAX_AGE: &str = "7200";

/// The pages that may send.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Vec<String>,
    headers: HeaderValue,
}

/// That the page which sent a request may read its answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Allowed {
    /// Every page may.
    Every,
    /// Pages of this origin may.
    Origin(HeaderValue),
    /// No page may that is not of this very address.
    None,
}

impl Cors {
    /// Pages of these origins, in each of which `*` may stand for subdomains, or of any when one of
    /// them is `*`, may send these headers beside those that exporters always need. `None`: no page
    /// may send.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "names of headers can stand in one"
    )]
    pub fn new(origins: Vec<String>, headers: &[HeaderName]) -> Option<Self> {
        let more = headers.iter().map(HeaderName::as_str);
        let headers: Vec<&str> = [HEADERS].into_iter().chain(more).collect();
        let headers = headers.join(", ");
        (!origins.is_empty()).then(|| Self {
            origins,
            headers: HeaderValue::try_from(headers).expect("names of headers"),
        })
    }

    /// Who may read the answer to a request.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Allowed {
        if self.origins.iter().any(|origin| origin == "*") {
            return Allowed::Every;
        }
        let Some(origin) = headers.get(ORIGIN) else {
            return Allowed::None;
        };
        let is_named = origin.to_str().is_ok_and(|origin| {
            let mut known = self.origins.iter();
            known.any(|known| matches(known, origin))
        });
        if is_named {
            Allowed::Origin(origin.clone())
        } else {
            Allowed::None
        }
    }

    /// The answer to a browser that asks for a page before it sends.
    pub(super) fn preflight(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        response
    }
}

impl Allowed {
    /// Tells the browser.
    pub(super) fn tell<B>(self, response: &mut Response<B>) {
        let headers = response.headers_mut();
        match self {
            Self::Every => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Origin(origin) => {
                headers.insert(VARY, HeaderValue::from_static("Origin"));
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                // What browsers send when a page is left they send with cookies, which nobody
                // reads here.
                let credentials = HeaderValue::from_static("true");
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
            }
            Self::None => {
                headers.insert(VARY, HeaderValue::from_static("Origin"));
                return;
            }
        }
        let expose = HeaderValue::from_static("Retry-After");
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose);
    }
}

/// Whether a browser asks for a page before it sends.
pub(super) fn is_preflight(head: &request::Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether an origin is the known one, in which a `*` stands for at least one label.
fn matches(known: &str, origin: &str) -> bool {
    let Some((before, after)) = known.split_once('*') else {
        return known == origin;
    };
    let subdomain = origin
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after));
    subdomain.is_some_and(|name| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !name.is_empty() && name.bytes().all(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_subdomains_and_nothing_else() {
        for (known, origin, same) in [
            ("https://shop.example", "https://shop.example", true),
            ("https://shop.example", "http://shop.example", false),
            ("https://shop.example", "https://shop.example:8443", false),
            ("https://shop.example", "https://shop.example.evil", false),
            ("https://*.shop.example", "https://a.shop.example", true),
            ("https://*.shop.example", "https://a.b.shop.example", true),
            ("https://*.shop.example", "https://shop.example", false),
            ("https://*.shop.example", "https://.shop.example", false),
            ("https://*.shop.example", "https://evilshop.example", false),
            (
                "https://*.shop.example",
                "https://evil/.shop.example",
                false,
            ),
            (
                "https://*.shop.example",
                "https://evil:1.shop.example:1",
                false,
            ),
            ("https://*.shop.example:1", "https://a.shop.example:1", true),
            ("https://*.shop.example", "null", false),
        ] {
            assert_eq!(matches(known, origin), same, "{known} {origin}");
        }
    }
}
