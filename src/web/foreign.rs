//! Pages of other sites, which a browser lets ask what it can reach itself: they change nothing, and
//! where no token is asked for they read nothing, even when their name is made to lead here (DNS
//! rebinding).

use axum::http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority};

use super::problem::Problem;

/// Why a page may not ask this; `None` for programs, and for pages that redspan itself serves.
///
/// With `names_are_known` the request must name an address, or this machine: no other name is known
/// to be redspan's own.
pub(super) fn refused(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    names_are_known: bool,
) -> Option<Problem> {
    let host = host(uri, headers);
    if names_are_known && !host.as_ref().is_none_or(is_this_machine) {
        let advice = "this address is for this machine only: ask 127.0.0.1 or localhost; to be \
            reached by other names, set auth.api_token or auth = \"none\"";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, advice));
    }
    if method.is_safe() {
        return None;
    }
    let origin = headers.get(header::ORIGIN)?;
    let own = host.is_some_and(|host| is_of(origin.as_bytes(), &host));
    (!own).then(|| {
        let advice = "pages of other origins change nothing: ask without Origin, from a program";
        Problem::new(StatusCode::FORBIDDEN, advice)
    })
}

/// Whom the request means to ask: HTTP/2 says so in the URI.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    uri.authority().cloned().or_else(|| {
        let host = headers.get(header::HOST)?;
        Authority::try_from(host.as_bytes()).ok()
    })
}

/// An address cannot be made to lead elsewhere than where it leads.
fn is_this_machine(host: &Authority) -> bool {
    let name = host.host();
    let name = name.strip_suffix('.').unwrap_or(name);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<std::net::IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Whether a page of this origin came from the host itself.
fn is_of(origin: &[u8], host: &Authority) -> bool {
    let Ok(origin) = Uri::try_from(origin) else {
        return false;
    };
    origin.authority() == Some(host)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    fn status(
        method: &Method,
        host: &'static str,
        origin: Option<&'static str>,
        names_are_known: bool,
    ) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let uri = Uri::from_static("/api/v1/errors");
        let refused = refused(method, &uri, &headers, names_are_known);
        refused.map(|problem| problem.into_response().status())
    }

    #[test]
    fn pages_of_other_origins_change_nothing() {
        let own = "127.0.0.1:9464";
        for (origin, expected) in [
            (None, None),
            (Some("http://127.0.0.1:9464"), None),
            (Some("http://127.0.0.1:8080"), Some(StatusCode::FORBIDDEN)),
            (Some("http://evil.example"), Some(StatusCode::FORBIDDEN)),
            (Some("null"), Some(StatusCode::FORBIDDEN)),
            (Some(""), Some(StatusCode::FORBIDDEN)),
        ] {
            assert_eq!(status(&Method::POST, own, origin, true), expected);
            assert_eq!(status(&Method::DELETE, own, origin, false), expected);
            // What it reads a browser keeps from a page of another origin.
            assert_eq!(status(&Method::GET, own, origin, true), None);
        }
    }

    #[test]
    fn a_name_that_is_made_to_lead_here_is_told_that_it_does_not() {
        for own in [
            "127.0.0.1:9464",
            "[::1]:9464",
            "localhost",
            "LOCALHOST.:9464",
            "redspan.localhost:9464",
            "10.0.0.7",
        ] {
            assert_eq!(status(&Method::GET, own, None, true), None, "{own}");
        }
        for other in [
            "evil.example",
            "evil.example:9464",
            "localhost.evil.example",
        ] {
            let misdirected = Some(StatusCode::MISDIRECTED_REQUEST);
            assert_eq!(status(&Method::GET, other, None, true), misdirected);
            assert_eq!(status(&Method::GET, other, None, false), None);
        }
    }
}
