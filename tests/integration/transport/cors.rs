//! Pages in browsers: who may send, and what the browser is told with every answer.

use redspan::otlp::cors::Cors;
use redspan::otlp::export::{self, Outcome};
use redspan::server;

use super::{Answer, JSON, Server, start_with_cors, started};

/// With a token, which a preflight never shows.
async fn open_to(origins: &[&str]) -> Server {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let tenant = "X-Tenant".parse().unwrap();
    let settings = export::Settings {
        tokens: [TOKEN].into_iter().collect(),
        ..export::Settings::default()
    };
    let cors = Cors::new(origins, &[tenant]);
    start_with_cors(settings, server::Settings::default(), cors).await
}

const TOKEN: &str = "a-token-of-some-length";

const SHOP: &str = "https://shop.example";

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /v1/traces\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n\
         Access-Control-Request-Headers: content-type,x-tenant"
    )
}

fn assert_open_to(answer: &Answer, origin: &str) {
    let header = |name| answer.header(name);
    assert_eq!(header("access-control-allow-origin"), Some(origin));
    assert_eq!(header("access-control-expose-headers"), Some("Retry-After"));
    if origin != "*" {
        assert_eq!(header("access-control-allow-credentials"), Some("true"));
        assert_eq!(header("vary"), Some("Origin"));
    }
}

fn assert_closed(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn a_browser_that_asks_before_it_sends_is_told_what_it_may() {
    let server = open_to(&[SHOP, "https://*.pages.example"]).await;
    for origin in [SHOP, "https://a.pages.example"] {
        let answer = server.send(&preflight(origin), b"").await;
        assert_eq!(answer.status, 204);
        assert_open_to(&answer, origin);
        let methods = answer.header("access-control-allow-methods");
        assert_eq!(methods, Some("POST"));
        assert_eq!(answer.header("access-control-max-age"), Some("7200"));
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some(
                "content-type, content-encoding, authorization, traceparent, tracestate, baggage, \
                 x-tenant"
            )
        );
    }
}

#[tokio::test]
async fn every_answer_to_a_page_that_may_send_can_be_read_by_it() {
    let server = open_to(&[SHOP]).await;
    let with = |head: &str| format!("{head}\nOrigin: {SHOP}\nAuthorization: Bearer {TOKEN}");
    let answer = server.send(&with(JSON), b"{}").await;
    assert_eq!(answer.status, 200);
    assert_open_to(&answer, SHOP);
    server.will_answer(Outcome::Unavailable("later".into()));
    let answer = server.send(&with(JSON), b"{}").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_open_to(&answer, SHOP);
    let long = format!("POST /v1/traces?{}", "x".repeat(4_090));
    for (head, status) in [
        (format!("{JSON}\nOrigin: {SHOP}"), 401),
        (with("POST /elsewhere"), 404),
        (with("GET /v1/traces"), 405),
        (with("POST /v1/traces"), 415),
        // No service sees it.
        (with(&long), 414),
    ] {
        let answer = server.send(&head, b"").await;
        assert_eq!(answer.status, status, "{head}");
        assert_open_to(&answer, SHOP);
    }
}

#[tokio::test]
async fn another_page_is_told_nothing_and_its_preflight_what_to_set() {
    let server = open_to(&[SHOP]).await;
    for origin in ["https://evil.example", "http://shop.example", "null"] {
        let answer = server.send(&preflight(origin), b"").await;
        assert_eq!(answer.status, 403, "{origin}");
        assert_closed(&answer);
        let said = String::from_utf8_lossy(&answer.body);
        assert!(said.contains("otlp.http.cors_origins"), "{said}");
        let head = format!("{JSON}\nOrigin: {origin}\nAuthorization: Bearer {TOKEN}");
        let answer = server.send(&head, b"{}").await;
        assert_closed(&answer);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn every_page_may_send_when_one_says_so() {
    let server = open_to(&["*"]).await;
    let answer = server.send(&preflight("null"), b"").await;
    assert_eq!(answer.status, 204);
    assert_open_to(&answer, "*");
    assert_eq!(answer.header("access-control-allow-credentials"), None);
}

#[tokio::test]
async fn no_page_may_send_unless_somebody_says_so() {
    let server = started().await;
    let answer = server.send(&preflight(SHOP), b"").await;
    assert_eq!(answer.status, 403);
    assert_closed(&answer);
    let answer = server.send(&format!("{JSON}\nOrigin: {SHOP}"), b"{}").await;
    assert_closed(&answer);
    assert_eq!(answer.header("vary"), None);
}
