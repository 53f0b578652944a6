//! How much of one request is taken, and what is kept of an item that holds more.

use super::views::EventView;

/// Limits of one walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Resources, scopes, spans and log records together; a request with more is refused whole. 50,000.
    pub items: usize,
    /// Attributes of a resource or span; the rest are dropped and counted. 1,024.
    pub attributes: usize,
    /// Events of a span, those with an exception kept first. 1,024.
    pub events: usize,
    /// Links of a span. 1,024.
    pub links: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            items: 50_000,
            attributes: 1_024,
            events: 1_024,
            links: 1_024,
        }
    }
}

/// Keeps the first of a list, and says whether there was room.
#[inline]
pub(super) fn keep<T>(kept: &mut Vec<T>, limit: usize, item: T) -> bool {
    let room = kept.len() < limit;
    if room {
        kept.push(item);
    }
    room
}

/// The room of a list for items of another lifetime: collecting into the same layout keeps it.
pub(super) fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

/// The events of one span that are kept: the first ones, but rather those with an exception.
#[derive(Debug, Default)]
pub(super) struct KeptEvents<'a> {
    events: Vec<EventView<'a>>,
    /// Of `events`, those without an exception; known once there is no more room.
    plain: Option<usize>,
    /// Events with an exception that came when there was no more room. Never more than `plain`.
    late: Vec<EventView<'a>>,
    dropped: u32,
}

impl<'a> KeptEvents<'a> {
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.late.clear();
        self.plain = None;
        self.dropped = 0;
    }

    #[inline]
    pub(super) fn push(&mut self, limit: usize, event: EventView<'a>) {
        if self.events.len() < limit {
            self.events.push(event);
        } else {
            self.push_beyond_limit(event);
        }
    }

    #[cold]
    fn push_beyond_limit(&mut self, event: EventView<'a>) {
        self.dropped = self.dropped.saturating_add(1);
        let events = &self.events;
        let plain = *self
            .plain
            .get_or_insert_with(|| events.iter().filter(|event| !has_exception(event)).count());
        if self.late.len() < plain && has_exception(&event) {
            self.late.push(event);
        }
    }

    /// The same lists without content, for another item.
    pub(super) fn emptied<'b>(self) -> KeptEvents<'b> {
        KeptEvents {
            events: emptied(self.events),
            plain: None,
            late: emptied(self.late),
            dropped: 0,
        }
    }

    /// How many were dropped, and those that are kept, in the order sent.
    pub(super) fn finish(&mut self) -> (u32, &[EventView<'a>]) {
        if !self.late.is_empty() {
            let plain = self.plain.unwrap_or_default();
            let mut room_for_plain = plain - self.late.len();
            self.events.retain(|event| {
                has_exception(event)
                    || room_for_plain > 0 && {
                        room_for_plain -= 1;
                        true
                    }
            });
            self.events.append(&mut self.late);
        }
        (self.dropped, &self.events)
    }
}

fn has_exception(event: &EventView<'_>) -> bool {
    event
        .attributes
        .iter()
        .any(|attribute| attribute.key.starts_with(b"exception."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::Attributes;

    fn event(time_unix_nano: u64, exception: bool) -> EventView<'static> {
        // attributes = 3 { key = 1 "exception.type" }
        const EXCEPTION: &[u8] = b"\x1a\x10\x0a\x0eexception.type";
        EventView {
            time_unix_nano,
            name: b"",
            attributes: if exception {
                Attributes::Protobuf {
                    bytes: EXCEPTION,
                    field: 3,
                }
            } else {
                Attributes::None
            },
            dropped_attributes_count: 0,
        }
    }

    fn kept(limit: usize, exceptions: &[bool]) -> (u32, Vec<u64>) {
        let mut kept = KeptEvents::default();
        for (time, exception) in (0..).zip(exceptions) {
            kept.push(limit, event(time, *exception));
        }
        let (dropped, events) = kept.finish();
        let times = events.iter().map(|event| event.time_unix_nano).collect();
        (dropped, times)
    }

    #[test]
    fn an_emptied_list_keeps_its_room() {
        let list: Vec<&[u8]> = vec![b"a", b"b", b"c"];
        let room = list.capacity();
        let list: Vec<&'static [u8]> = emptied(list);
        assert_eq!((list.len(), list.capacity()), (0, room));
    }

    #[test]
    fn the_first_events_are_kept() {
        assert_eq!(kept(3, &[false; 2]), (0, vec![0, 1]));
        assert_eq!(kept(3, &[false; 5]), (2, vec![0, 1, 2]));
        assert_eq!(kept(3, &[true; 5]), (2, vec![0, 1, 2]));
        assert_eq!(kept(0, &[true; 5]), (5, vec![]));
    }

    #[test]
    fn late_exceptions_take_the_place_of_other_events() {
        assert_eq!(
            kept(3, &[false, true, false, false, true]),
            (2, vec![0, 1, 4])
        );
        assert_eq!(
            kept(2, &[false, false, true, false, true, true]),
            (4, vec![2, 4])
        );
    }
}
