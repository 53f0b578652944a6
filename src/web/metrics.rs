//! `GET /metrics`.

use std::io::Write;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};

use super::{WebState, plain};
use crate::metrics::Metrics;

/// Everything that is known now, off the tasks that take telemetry: it can be some megabytes.
pub(super) async fn show(State(state): State<WebState>, headers: HeaderMap) -> Response {
    let gzip = accepts_gzip(&headers);
    let rendered = tokio::task::spawn_blocking(move || {
        let text = state.metrics.render();
        if gzip {
            compress(&text)
        } else {
            text.into_bytes()
        }
    });
    let Ok(body) = rendered.await else {
        return plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The metrics could not be written; see the log.\n",
        );
    };
    let headers = [
        (header::CONTENT_TYPE, Metrics::CONTENT_TYPE),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Encoding"),
    ];
    let encoding = gzip.then_some([(header::CONTENT_ENCODING, "gzip")]);
    (headers, encoding, body).into_response()
}

/// Whether some `Accept-Encoding` names gzip (or anything) and does not rule it out with `q=0`.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_gzip = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            let ruled_out = parts
                .filter_map(|parameter| parameter.strip_prefix("q="))
                .any(|quality| quality.parse() == Ok(0.0));
            is_gzip && !ruled_out
        })
}

fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .and_then(|()| encoder.finish())
        .expect("writing to memory cannot fail")
}
