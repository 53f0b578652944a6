//! OTLP over gRPC to the program as users run it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use prost::Message;
use tonic::{Status, codec::CompressionEncoding, transport::Endpoint};

use super::{
    databases::{Database, Kind, each_kind},
    exactly_once::assert_holds,
    http2::{GRPC, Raw, TRACES, answer, framed},
    load::{self, Sent, Truth},
    memory::{is_release, peak_kib, zipped},
    program::Program,
};

/// One request on a connection of its own.
fn export(grpc: SocketAddr, request: &Sent) -> Result<(), Status> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(format!("http://{grpc}")).unwrap();
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Status::from_error(error.into()))?;
        let mut client =
            TraceServiceClient::new(channel).send_compressed(CompressionEncoding::Gzip);
        let request = ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        client.export(request).await.map(drop)
    })
}

#[test]
fn a_request_in_which_the_process_dies_is_counted_once_however_it_is_sent_again() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut truth = Truth::default();
        for (first, place) in [
            (0, "before_begin"),
            (8, "before_commit"),
            (16, "after_commit"),
        ] {
            let request = load::whole_traces("shop", first, 8);
            truth.add(&request.truth);
            let failpoint = format!("{place}:1");
            let environment = [
                &database.environment()[..],
                &[("REDSPAN_FAILPOINT", &failpoint)],
            ]
            .concat();
            let mut program = Program::start(&database.url, &environment);
            export(program.grpc, &request).expect_err("it dies");
            assert!(!program.wait().success(), "{}", program.log());

            let program = Program::start(&database.url, &database.environment());
            export(program.grpc, &request).unwrap();
            export(program.grpc, &request).unwrap();
            assert_eq!(program.send(&request.body).unwrap(), 200);
            program.metrics().assert_balanced();
        }
        assert_holds(&database, &truth);
    });
}

/// Connections of a flood, and requests at once on each: more than there are places for.
const CONNECTIONS: usize = 400;
const STREAMS: usize = 16;

#[test]
fn bombs_and_floods_over_grpc_cost_less_than_256_mebibytes() {
    if !is_release() {
        return;
    }
    let database = Database::new(Kind::Sqlite);
    let program = Program::start(&database.url, &[]);
    let zeros = vec![0; 200 << 20];
    let mut zstd = Vec::with_capacity(zstd_safe::compress_bound(zeros.len()));
    zstd_safe::compress(&mut zstd, &zeros, 3).unwrap();
    let cases = [
        ("gzip", framed(1, &zipped(&zeros)), true),
        ("zstd", framed(1, &zstd), true),
        // A message of the largest size of which no more comes.
        (
            "identity",
            framed(0, &zeros[..8 << 20])[..32_000].to_vec(),
            false,
        ),
    ];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (coding, body, is_whole) in cases {
        runtime.block_on(flood(program.grpc, coding, body.into(), is_whole));
        let peak = peak_kib(&program);
        assert!(peak < 256 * 1_024, "{coding}: {peak} KiB");
    }
    // As soon as it has noticed that the last clients are gone.
    let request = load::whole_traces("shop", 0, 8);
    let start = Instant::now();
    while let Err(refused) = export(program.grpc, &request) {
        assert!(start.elapsed() < Duration::from_secs(30), "{refused}");
    }
}

/// All requests at once; what is whole is answered.
async fn flood(grpc: SocketAddr, coding: &str, body: Bytes, is_whole: bool) {
    let mut clients = Vec::new();
    let mut answers = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Raw::connect(grpc).await;
        for _ in 0..STREAMS {
            let headers = [GRPC, ("grpc-encoding", coding)];
            let (response, mut sending) = client.begin(TRACES, &headers).await;
            // It may be refused before it has come.
            drop(sending.send_data(body.clone(), is_whole));
            answers.push((response, sending));
        }
        clients.push(client);
    }
    if is_whole {
        for (response, _sending) in answers {
            let answer = answer(response).await;
            assert!(matches!(answer.code(), "8" | "14"), "{}", answer.code());
        }
    }
}
