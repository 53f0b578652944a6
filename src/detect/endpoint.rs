//! Endpoint and method: few different ones for many requests, and never a query.

use std::borrow::Cow;

use crate::otlp::{SpanKind, SpanView};

use super::{
    attributes::{Attributes, Slot},
    values::{lossy, text},
};

/// The endpoint of a request that matched no route.
const UNMATCHED: &str = "(unmatched)";

/// The endpoint of a message from a queue that lives as long as its client.
const TEMPORARY: &str = "(temporary)";

/// Writes the endpoint of a span to `out`. It is not cut yet.
pub(super) fn endpoint(
    span: &SpanView<'_>,
    attributes: &Attributes<'_>,
    http_status: Option<i32>,
    out: &mut String,
) {
    out.clear();
    let mut push = |slot| match attributes.get(slot) {
        Some(value) => {
            out.push_str(&text(value));
            true
        }
        None => false,
    };
    if attributes.has(Slot::GraphqlOperation) {
        out.push_str("/graphql ");
        out.push_str(&attributes.text(Slot::GraphqlOperation).unwrap_or_default());
        return;
    }
    if push(Slot::HttpRoute) {
        return;
    }
    if span.kind == SpanKind::Server && http_status == Some(404) {
        out.push_str(UNMATCHED);
        return;
    }
    if push(Slot::UrlTemplate) {
        return;
    }
    if let Some(path) = attributes
        .get(Slot::UrlPath)
        .or_else(|| attributes.get(Slot::UrlFull))
    {
        push_template(&text(path), out);
    } else if attributes.has(Slot::RpcMethod) {
        let method = attributes.text(Slot::RpcMethod).unwrap_or_default();
        if let Some(service) = attributes.text(Slot::RpcService)
            && !method.contains('/')
        {
            out.push_str(&service);
            out.push('/');
        }
        out.push_str(method.trim_start_matches('/'));
    } else if push(Slot::DestinationTemplate) {
    } else if attributes.is_true(Slot::DestinationTemporary)
        || attributes.is_true(Slot::DestinationAnonymous)
    {
        out.push_str(TEMPORARY);
    } else if push(Slot::DestinationName) || push(Slot::FaasName) {
    } else {
        push_name(span, attributes, out);
    }
}

/// The span's name. Some instrumentations put method and path into it, as they were sent.
fn push_name(span: &SpanView<'_>, attributes: &Attributes<'_>, out: &mut String) {
    let name = lossy(span.name);
    let mut name = name.trim();
    if let Some(method) = attributes.text(Slot::HttpMethod)
        && let Some(path) = name.strip_prefix(&*method)
        && path.trim_start().starts_with('/')
    {
        name = path.trim_start();
    }
    match name.find('/') {
        _ if name.is_empty() => out.push_str("(unnamed)"),
        Some(slash) if name[..slash].is_empty() || name[..slash].ends_with([' ', ':']) => {
            out.push_str(&name[..slash]);
            push_template(&name[slash..], out);
        }
        _ => out.push_str(name.split('?').next().unwrap_or(name)),
    }
}

/// Writes the path of a URL (or a path) with its numbers, UUIDs, hex and long tokens as `{id}`.
fn push_template(url: &str, out: &mut String) {
    let path = path_of(url);
    if path.is_empty() || path == "/" {
        out.push('/');
        return;
    }
    for (position, segment) in path.split('/').enumerate() {
        if position > 0 {
            out.push('/');
        }
        // What follows a semicolon is a parameter, such as a session's id.
        let segment = segment.split(';').next().unwrap_or(segment);
        out.push_str(if is_id(segment) { "{id}" } else { segment });
    }
}

/// The path in a URL, without query and fragment.
fn path_of(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.find("://") {
        Some(scheme) if !url[..scheme].contains('/') => {
            let rest = &url[scheme + 3..];
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => url,
    }
}

/// Whether a segment of a path names one thing of many.
fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let count = |test: fn(&u8) -> bool| bytes.iter().filter(|byte| test(byte)).count();
    let digits = count(u8::is_ascii_digit);
    if digits > 0
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || b"-.,:+".contains(byte))
    {
        return true; // numbers, dates, versions
    }
    if bytes.contains(&b'@') || segment.contains("%40") {
        return true; // e-mail addresses
    }
    if bytes.len() >= 8
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        && count(u8::is_ascii_hexdigit) >= 8
    {
        return true; // UUIDs, hashes
    }
    let is_token = bytes
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~=+%!*:".contains(byte));
    is_token && (digits >= 5 || (bytes.len() >= 16 && digits >= 2) || bytes.len() >= 48)
}

/// The method of a span: HTTP's, else what kind of call it is. It is not cut yet.
pub(super) fn method<'a>(span: &SpanView<'a>, attributes: &Attributes<'a>) -> Cow<'a, str> {
    if let Some(method) = attributes.text(Slot::HttpMethod) {
        return method;
    }
    let word = if attributes.is_rpc() {
        "RPC"
    } else if span.kind == SpanKind::Consumer {
        "RECEIVE"
    } else if span.kind == SpanKind::Producer {
        "PUBLISH"
    } else if attributes.is_database(span.kind) {
        "DB"
    } else {
        "INTERNAL"
    };
    Cow::Borrowed(word)
}

/// Whether the request is a health probe's, by its endpoint.
pub(super) fn is_probe_endpoint(endpoint: &str) -> bool {
    let path = endpoint.trim_end_matches('/');
    if PROBE_ENDPOINTS.iter().any(|probe| {
        path.strip_prefix(probe)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }) {
        return true;
    }
    // /health, /healthz, /health/live, /health-check, /healthcheck; but not /healthcare/claims.
    path.strip_prefix("/health").is_some_and(|rest| {
        rest.starts_with("check")
            || rest.starts_with('z')
            || !rest.starts_with(|next: char| next.is_alphanumeric())
    })
}

const PROBE_ENDPOINTS: &[&str] = &[
    "/livez",
    "/readyz",
    "/ping",
    "/-/healthy",
    "/-/ready",
    "/actuator/health",
    "grpc.health.v1.Health",
];

/// Whether the request is a health probe's or a synthetic agent's, by its user agent.
pub(super) fn is_probe_agent(agent: &str) -> bool {
    PROBE_AGENTS.iter().any(|probe| agent.contains(probe))
}

const PROBE_AGENTS: &[&str] = &[
    "kube-probe/",
    "GoogleHC/",
    "ELB-HealthChecker/",
    "Amazon-Route53-Health-Check-Service",
    "CloudWatchSynthetics",
    "Blackbox Exporter",
    "Consul Health Check",
    "DatadogSynthetics",
    "Datadog/Synthetics",
    "Pingdom.com_bot",
    "StatusCake",
    "UptimeRobot/",
    "Better Uptime Bot",
    "Site24x7",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::{Attribute, Value};

    #[test]
    fn ids_in_paths_become_placeholders_and_queries_go() {
        for (path, template) in [
            ("/orders/17", "/orders/{id}"),
            ("/orders/17/items/3?token=abc", "/orders/{id}/items/{id}"),
            (
                "/u/7b2f8c1e-55aa-4a0e-9c39-111111111111/edit",
                "/u/{id}/edit",
            ),
            ("/blobs/deadbeef", "/blobs/{id}"),
            ("/t/eyJhbGciOiJIUzI1NiIsInR5cCI6", "/t/{id}"),
            ("/api/v1/users", "/api/v1/users"),
            ("/users/ada@example.com", "/users/{id}"),
            ("/static/app.js#top", "/static/app.js"),
            ("/cart;jsessionid=AB12", "/cart"),
            ("https://user:pw@host:8080/a/99?x=1", "/a/{id}"),
            ("https://host", "/"),
            ("", "/"),
            ("/", "/"),
            ("/a//b/", "/a//b/"),
        ] {
            let mut out = String::new();
            push_template(path, &mut out);
            assert_eq!(out, template, "{path}");
        }
    }

    type Pairs = &'static [(&'static str, &'static str)];

    fn of(kind: SpanKind, name: &str, attributes: &[(&str, &str)]) -> (String, String) {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(key, value)| Attribute {
                key: key.as_bytes(),
                value: Value::Str(value.as_bytes()),
            })
            .collect();
        let attributes = Attributes::new(&attributes);
        let span = SpanView {
            kind,
            name: name.as_bytes(),
            ..SpanView::default()
        };
        let status = attributes
            .int(Slot::HttpStatus)
            .and_then(|status| i32::try_from(status).ok());
        let mut out = String::new();
        endpoint(&span, &attributes, status, &mut out);
        (out, method(&span, &attributes).into_owned())
    }

    #[test]
    fn endpoint_and_method_come_from_the_first_that_is_there() {
        use SpanKind::{Client, Consumer, Internal, Producer, Server};
        #[rustfmt::skip]
        let cases: &[(SpanKind, &str, Pairs, &str, &str)] = &[
            (Server, "x", &[("http.request.method", "GET"), ("http.route", "/orders/{id}"), ("url.path", "/orders/1")], "/orders/{id}", "GET"),
            (Server, "x", &[("http.method", "GET"), ("http.target", "/o/1?a=b"), ("http.status_code", "404")], "(unmatched)", "GET"),
            (Server, "x", &[("http.method", "GET"), ("http.target", "/o/1?a=b"), ("http.status_code", "200")], "/o/{id}", "GET"),
            (Client, "GET", &[("http.request.method", "GET"), ("url.full", "http://pay/charge/77?key=1")], "/charge/{id}", "GET"),
            (Client, "x", &[("url.template", "/charge/{n}"), ("url.full", "http://pay/charge/77")], "/charge/{n}", "INTERNAL"),
            (Server, "x", &[("rpc.system", "grpc"), ("rpc.service", "shop.Cart"), ("rpc.method", "Add")], "shop.Cart/Add", "RPC"),
            (Server, "x", &[("rpc.system.name", "grpc"), ("rpc.method", "shop.Cart/Add")], "shop.Cart/Add", "RPC"),
            (Consumer, "x", &[("messaging.destination.name", "orders")], "orders", "RECEIVE"),
            (Consumer, "x", &[("messaging.destination.name", "amq.gen-1"), ("messaging.destination.anonymous", "true")], "(temporary)", "RECEIVE"),
            (Consumer, "x", &[("messaging.destination.name", "amq.gen-1"), ("messaging.destination.temporary", "false"), ("messaging.destination.anonymous", "true")], "(temporary)", "RECEIVE"),
            (Consumer, "x", &[("messaging.source.name", "amq.gen-1"), ("messaging.source.anonymous", "true")], "(temporary)", "RECEIVE"),
            (Consumer, "x", &[("messaging.source.name", "orders")], "orders", "RECEIVE"),
            (Producer, "x", &[("messaging.destination.template", "/c/{c}"), ("messaging.destination.name", "/c/1")], "/c/{c}", "PUBLISH"),
            (Server, "x", &[("faas.name", "resize")], "resize", "INTERNAL"),
            (Client, "SELECT shop", &[("db.system", "postgresql")], "SELECT shop", "DB"),
            (Client, "find", &[("db.mongodb.collection", "carts")], "find", "DB"),
            (Client, "x", &[("rpc.system", "jsonrpc"), ("rpc.method", "tools/call")], "tools/call", "RPC"),
            (Server, "GET /a/17?q=secret", &[("http.method", "GET")], "/a/{id}", "GET"),
            (Server, "x", &[("graphql.operation.name", "Cart"), ("http.route", "/graphql")], "/graphql Cart", "INTERNAL"),
            (Internal, "reindex", &[], "reindex", "INTERNAL"),
            (Internal, "", &[], "(unnamed)", "INTERNAL"),
        ];
        for (kind, name, attributes, endpoint, method) in cases {
            let found = of(*kind, name, attributes);
            assert_eq!(found, ((*endpoint).to_owned(), (*method).to_owned()));
        }
    }

    #[test]
    fn probes_are_known_by_endpoint_or_agent() {
        for probe in [
            "/health",
            "/healthz",
            "/health/live",
            "/readyz/",
            "/ping",
            "/health-check",
        ] {
            assert!(is_probe_endpoint(probe), "{probe}");
        }
        for endpoint in ["/healthcare/claims", "/pinging", "/orders", "health"] {
            assert!(!is_probe_endpoint(endpoint), "{endpoint}");
        }
        assert!(is_probe_agent("kube-probe/1.31"));
        assert!(!is_probe_agent("curl/8.5.0"));
    }
}
