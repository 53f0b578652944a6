//! What people set wrongly in exporters, on real sockets: each is answered with what to set, and
//! has a line in the log that says the same, the first time and at powers of two.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::{
    databases::{Database, Kind},
    program::{Program, agent},
};

/// How often each mistake is made.
const TIMES: usize = 5;

/// When the log speaks of it.
const TOLD: [u64; 3] = [1, 2, 4];

/// An exporter's request.
struct Export {
    path: &'static str,
    content_type: &'static str,
    content_encoding: &'static str,
}

const EXPORT: Export = Export {
    path: "/v1/traces",
    content_type: "application/x-protobuf",
    content_encoding: "identity",
};

impl Export {
    fn send(&self, address: SocketAddr) -> (u16, String) {
        let mut response = agent()
            .post(format!("http://{address}{}", self.path))
            .header("Content-Type", self.content_type)
            .header("Content-Encoding", self.content_encoding)
            .send(&b"\x0a\x00"[..])
            .expect("every mistake is answered");
        let mut body = Vec::new();
        response
            .body_mut()
            .as_reader()
            .read_to_end(&mut body)
            .expect("the answer comes whole");
        let said = String::from_utf8_lossy(&body).into_owned();
        (response.status().as_u16(), said)
    }
}

/// The numbers of times with which the log says it.
fn told(log: &str, advice: &str) -> Vec<u64> {
    log.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("lines are JSON"))
        .filter(|line| line["level"] == "WARN")
        .filter(|line| line["message"].as_str().unwrap().contains(advice))
        .map(|line| {
            let times = line.get("times").unwrap_or(&line["connections"]);
            times.as_u64().unwrap()
        })
        .collect()
}

/// Makes the mistakes, and then looks at the log.
fn assert_advised(make: impl Fn(&Program) -> Vec<&'static str>) {
    let database = Database::new(Kind::Sqlite);
    let mut program = Program::start(&database.url, &[]);
    let advices = make(&program);
    assert!(program.terminate().success());
    let log = program.whole_log();
    for advice in advices {
        assert_eq!(told(&log, advice), TOLD, "{advice}\n{log}");
    }
}

#[test]
fn what_is_sent_wrongly_to_the_otlp_port_is_answered_and_logged_with_what_to_set() {
    let cases = [
        (
            Export {
                path: "/",
                ..EXPORT
            },
            404,
            "set OTEL_EXPORTER_OTLP_ENDPOINT to this address, or give \
             OTEL_EXPORTER_OTLP_TRACES_ENDPOINT the path /v1/traces",
        ),
        (
            Export {
                path: "/v1/traces/",
                ..EXPORT
            },
            404,
            "set OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to one that ends in /v1/traces",
        ),
        (
            Export {
                path: "/v1/traces/v1/traces",
                ..EXPORT
            },
            404,
            "the path is there twice, because SDKs add it to OTEL_EXPORTER_OTLP_ENDPOINT: set \
             that to this address without a path",
        ),
        (
            Export {
                path: "/otlp/v1/traces",
                ..EXPORT
            },
            404,
            "not a path of OTLP over HTTP (/v1/traces, /v1/logs, /v1/metrics): set \
             OTEL_EXPORTER_OTLP_ENDPOINT to this address without a path",
        ),
        (
            Export {
                content_type: "application/octet-stream",
                ..EXPORT
            },
            415,
            "the Content-Type must be application/x-protobuf or application/json: set \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        (
            Export {
                content_type: "application/grpc",
                ..EXPORT
            },
            415,
            "this port speaks OTLP over HTTP, not gRPC: set OTEL_EXPORTER_OTLP_ENDPOINT to the \
             port for gRPC (4317, otlp.grpc.listen), or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        ),
        (
            Export {
                content_encoding: "snappy",
                ..EXPORT
            },
            415,
            "set OTEL_EXPORTER_OTLP_COMPRESSION=gzip, or compression: gzip in a Collector",
        ),
    ];
    assert_advised(|program| {
        for (export, status, advice) in &cases {
            for _ in 0..TIMES {
                let (answered, said) = export.send(program.otlp);
                assert_eq!(answered, *status, "{said}");
                assert!(said.contains(advice), "{said}");
            }
        }
        cases.iter().map(|(_, _, advice)| *advice).collect()
    });
}

#[test]
fn a_client_without_the_token_is_answered_and_logged_with_what_to_set() {
    let database = Database::new(Kind::Sqlite);
    let token = ("REDSPAN_AUTH_INGEST_TOKEN", "a-token-of-some-length");
    let mut program = Program::start(&database.url, &[token]);
    let advice = "set OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN";
    for _ in 0..TIMES {
        let (status, said) = EXPORT.send(program.otlp);
        assert_eq!(status, 401);
        assert!(said.contains(advice), "{said}");
    }
    assert!(program.terminate().success());
    assert_eq!(told(&program.whole_log(), advice), TOLD);
}

#[test]
fn who_asks_without_sending_is_answered_and_not_logged() {
    let database = Database::new(Kind::Sqlite);
    let mut program = Program::start(&database.url, &[]);
    for path in ["/", "/favicon.ico", "/v1/traces"] {
        let url = format!("http://{}{path}", program.otlp);
        let status = agent().get(url).call().unwrap().status().as_u16();
        assert!(matches!(status, 404 | 405), "{status} at {path}");
    }
    assert!(program.terminate().success());
    assert_eq!(told(&program.whole_log(), ""), [0; 0]);
}

#[test]
fn telemetry_at_the_port_of_metrics_is_answered_and_logged_with_the_port_it_belongs_to() {
    let database = Database::new(Kind::Sqlite);
    let mut program = Program::start(&database.url, &[]);
    let advice = format!(
        "set OTEL_EXPORTER_OTLP_ENDPOINT to the same host with port {}, without a path",
        program.otlp.port()
    );
    let exports = [
        EXPORT,
        Export {
            path: "/",
            content_type: "application/json",
            ..EXPORT
        },
        Export {
            path: "/v1/logs",
            content_type: "application/json",
            ..EXPORT
        },
        Export {
            path: "/metrics/v1/traces",
            ..EXPORT
        },
        Export {
            path: "/v1/traces/v1/traces",
            ..EXPORT
        },
    ];
    for export in &exports {
        let (status, said) = export.send(program.http);
        assert_eq!(status, 404, "{said}");
        assert!(said.contains(&advice), "{said}");
    }
    assert!(program.terminate().success());
    assert_eq!(told(&program.whole_log(), &advice), TOLD);
}

/// The frames of HTTP/2 in the bytes: kind and payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [a, b, c, kind, _flags, _, _, _, _, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (payload, after) = rest.split_at(length);
        frames.push((*kind, payload));
        bytes = after;
    }
    assert_eq!(bytes, b"", "frames are whole");
    frames
}

#[test]
fn grpc_is_told_in_http2_and_in_the_log_what_to_set() {
    assert_advised(|program| {
        let advice = "set OTEL_EXPORTER_OTLP_ENDPOINT to the port for gRPC (4317, \
                      otlp.grpc.listen), or OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf";
        for _ in 0..TIMES {
            let mut stream = TcpStream::connect(program.otlp).unwrap();
            let settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
            stream
                .write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat())
                .unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            let [(4, b""), (7, goaway)] = frames(&said)[..] else {
                panic!("{said:?}")
            };
            // No stream was taken; HTTP/1.1 is required.
            let (head, reason) = goaway.split_at(8);
            assert_eq!(head, [0, 0, 0, 0, 0, 0, 0, 0xd]);
            assert!(String::from_utf8_lossy(reason).contains(advice));
        }
        vec![advice]
    });
}

#[test]
fn http_at_the_port_of_grpc_is_answered_and_logged_with_what_to_set() {
    assert_advised(|program| {
        let advice = "set OTEL_EXPORTER_OTLP_ENDPOINT to the port for OTLP over HTTP (4318, \
                      otlp.http.listen), or OTEL_EXPORTER_OTLP_PROTOCOL=grpc";
        for _ in 0..TIMES {
            let (status, said) = EXPORT.send(program.grpc);
            assert_eq!(status, 415);
            assert!(said.contains(advice), "{said}");
        }
        vec![advice]
    });
}

#[test]
fn tls_is_logged_with_what_to_set_at_every_port_for_telemetry() {
    let ports: [fn(&Program) -> SocketAddr; 2] = [|program| program.otlp, |program| program.grpc];
    for port in ports {
        assert_advised(|program| {
            for _ in 0..TIMES {
                let mut stream = TcpStream::connect(port(program)).unwrap();
                // The beginning of a ClientHello.
                let hello = b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n";
                stream.write_all(hello).unwrap();
                // Whatever it is, the client does not take it for TLS.
                drop(stream.read_to_end(&mut Vec::new()));
            }
            vec![
                "set OTEL_EXPORTER_OTLP_ENDPOINT to an address that begins with http://, for gRPC \
                 with OTEL_EXPORTER_OTLP_INSECURE=true",
            ]
        });
    }
}

#[test]
fn a_page_that_may_not_send_is_logged_with_what_to_set() {
    assert_advised(|program| {
        let advice = "name it in otlp.http.cors_origins, as the browser's console shows it";
        for _ in 0..TIMES {
            let answer = agent()
                .options(format!("http://{}/v1/traces", program.otlp))
                .header("Origin", "https://shop.example")
                .header("Access-Control-Request-Method", "POST")
                .call()
                .unwrap();
            assert_eq!(answer.status().as_u16(), 403);
        }
        vec![advice]
    });
}
