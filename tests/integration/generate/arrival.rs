//! How spans and log records arrive: an order that exporters can produce, cuts into requests, replays, replicas.

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
/// fail, and log records anywhere before the first such span that they were logged in or below.
/// Whatever belongs to different services or traces is shuffled freely.
fn order(made: &[Made], places: &[u16]) -> Vec<usize> {
    let mut parts: BTreeMap<(usize, &[u8]), Vec<usize>> = BTreeMap::new();
    for (index, one) in made.iter().enumerate() {
        let part = (one.service, one.trace_id());
        parts.entry(part).or_default().push(index);
    }
    let place = |index: usize| usize::from(places[index % places.len()]);
    let mut order: Vec<(usize, usize)> = Vec::new();
    for part in parts.values() {
        let (anywhere, mut sequence): (Vec<usize>, Vec<usize>) = part
            .iter()
            .partition(|index| !has_succeeded(&made[**index]));
        for index in anywhere {
            let latest = first_success_above(made, part, index)
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

fn has_succeeded(made: &Made) -> bool {
    made.span().is_some_and(|span| !reference::failed(span))
}

fn first_success_above(made: &[Made], part: &[usize], index: usize) -> Option<usize> {
    let above = match (made[index].span(), made[index].log()) {
        (Some(span), _) => &span.parent_span_id,
        (None, Some(log)) => &log.span_id,
        (None, None) => return None,
    };
    let is_above = |other: &&usize| {
        made[**other]
            .span()
            .is_some_and(|span| span.span_id == *above)
    };
    let above = *part.iter().find(is_above)?;
    if has_succeeded(&made[above]) {
        Some(above)
    } else {
        first_success_above(made, part, above)
    }
}

pub(super) fn deliver(
    made: &[Made],
    places: &[u16],
    cuts: &[Cut],
    replays: &[ReplayPlan],
) -> Vec<Delivery> {
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut is_cut = true;
    for (position, index) in order(made, places).into_iter().enumerate() {
        let cut = &cuts[position % cuts.len()];
        if is_cut {
            deliveries.push(Delivery {
                records: Vec::new(),
                replica: cut.replica,
                joins_group: cut.joins_group,
                kind: DeliveryKind::First,
            });
        }
        let last = deliveries.last_mut().expect("the first record is cut off");
        last.records.push(index);
        is_cut = cut.is_here;
        if is_cut {
            // Of the request that opens a trace all spans are looked at, wherever they stand.
            let middle = last.records.len() * cut.turned / 3;
            last.records.rotate_left(middle);
            if cut.reversed {
                last.records.reverse();
            }
        }
    }
    let replays = if deliveries.is_empty() { &[] } else { replays };
    for replay in replays {
        let what = replay.what.index(deliveries.len());
        let (mut again, kind) = if replay.same_request {
            (deliveries[what].records.clone(), DeliveryKind::Retry)
        } else {
            let to = replay.to.index(deliveries.len());
            let range = what.min(to)..=what.max(to);
            let mut records: Vec<usize> = deliveries[range]
                .iter()
                .flat_map(|delivery| delivery.records.iter().copied())
                .collect();
            records.sort_unstable();
            records.dedup();
            (records, DeliveryKind::Rebatched)
        };
        // A batch that happens to be one that was sent is a retry.
        let is_sent = |delivery: &Delivery| delivery.records == again;
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
                records: std::mem::take(&mut again),
                replica: replay.replica,
                joins_group: false,
                kind,
            },
        );
    }
    deliveries
}
