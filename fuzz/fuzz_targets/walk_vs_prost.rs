//! Any bytes: the protobuf walk shows what prost decodes, or both refuse. The first byte says
//! whether the rest is the message or the tape that an unusual one is made from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use redspan::otlp::{Encoding, Refusal};

#[path = "../../tests/integration/walk/oracle.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod oracle;
#[path = "../../tests/integration/walk/seen.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod seen;
#[path = "../../tests/integration/walk/soup.rs"]
mod soup;

fuzz_target!(|data: &[u8]| {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let body = if how % 2 == 0 {
        rest.to_vec()
    } else {
        soup::request(rest)
    };
    let walked = seen::see(&body, Encoding::Protobuf);
    match (walked, oracle::Request::decode(&*body)) {
        (Ok(seen), Ok(request)) => assert_eq!(seen, request.seen()),
        (Err(Refusal::Malformed(_)), Err(_)) | (Err(Refusal::TooLarge(_)), _) => {}
        (walked, decoded) => panic!("{walked:?} but prost {decoded:?}"),
    }
});
