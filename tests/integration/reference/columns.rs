//! Message, code and category of a row, each by the first rule that matches.

use super::{
    exception::{Exception, short_type},
    span::Span,
};

pub(super) fn is_critical(short_type: &str) -> bool {
    [
        "OutOfMemoryError",
        "StackOverflowError",
        "MemoryError",
        "SystemError",
    ]
    .contains(&short_type)
}

pub(super) fn error_message(origin: &Span<'_>, exception: Option<&Exception>) -> String {
    let of_exception = exception.and_then(|exception| exception.message.clone());
    let of_status = || origin.status_message().map(str::to_owned);
    let of_event = || origin.last_event_name().map(str::to_owned);
    let of_http = || origin.http_failure().map(|status| format!("HTTP {status}"));
    let of_grpc = || origin.grpc_failure().map(|name| format!("gRPC {name}"));
    let of_foreign = || origin.foreign_rpc_code().map(|code| format!("RPC {code}"));
    let of_type = || exception.and_then(|exception| exception.full_type.clone());
    of_exception
        .or_else(of_status)
        .or_else(of_type)
        .or_else(of_event)
        .or_else(of_http)
        .or_else(of_grpc)
        .or_else(of_foreign)
        .or_else(|| origin.error_type())
        .unwrap_or_else(|| format!("{} failed", origin.name()))
}

pub(super) fn error_code(origin: &Span<'_>, exception: Option<&Exception>) -> Option<String> {
    exception
        .and_then(|exception| exception.full_type.clone())
        .or_else(|| origin.error_type())
        .or_else(|| origin.status_text())
}

/// What the service that was called said: its status, else the class of the error.
pub(super) fn external_error_code(
    origin: &Span<'_>,
    exception: Option<&Exception>,
) -> Option<String> {
    origin
        .status_text()
        .or_else(|| origin.error_type())
        .or_else(|| exception?.full_type.clone())
}

pub(super) fn category_of_client_error(status: i32) -> &'static str {
    match status {
        401 | 407 => "authentication",
        403 | 451 => "authorization",
        408 => "network",
        429 => "application",
        _ => "validation",
    }
}

/// The category of what was logged in a failed span that says nothing of it.
pub(super) fn category_in_span(logged: &'static str, of_span: &'static str) -> &'static str {
    match (of_span, logged) {
        ("unknown" | "application", _) | ("external_api", "network" | "database") => logged,
        _ => of_span,
    }
}

/// The category that follows from the origin itself.
pub(super) fn own_category(origin: &Span<'_>, exception: Option<&Exception>) -> &'static str {
    if origin.is_server() {
        match origin.grpc_name() {
            Some("INVALID_ARGUMENT" | "OUT_OF_RANGE" | "FAILED_PRECONDITION") => {
                return "validation";
            }
            Some("UNAUTHENTICATED") => return "authentication",
            Some("PERMISSION_DENIED") => return "authorization",
            _ => {}
        }
    }
    let full_type = exception
        .and_then(|exception| exception.full_type.clone())
        .or_else(|| origin.error_type())
        .unwrap_or_default();
    let short_type = short_type(&full_type);
    let message = error_message(origin, exception);
    let speaks_of = |words: &[&str]| {
        words
            .iter()
            .any(|word| full_type.contains(word) || message.contains(word))
    };
    let calls_another =
        origin.is_client() && (origin.is_http() || origin.is_rpc() || origin.has_prefix("gen_ai."));
    if origin.is_database() || DATABASE_TYPES.contains(&short_type.as_str()) {
        "database"
    } else if speaks_of(&CONNECTION_FAULTS) {
        "network"
    } else if calls_another {
        "external_api"
    } else if speaks_of(&["ENOENT", "EACCES", "ENOSPC"]) || short_type.starts_with("FileNotFound") {
        "file_system"
    } else if ["ValidationError", "ZodError"].contains(&short_type.as_str()) {
        "validation"
    } else if exception.is_some() || !full_type.is_empty() && full_type.parse::<i32>().is_err() {
        "application"
    } else {
        "unknown"
    }
}

const DATABASE_TYPES: [&str; 4] = [
    "OperationalError",
    "IntegrityError",
    "SQLException",
    "PSQLException",
];

const CONNECTION_FAULTS: [&str; 7] = [
    "ECONNREFUSED",
    "ETIMEDOUT",
    "ENOTFOUND",
    "ConnectException",
    "ConnectionError",
    "TimeoutError",
    "DeadlineExceeded",
];
