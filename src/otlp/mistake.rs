//! Mistakes in how exporters are set up: what each is answered, and the line in the log, both of
//! which say what to set.

use hyper::{HeaderMap, Method, StatusCode, http::request};

use super::http::{MediaType, media_type};
use crate::repeats::Repeats;

/// A request that no exporter sends which is set up for redspan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mistake {
    Method,
    NoToken,
    Origin,
    Grpc,
    NotGrpc,
    MediaType,
    Coding,
    NoPath,
    SlashAtEnd,
    PathTwice,
    OtherPath,
    OtherProcedure,
}

impl Mistake {
    const COUNT: usize = Self::OtherProcedure as usize + 1;

    /// Of a request to a path that is none of OTLP's.
    pub(super) fn of_path(path: &str, headers: &HeaderMap) -> Self {
        const PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];
        if media_type(headers) == MediaType::Grpc {
            Self::Grpc
        } else if path == "/" {
            Self::NoPath
        } else if PATHS.contains(&path.trim_end_matches('/')) {
            Self::SlashAtEnd
        } else if path.matches("/v1/").count() > 1 {
            Self::PathTwice
        } else {
            Self::OtherPath
        }
    }

    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Grpc | Self::NotGrpc | Self::MediaType | Self::Coding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::NoPath
            | Self::SlashAtEnd
            | Self::PathTwice
            | Self::OtherPath
            | Self::OtherProcedure => StatusCode::NOT_FOUND,
        }
    }

    /// What is wrong, and what to set.
    pub(super) fn advice(self) -> &'static str {
        match self {
            Self::Method => "OTLP is sent with POST",
            Self::NoToken => {
                "a token is required: set OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN"
            }
            Self::Origin => {
                "pages of this origin may not send: name it in otlp.http.cors_origins, as the \
                 browser's console shows it, or send through the page's own site"
            }
            Self::Grpc => {
                "this port speaks OTLP over HTTP, not gRPC: set OTEL_EXPORTER_OTLP_ENDPOINT to the \
                 port for gRPC (4317, otlp.grpc.listen), or \
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            }
            Self::NotGrpc => {
                "this port speaks gRPC: set OTEL_EXPORTER_OTLP_ENDPOINT to the port for OTLP over \
                 HTTP (4318, otlp.http.listen), or OTEL_EXPORTER_OTLP_PROTOCOL=grpc"
            }
            Self::MediaType => {
                "the Content-Type must be application/x-protobuf or application/json: set \
                 OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
            }
            Self::Coding => {
                "of compressions only gzip, zstd and deflate are known here: set \
                 OTEL_EXPORTER_OTLP_COMPRESSION=gzip, or compression: gzip in a Collector"
            }
            Self::NoPath => {
                "nothing is taken at /: set OTEL_EXPORTER_OTLP_ENDPOINT to this address, or give \
                 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT the path /v1/traces"
            }
            Self::SlashAtEnd => {
                "the paths of OTLP have no slash at the end: set \
                 OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to one that ends in /v1/traces, and \
                 OTEL_EXPORTER_OTLP_LOGS_ENDPOINT to one that ends in /v1/logs"
            }
            Self::PathTwice => {
                "the path is there twice, because SDKs add it to OTEL_EXPORTER_OTLP_ENDPOINT: set \
                 that to this address without a path"
            }
            Self::OtherPath => {
                "not a path of OTLP over HTTP (/v1/traces, /v1/logs, /v1/metrics): set \
                 OTEL_EXPORTER_OTLP_ENDPOINT to this address without a path"
            }
            Self::OtherProcedure => {
                "not a method of OTLP over gRPC: traces, logs and metrics are exported here, as \
                 opentelemetry.proto.collector.*.v1"
            }
        }
    }
}

/// The mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes([Repeats; Mistake::COUNT]);

impl Mistakes {
    /// Exporters come back every few seconds, and log little themselves: the log has a line now
    /// and then. Whoever does not send anything is no exporter.
    pub(super) fn note(&self, mistake: Mistake, request: &request::Parts) {
        if (request.method == Method::POST || mistake == Mistake::Origin)
            && let Some(times) = self.0[mistake as usize].worth_telling()
        {
            tracing::warn!(times, "an exporter was refused: {}", mistake.advice());
        }
    }
}
