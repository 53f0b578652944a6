//! OTLP over gRPC to the program as users run it.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
};
use prost::Message;
use tonic::{Status, codec::CompressionEncoding, transport::Endpoint};

use super::{
    databases::{Database, each_kind},
    exactly_once::assert_holds,
    load::{self, Sent, Truth},
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
