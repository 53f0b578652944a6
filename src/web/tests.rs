//! What the port for people and Prometheus answers.

use std::{io::Read, time::Duration};

use axum::{body::Body, http::HeaderMap};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;

use super::*;
use crate::{
    commit::{
        Writer, WriterParts, WriterSettings,
        plan::{HourlyLabelSets, UserHasher},
    },
    store::{self, ApiErrorRepository, GenerationPipelineRepository},
};

async fn state(folder: &TempDir) -> WebState {
    WebState {
        metrics: Arc::new(Metrics::new(2_000)),
        readiness: Readiness::default(),
        api_is_closed: false,
        api_is_local: false,
        api_tokens: Tokens::default(),
        api: Arc::new(empty_api(folder).await),
        lately: Arc::default(),
        misdirected: Arc::new(Misdirected::new(4_318)),
    }
}

/// Over an empty ledger, with a writer that has ended.
async fn empty_api(folder: &TempDir) -> Api {
    let settings = store::DatabaseSettings {
        url: format!("sqlite://{}", folder.path().join("redspan.db").display()),
        ..store::DatabaseSettings::default()
    };
    let store = store::connect(&settings).await.unwrap();
    let reader = Arc::clone(&store) as Arc<dyn store::Reader>;
    let parts = WriterParts {
        users: UserHasher::new(store.user_hash_key()),
        store,
        metrics: Arc::new(Metrics::new(2_000)),
        open: Arc::default(),
        error_labels: HourlyLabelSets::default(),
        request_labels: HourlyLabelSets::default(),
    };
    let settings = WriterSettings {
        name: "here".to_owned(),
        queue_bytes: 1 << 20,
        attempt_timeout: None,
        answer_timeout: Duration::from_secs(10),
        ledger: Duration::from_hours(6),
    };
    let (_, queue) = Writer::new(parts, settings);
    let written = queue.written();
    let queue = Arc::new(queue);
    let errors = ApiErrorRepository::new(Arc::clone(&reader), Arc::clone(&queue) as _);
    let pipelines = GenerationPipelineRepository::new(Arc::clone(&reader) as _, queue);
    Api::new(reader, errors, pipelines, written)
}

async fn ask(state: &WebState, request: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut words = request.split(' ');
    let mut builder = Request::builder()
        .method(words.next().unwrap())
        .uri(words.next().unwrap());
    if let Some(encoding) = words.next() {
        builder = builder.header(header::ACCEPT_ENCODING, encoding);
    }
    let request = builder.body(Body::empty()).unwrap();
    let response = TowerToHyperService::new(router(state.clone()))
        .call(request)
        .await
        .unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (head.status, head.headers, body)
}

async fn text(state: &WebState, request: &str) -> (u16, String) {
    let (status, _, body) = ask(state, request).await;
    (status.as_u16(), String::from_utf8(body).unwrap())
}

#[tokio::test]
async fn metrics_are_plain_text_and_gzip_when_asked_for() {
    let folder = TempDir::new().unwrap();
    let state = state(&folder).await;
    let (status, headers, plain) = ask(&state, "GET /metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        headers[header::CONTENT_TYPE],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
    assert!(
        String::from_utf8(plain)
            .unwrap()
            .contains("redspan_build_info{")
    );

    let (_, headers, gzipped) = ask(&state, "GET /metrics deflate,gzip;q=0.5").await;
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&gzipped[..])
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.contains("redspan_build_info{"));

    let (_, headers, _) = ask(&state, "GET /metrics gzip;q=0").await;
    assert!(!headers.contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn readiness_says_why_not_and_liveness_never_minds() {
    let folder = TempDir::new().unwrap();
    let state = state(&folder).await;
    assert_eq!(
        text(&state, "GET /readyz").await,
        (503, "not ready: starting\n".to_owned())
    );
    state.readiness.set_started();
    assert_eq!(
        text(&state, "GET /readyz").await,
        (200, "ready\n".to_owned())
    );
    state.readiness.set_database_up(false);
    assert_eq!(
        text(&state, "GET /readyz").await,
        (503, "not ready: the database does not answer\n".to_owned())
    );
    state.readiness.set_database_up(true);
    state.readiness.set_database_damaged();
    state.readiness.set_database_up(true);
    assert_eq!(
        text(&state, "GET /readyz").await,
        (
            503,
            "not ready: the database is damaged, see the log\n".to_owned()
        )
    );
    state.readiness.set_draining();
    assert_eq!(
        text(&state, "GET /readyz").await,
        (503, "not ready: stopping\n".to_owned())
    );
    assert_eq!(text(&state, "GET /livez").await.0, 200);
}

#[tokio::test]
async fn an_exposed_port_without_a_token_shows_metrics_and_health_only() {
    let folder = TempDir::new().unwrap();
    let state = WebState {
        api_is_closed: true,
        ..state(&folder).await
    };
    state.readiness.set_started();
    for path in ["/metrics", "/livez", "/readyz"] {
        assert_eq!(text(&state, &format!("GET {path}")).await.0, 200, "{path}");
    }
    for path in ["/", "/api/v1/errors", "/nothing"] {
        let (status, sentence) = text(&state, &format!("GET {path}")).await;
        assert_eq!(status, 403, "{path}");
        assert!(sentence.contains("auth.api_token"));
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_plainly() {
    let folder = TempDir::new().unwrap();
    let state = state(&folder).await;
    assert!(text(&state, "GET /").await.1.contains("/metrics"));
    assert_eq!(text(&state, "GET /nothing").await.0, 404);
    let (status, headers, _) = ask(&state, "POST /metrics").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers[header::ALLOW], "GET,HEAD");
    assert_eq!(text(&state, "HEAD /livez").await, (200, String::new()));
}
