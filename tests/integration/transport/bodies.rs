//! Bodies: codings, sizes and the budget.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use redspan::otlp::body::BodyLimits;
use redspan::otlp::budget::{Budget, STEP_BYTES};
use redspan::otlp::export::{self, Outcome};
use redspan::server;

use super::{Client, JSON, PROTOBUF, Server, start, started, until};

const MIB: usize = 1_024 * 1_024;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(zstd_safe::compress_bound(text.len()));
    zstd_safe::compress(&mut wire, text, 3).unwrap();
    wire
}

fn with_coding(name: &str) -> String {
    format!("{PROTOBUF}\nContent-Encoding: {name}")
}

async fn with_limits(wire_bytes: usize, inflated_bytes: usize, budget: &Budget) -> Server {
    let http = export::Settings {
        body: BodyLimits {
            wire_bytes,
            inflated_bytes,
        },
        budget: budget.clone(),
        ..export::Settings::default()
    };
    start(http, server::Settings::default()).await
}

#[tokio::test]
async fn known_codings_are_undone_whatever_their_case() {
    let server = started().await;
    let text = b"spans ".repeat(50_000);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&text).unwrap();
    let zlib = zlib.finish().unwrap();
    let two_members = [gzip(&text[..7]), gzip(&text[7..])].concat();
    for (name, wire) in [
        ("identity", &text),
        ("gzip", &gzip(&text)),
        ("GZip", &gzip(&text)),
        ("gzip", &two_members),
        ("deflate", &zlib),
        ("zlib", &zlib),
        ("zstd", &zstd(&text)),
    ] {
        assert_eq!(
            server.send(&with_coding(name), wire).await.status,
            200,
            "{name}"
        );
        let taken = server.told.taken.lock().unwrap().pop().unwrap();
        assert_eq!(taken.body, text, "{name}");
    }
}

#[tokio::test]
async fn unknown_codings_are_unsupported() {
    let server = started().await;
    for name in ["br", "gzip, gzip", "snappy"] {
        assert_eq!(
            server.send(&with_coding(name), b"x").await.status,
            415,
            "{name}"
        );
    }
    let twice = format!("{}\nContent-Encoding: gzip", with_coding("gzip"));
    assert_eq!(server.send(&twice, b"x").await.status, 415);
}

#[tokio::test]
async fn broken_gzip_is_malformed() {
    let server = started().await;
    let wire = gzip(b"some text that is long enough to be cut");
    let mut lying = wire.clone();
    let end = lying.len();
    lying[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    for broken in [&wire[..end - 9], &lying, b"{}", b""] {
        assert_eq!(server.send(&with_coding("gzip"), broken).await.status, 400);
    }
}

#[tokio::test]
async fn a_bomb_is_too_large() {
    let server = started().await;
    let bomb = gzip(&vec![0; 20 * MIB + 1]);
    assert!(bomb.len() < 21_000);
    assert_eq!(server.send(&with_coding("gzip"), &bomb).await.status, 413);
    let largest = gzip(&vec![0; 20 * MIB]);
    assert_eq!(
        server.send(&with_coding("gzip"), &largest).await.status,
        200
    );
}

#[tokio::test]
async fn the_largest_body_is_taken_and_one_byte_more_is_not() {
    let server = with_limits(100_000, 100_000, &Budget::new(MIB)).await;
    assert_eq!(server.send(PROTOBUF, &vec![0; 100_000]).await.status, 200);
    assert_eq!(server.send(PROTOBUF, &vec![0; 100_001]).await.status, 413);
}

#[tokio::test]
async fn a_stated_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let server = started().await;
    for path in ["/v1/traces", "/v1/metrics"] {
        let mut client = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
             Content-Length: 9000000\r\n\r\n"
        );
        client.write(head.as_bytes()).await;
        assert_eq!(client.answer().await.unwrap().status, 413);
    }
}

const CHUNKED: &str = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn a_chunked_body_is_taken() {
    let server = started().await;
    let mut client = server.connect().await;
    client.write(CHUNKED.as_bytes()).await;
    client.write(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(server.told.taken.lock().unwrap()[0].body, "{}");
}

#[tokio::test]
async fn an_endless_chunked_body_is_refused_while_it_streams() {
    let budget = Budget::new(64 * MIB);
    // Neither doubling nor adding chunks lands on it.
    let limit = 1_000_003;
    let server = with_limits(limit, limit, &budget).await;
    for path in ["/v1/traces", "/v1/metrics"] {
        let mut client = server.connect().await;
        client
            .write(CHUNKED.replace("/v1/traces", path).as_bytes())
            .await;
        let chunk = [&b"2710\r\n"[..], &vec![b' '; 0x2710], b"\r\n"].concat();
        // The client sends four times the limit before it looks for an answer.
        for _ in 0..400 {
            client.write(&chunk).await;
            assert!(budget.used_bytes() <= limit + STEP_BYTES);
        }
        let answer = client.answer().await.unwrap();
        assert_eq!(
            (answer.status, answer.header("connection")),
            (413, Some("close"))
        );
        drop(client);
    }
    until(|| budget.used_bytes() == 0).await;
}

/// A client that has sent so many bytes of a larger body.
async fn stalled(server: &Server, bytes: usize) -> Client {
    let mut client = server.connect().await;
    let head = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n\
                Content-Length: 1000000\r\n\r\n";
    client.write(head.as_bytes()).await;
    client.write(&vec![b' '; bytes]).await;
    client
}

#[tokio::test]
async fn a_full_budget_refuses_for_a_second_and_recovers() {
    let budget = Budget::new(2 * STEP_BYTES);
    let server = with_limits(MIB, MIB, &budget).await;
    let one = stalled(&server, 1).await;
    let two = stalled(&server, 1).await;
    until(|| budget.used_bytes() == 2 * STEP_BYTES).await;
    let answer = server.send(JSON, b"{}").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("1"))
    );
    // What the others had reserved comes back when they go away in the middle.
    drop(one);
    until(|| budget.used_bytes() == STEP_BYTES).await;
    assert_eq!(server.send(JSON, b"{}").await.status, 200);
    drop(two);
    server.forget();
    until(|| budget.used_bytes() == 0).await;
}

#[tokio::test]
async fn while_nothing_can_be_taken_bodies_are_not_inflated() {
    let server = started().await;
    let no_gzip = b"x";
    server.fill(true);
    let answer = server.send(&with_coding("gzip"), no_gzip).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(server.taken(), 0);
    server.fill(false);
    let answer = server.send(&with_coding("gzip"), no_gzip).await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn inflated_bytes_count_until_the_last_of_them_is_dropped() {
    let budget = Budget::new(MIB);
    let server = with_limits(MIB, MIB, &budget).await;
    let wire = gzip(&vec![0; MIB / 2]);
    assert_eq!(server.send(&with_coding("gzip"), &wire).await.status, 200);
    // The service still has it: only half of the budget is left.
    assert_eq!(budget.used_bytes(), MIB / 2);
    assert_eq!(server.send(&with_coding("gzip"), &wire).await.status, 429);
    server.forget();
    assert_eq!(budget.used_bytes(), 0);
    assert_eq!(server.send(&with_coding("gzip"), &wire).await.status, 200);
}

#[tokio::test]
async fn a_stated_gzip_size_reserves_no_more_than_the_wire_can_hold() {
    let budget = Budget::new(MIB + 2 * STEP_BYTES);
    let server = with_limits(MIB, MIB, &budget).await;
    let mut wire = gzip(b"short");
    let end = wire.len();
    wire[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    let holder = stalled(&server, 1_000_000 - 1).await;
    until(|| budget.used_bytes() == MIB).await;
    assert_eq!(server.send(&with_coding("gzip"), &wire).await.status, 400);
    drop(holder);
}

#[tokio::test]
async fn an_answer_comes_in_time_also_when_the_work_does_not() {
    let budget = Budget::new(MIB);
    let http = export::Settings {
        answer_within: Duration::from_millis(20),
        budget: budget.clone(),
        ..export::Settings::default()
    };
    let server = start(http, server::Settings::default()).await;
    server.hold(true);
    let answer = server.send(JSON, b"{}").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    server.hold(false);
    server.forget();
    until(|| budget.used_bytes() == 0).await;
    assert_eq!(server.send(JSON, b"{}").await.status, 200);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_request_is_at_work_leaves_nothing_behind() {
    let budget = Budget::new(MIB);
    let server = with_limits(MIB, MIB, &budget).await;
    server.hold(true);
    let mut client = server.connect().await;
    client.write(&super::request(JSON, b"{}")).await;
    until(|| server.taken() == 1).await;
    drop(client);
    until(|| server.told.held.receiver_count() == 0).await;
    server.forget();
    until(|| budget.used_bytes() == 0).await;
    server.hold(false);
    server.will_answer(Outcome::Accepted);
    assert_eq!(server.send(JSON, b"{}").await.status, 200);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let server = started().await;
    let mut client = server.connect().await;
    let head = "POST /v1/traces HTTP/1.1\r\nContent-Type: application/json\r\n\
                Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.write(head.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    client.write(b"{}").await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn clients_that_leave_anywhere_in_their_request_leave_nothing_behind() {
    let budget = Budget::new(64 * MIB);
    let server = with_limits(MIB, MIB, &budget).await;
    let text: Vec<u8> = (0..300_000_u32)
        .flat_map(|i| (i.wrapping_mul(i) >> 7).to_le_bytes())
        .collect();
    let whole = super::request(&with_coding("gzip"), &gzip(&text[..MIB]));
    for i in 0..500 {
        let end = i * 7_919 % whole.len();
        let mut client = server.connect().await;
        client.write(&whole[..end]).await;
    }
    until(|| server.counts.accepted.load(Ordering::Relaxed) == 500).await;
    server.forget();
    until(|| budget.used_bytes() == 0).await;
    let mut client = server.connect().await;
    client.write(&whole).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}
