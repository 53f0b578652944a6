//! How spans arrive: an order that exporters can produce, cuts into requests, replays, replicas.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use super::{Delivery, DeliveryKind, Made};
use crate::reference;

#[derive(Clone, Debug)]
pub(super) struct ReplayPlan {
    what: Index,
    to: Index,
    at: Index,
    replica: usize,
    same_request: bool,
}

pub(super) fn replay_plan() -> impl Strategy<Value = ReplayPlan> {
    (
        any::<Index>(),
        any::<Index>(),
        any::<Index>(),
        0..2_usize,
        any::<bool>(),
    )
        .prop_map(|(what, to, at, replica, same_request)| ReplayPlan {
            what,
            to,
            at,
            replica,
            same_request,
        })
}

/// An order that exporters can produce: within one service's part of a trace, spans that did not
/// fail come as they ended; failed ones anywhere before the first span above them that did not
/// fail. Whatever belongs to different services or traces is shuffled freely.
fn order(spans: &[Made], places: &[u16]) -> Vec<usize> {
    let mut parts: BTreeMap<(usize, &[u8]), Vec<usize>> = BTreeMap::new();
    for (index, made) in spans.iter().enumerate() {
        let part = (made.service, made.span.trace_id.as_slice());
        parts.entry(part).or_default().push(index);
    }
    let place = |index: usize| usize::from(places[index % places.len()]);
    let mut order: Vec<(usize, usize)> = Vec::new();
    for part in parts.values() {
        let (failed, mut sequence): (Vec<usize>, Vec<usize>) = part
            .iter()
            .partition(|index| reference::failed(&spans[**index].span));
        for index in failed {
            let latest = first_success_above(spans, part, index)
                .and_then(|above| sequence.iter().position(|other| *other == above))
                .unwrap_or(sequence.len());
            sequence.insert(latest - place(index) % (latest + 1), index);
        }
        let mut keys: Vec<usize> = part.iter().map(|index| place(index + 31)).collect();
        keys.sort_unstable();
        order.extend(keys.into_iter().zip(sequence));
    }
    order.sort_by_key(|(key, _)| *key);
    order.into_iter().map(|(_, index)| index).collect()
}

/// What may happen after a span.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    is_here: bool,
    /// Of the request that begins here.
    replica: usize,
    joins_group: bool,
    /// The request that ends here is turned round by so many thirds.
    turned: usize,
    reversed: bool,
}

pub(super) fn cut() -> impl Strategy<Value = Cut> {
    let of_request = (0..2_usize, any::<bool>());
    (any::<bool>(), of_request, 0..3_usize, any::<bool>()).prop_map(
        |(is_here, (replica, joins_group), turned, reversed)| Cut {
            is_here,
            replica,
            joins_group,
            turned,
            reversed,
        },
    )
}

fn first_success_above(spans: &[Made], part: &[usize], index: usize) -> Option<usize> {
    let parent = &spans[index].span.parent_span_id;
    let above = *part
        .iter()
        .find(|other| spans[**other].span.span_id == *parent)?;
    if reference::failed(&spans[above].span) {
        first_success_above(spans, part, above)
    } else {
        Some(above)
    }
}

pub(super) fn deliver(
    spans: &[Made],
    places: &[u16],
    cuts: &[Cut],
    replays: &[ReplayPlan],
) -> Vec<Delivery> {
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut is_cut = true;
    for (position, index) in order(spans, places).into_iter().enumerate() {
        let cut = &cuts[position % cuts.len()];
        if is_cut {
            deliveries.push(Delivery {
                spans: Vec::new(),
                replica: cut.replica,
                joins_group: cut.joins_group,
                kind: DeliveryKind::First,
            });
        }
        let last = deliveries.last_mut().expect("the first span is cut off");
        last.spans.push(index);
        is_cut = cut.is_here;
        if is_cut {
            // Of the request that opens a trace all spans are looked at, wherever they stand.
            let middle = last.spans.len() * cut.turned / 3;
            last.spans.rotate_left(middle);
            if cut.reversed {
                last.spans.reverse();
            }
        }
    }
    let replays = if deliveries.is_empty() { &[] } else { replays };
    for replay in replays {
        let what = replay.what.index(deliveries.len());
        let (mut again, kind) = if replay.same_request {
            (deliveries[what].spans.clone(), DeliveryKind::Retry)
        } else {
            let to = replay.to.index(deliveries.len());
            let range = what.min(to)..=what.max(to);
            let mut spans: Vec<usize> = deliveries[range]
                .iter()
                .flat_map(|delivery| delivery.spans.iter().copied())
                .collect();
            spans.sort_unstable();
            spans.dedup();
            (spans, DeliveryKind::Rebatched)
        };
        // A batch that happens to be one that was sent is a retry.
        let is_sent = |delivery: &Delivery| delivery.spans == again;
        let kind = if deliveries.iter().any(is_sent) {
            DeliveryKind::Retry
        } else {
            kind
        };
        let after = match kind {
            DeliveryKind::Rebatched => what.max(replay.to.index(deliveries.len())),
            _ => deliveries.iter().position(is_sent).unwrap_or(what),
        };
        let at = after + 1 + replay.at.index(deliveries.len() - after);
        deliveries.insert(
            at,
            Delivery {
                spans: std::mem::take(&mut again),
                replica: replay.replica,
                joins_group: false,
                kind,
            },
        );
    }
    deliveries
}
