//! Status codes of HTTP, gRPC and other kinds of RPC.

use crate::otlp::Value;

use super::{
    attributes::{Attributes, Slot},
    values,
};

/// A gRPC status code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Grpc(u8);

/// Code by code: its name and the HTTP status that it is equivalent to.
#[rustfmt::skip]
const GRPC: [(&str, i32); 17] = [
    ("OK",                  200),
    ("CANCELLED",           499),
    ("UNKNOWN",             500),
    ("INVALID_ARGUMENT",    400),
    ("DEADLINE_EXCEEDED",   504),
    ("NOT_FOUND",           404),
    ("ALREADY_EXISTS",      409),
    ("PERMISSION_DENIED",   403),
    ("RESOURCE_EXHAUSTED",  429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED",             409),
    ("OUT_OF_RANGE",        400),
    ("UNIMPLEMENTED",       501),
    ("INTERNAL",            500),
    ("UNAVAILABLE",         503),
    ("DATA_LOSS",           500),
    ("UNAUTHENTICATED",     401),
];

impl Grpc {
    pub const OK: Self = Self(0);
    pub const CANCELLED: Self = Self(1);
    pub const UNKNOWN: Self = Self(2);
    pub const INVALID_ARGUMENT: Self = Self(3);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const NOT_FOUND: Self = Self(5);
    pub const ALREADY_EXISTS: Self = Self(6);
    pub const PERMISSION_DENIED: Self = Self(7);
    pub const FAILED_PRECONDITION: Self = Self(9);
    pub const OUT_OF_RANGE: Self = Self(11);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    pub const DATA_LOSS: Self = Self(15);
    pub const UNAUTHENTICATED: Self = Self(16);

    /// From a number or a name, in any of the spellings in use.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<u8>() {
            return Self::from_number(number);
        }
        let letters = |text: &str| -> String {
            text.chars()
                .filter(|letter| *letter != '_')
                .map(|letter| letter.to_ascii_uppercase())
                .collect()
        };
        let wanted = letters(text);
        if wanted == "CANCELED" {
            return Some(Self::CANCELLED);
        }
        (0..)
            .zip(GRPC)
            .find(|(_, (name, _))| letters(name) == wanted)
            .map(|(number, _)| Self(number))
    }

    fn from_number(number: u8) -> Option<Self> {
        (usize::from(number) < GRPC.len()).then_some(Self(number))
    }

    pub fn name(self) -> &'static str {
        GRPC[usize::from(self.0)].0
    }

    pub fn http_equivalent(self) -> i32 {
        GRPC[usize::from(self.0)].1
    }
}

/// The codes that a span carries.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Codes<'a> {
    /// 100–599.
    pub http: Option<i32>,
    pub grpc: Option<Grpc>,
    /// A code of another kind of RPC, or none that gRPC knows. Their successes have none.
    pub other_rpc: Option<Value<'a>>,
}

impl<'a> Codes<'a> {
    pub fn new(attributes: &Attributes<'a>) -> Self {
        let rpc = attributes.get(Slot::RpcStatus);
        let grpc = match rpc {
            None => None,
            Some(_) if attributes.is_json_rpc() => None,
            Some(Value::Int(number)) => u8::try_from(number).ok().and_then(Grpc::from_number),
            Some(value) => Grpc::parse(&values::text(value)),
        };
        Self {
            http: attributes
                .int(Slot::HttpStatus)
                .and_then(|status| i32::try_from(status).ok())
                .filter(|status| (100..600).contains(status)),
            grpc,
            other_rpc: rpc.filter(|_| grpc.is_none()),
        }
    }

    /// The HTTP status that was answered, or the equivalent of the gRPC code. (gRPC travels over
    /// HTTP with status 200, whatever its own code.)
    pub fn status(self) -> Option<i32> {
        match (self.http, self.grpc) {
            (None | Some(200), Some(code)) => Some(code.http_equivalent()),
            (http, _) => http,
        }
    }

    /// The text of the code that says what went wrong.
    pub fn text(self) -> Option<String> {
        match self {
            Self {
                grpc: Some(code), ..
            } if code != Grpc::OK => Some(code.name().to_owned()),
            Self {
                other_rpc: Some(code),
                ..
            } => Some(values::text(code).into_owned()),
            Self {
                http: Some(status), ..
            } if status >= 400 => Some(status.to_string()),
            _ => None,
        }
    }

    /// The same in words: `HTTP 503`, `gRPC UNAVAILABLE`.
    pub fn words(self) -> Option<String> {
        let text = self.text()?;
        let protocol = match self {
            Self {
                grpc: Some(code), ..
            } if code != Grpc::OK => "gRPC",
            Self {
                other_rpc: Some(_), ..
            } => "RPC",
            _ => "HTTP",
        };
        Some(format!("{protocol} {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Attribute;

    #[test]
    fn grpc_codes_are_read_in_every_spelling() {
        for text in [
            "4",
            "DEADLINE_EXCEEDED",
            "DeadlineExceeded",
            "deadline_exceeded",
        ] {
            assert_eq!(Grpc::parse(text), Some(Grpc::DEADLINE_EXCEEDED), "{text}");
        }
        assert_eq!(Grpc::parse("canceled"), Some(Grpc::CANCELLED));
        for text in ["17", "-32601", "", "Refused"] {
            assert_eq!(Grpc::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_grpc_code_is_answered_as_its_http_equivalent() {
        let codes = Codes {
            http: Some(200),
            grpc: Some(Grpc::UNAVAILABLE),
            other_rpc: None,
        };
        assert_eq!(codes.status(), Some(503));
        assert_eq!(codes.words().as_deref(), Some("gRPC UNAVAILABLE"));
        let codes = Codes {
            http: Some(404),
            ..Codes::default()
        };
        assert_eq!(codes.status(), Some(404));
        assert_eq!(codes.words().as_deref(), Some("HTTP 404"));
        assert_eq!(Codes::default().status(), None);
    }

    #[test]
    fn a_code_that_is_not_of_grpc_is_kept_as_it_is() {
        let of = |system: &'static str, key: &'static str, value| {
            let attributes = [
                Attribute {
                    key: b"rpc.system.name",
                    value: Value::Str(system.as_bytes()),
                },
                Attribute {
                    key: key.as_bytes(),
                    value,
                },
            ];
            let codes = Codes::new(&Attributes::new(&attributes));
            (codes.grpc, codes.status(), codes.words())
        };
        // 4 is an application's own code here, and -32601 is one of no gRPC.
        for (key, value, words) in [
            ("rpc.jsonrpc.error_code", Value::Int(4), "RPC 4"),
            ("rpc.status_code", Value::Str(b"-32601"), "RPC -32601"),
        ] {
            let found = of("jsonrpc", key, value);
            assert_eq!(found, (None, None, Some(words.to_owned())));
        }
        let dubbo = of(
            "dubbo",
            "rpc.response.status_code",
            Value::Str(b"SERVER_ERROR"),
        );
        assert_eq!(dubbo.2.as_deref(), Some("RPC SERVER_ERROR"));
        let fine = of("dubbo", "rpc.response.status_code", Value::Str(b"OK"));
        assert_eq!(fine, (Some(Grpc::OK), Some(200), None));
    }
}
