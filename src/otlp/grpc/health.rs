//! `grpc.health.v1.Health/Check`, as kubelets and load balancers ask it. `Watch` is not there, and
//! clients know what that means.

use bytes::Bytes;
use hyper::Response;
use hyper::body::Body;

use super::super::answer::{Signal, put_number};
use super::super::body::{BodyError, Coding};
use super::super::budget::{Budget, STEP_BYTES};
use super::super::inflate::inflate;
use super::super::protobuf_wire::{Fault, NESTING, bytes as field_bytes, next_key, skip_unknown};
use super::answer::{Answer, accepted, not_found, unread};
use super::{message, method_of};

/// A question is the name of a service.
const QUESTION_BYTES: usize = 1_024;

/// The key of `HealthCheckRequest.service`, a text.
const SERVICE: u32 = 1 << 3 | 2;

/// `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;
const NOT_SERVING: u64 = 2;

/// Answers for redspan as a whole, which has no name, and for each service that it has: all of them
/// are served, or none.
pub(super) async fn check<B>(body: B, coding: Coding, is_ready: bool) -> Response<Answer>
where
    B: Body<Data = Bytes> + Unpin,
{
    match asks_for_known(body, coding).await {
        Ok(true) => {
            let mut health = Vec::new();
            put_number(&mut health, 1, if is_ready { SERVING } else { NOT_SERVING });
            accepted(&health)
        }
        Ok(false) => not_found("redspan has no service of this name"),
        Err(error) => unread(&error).1,
    }
}

async fn asks_for_known<B>(body: B, coding: Coding) -> Result<bool, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Not the one of all bodies: health is asked for most when that is full.
    let budget = Budget::new(2 * STEP_BYTES);
    let (wire, coding) = message::read(body, coding, QUESTION_BYTES, &budget).await?;
    let question = inflate(wire, coding, QUESTION_BYTES, &budget)?;
    let service =
        service_of(question.as_ref()).map_err(|_| BodyError::Malformed("HealthCheckRequest"))?;
    let methods = [Signal::Traces, Signal::Logs, Signal::Metrics].map(method_of);
    let mut known = methods
        .iter()
        .filter_map(|method| method.split('/').nth(1))
        .chain([""]);
    Ok(known.any(|known| known.as_bytes() == service))
}

fn service_of(mut question: &[u8]) -> Result<&[u8], Fault> {
    let mut service = &[][..];
    while let Some(key) = next_key(&mut question)? {
        if key == SERVICE {
            service = field_bytes(&mut question)?;
        } else {
            skip_unknown(&mut question, key, 1..=1, NESTING)?;
        }
    }
    Ok(service)
}
