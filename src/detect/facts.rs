//! What a span says of the request it belongs to: endpoint, status, user, address, agent, headers.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{
    domain::{EntryFacts, JsonObject},
    otlp::{SpanKind, SpanView, Value},
};

use super::{
    KeepAddress, Privacy,
    attributes::{Attributes, REQUEST_HEADER, Slot},
    codes::Codes,
    endpoint::{is_probe_agent, is_probe_endpoint},
    scrub::Scrubber,
    values::{MAX_KEY_BYTES, Text, json, lossy, text},
};

/// Columns' limits, in characters.
pub(super) const MAX_ENDPOINT: usize = 512;
pub(super) const MAX_METHOD: usize = 10;
const MAX_USER_ID: usize = 255;
const MAX_REQUEST_ID: usize = 255;
const MAX_USER_AGENT: usize = 512;

/// Texts of headers that are kept, in all.
const MAX_HEADERS_BYTES: usize = 4 * 1024;

/// The notes of a request with more texts than this get no more headers: as JSON they can be longer
/// than what was sent.
const MAX_BOOK_BYTES: usize = 24 * 1024 * 1024;

/// What a span says of its request, kept until it is known whether anybody asks. The texts are in
/// a [`NoteBook`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Note {
    status_code: Option<i32>,
    user_id: Span,
    request_id: Span,
    address: Span,
    agent: Span,
    is_synthetic: bool,
    /// A JSON object, with all secrets in it.
    headers: Span,
    lacks_headers: bool,
}

/// A place in a [`NoteBook`].
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// The texts of notes, one behind the other, as they were sent: most are never read.
#[derive(Default)]
pub(super) struct NoteBook(Vec<u8>);

impl NoteBook {
    /// Takes down what the span says.
    pub fn note(
        &mut self,
        span: &SpanView<'_>,
        attributes: &Attributes<'_>,
        codes: Codes<'_>,
        privacy: Privacy,
    ) -> Note {
        let is_request = matches!(span.kind, SpanKind::Server | SpanKind::Consumer);
        let has_headers = attributes.has_headers && privacy.request_headers;
        let lacks_headers = has_headers && self.0.len() > MAX_BOOK_BYTES;
        let headers = if has_headers && !lacks_headers {
            self.keep_headers(attributes)
        } else {
            Span::default()
        };
        let mut keep = |slot, max| self.keep(attributes, slot, max);
        Note {
            status_code: is_request.then(|| codes.status()).flatten(),
            user_id: keep(Slot::UserId, MAX_USER_ID),
            request_id: keep(Slot::RequestId, MAX_REQUEST_ID),
            // The other side of a CLIENT span is a server.
            address: if is_request {
                keep(Slot::ClientAddress, MAX_USER_ID)
            } else {
                Span::default()
            },
            // The agent of a call is this service itself.
            agent: if matches!(span.kind, SpanKind::Client | SpanKind::Producer) {
                Span::default()
            } else {
                keep(Slot::UserAgent, MAX_USER_AGENT)
            },
            is_synthetic: attributes.has(Slot::SyntheticAgent),
            headers,
            lacks_headers,
        }
    }

    /// Takes the note, and its texts out of the book again when they have been read.
    pub fn with_note<T>(
        &mut self,
        note: impl FnOnce(&mut Self) -> Note,
        read: impl FnOnce(&Self, &Note) -> T,
    ) -> T {
        let before = self.0.len();
        let note = note(self);
        let read = read(self, &note);
        self.0.truncate(before);
        read
    }

    fn keep(&mut self, attributes: &Attributes<'_>, slot: Slot, max_chars: usize) -> Span {
        match attributes.get(slot) {
            None => Span::default(),
            Some(Value::Str(bytes)) => self.push(bytes, max_chars),
            Some(value) => self.push(text(value).as_bytes(), max_chars),
        }
    }

    /// Adds enough of a text to cut it to so many characters and still to see that it was longer.
    fn push(&mut self, text: &[u8], max_chars: usize) -> Span {
        let text = &text[..text.len().min(4 * (max_chars + 1))];
        let start = self.0.len();
        self.0.extend_from_slice(text);
        self.since(start)
    }

    /// What was added since the book had this length.
    fn since(&self, start: usize) -> Span {
        let (Ok(start), Ok(len)) = (
            u32::try_from(start),
            u32::try_from(self.0.len().saturating_sub(start)),
        ) else {
            return Span::default();
        };
        Span { start, len }
    }

    /// Adds the headers, cut to what is kept. Nothing is allocated for texts, which most are.
    fn keep_headers(&mut self, attributes: &Attributes<'_>) -> Span {
        let start = self.0.len();
        let mut left = MAX_HEADERS_BYTES;
        for attribute in attributes.all() {
            let Some(name) = attribute.key.strip_prefix(REQUEST_HEADER.as_bytes()) else {
                continue;
            };
            let name = lossy(name);
            let name = Text::bytes(&name, MAX_KEY_BYTES).text;
            if left <= name.len() {
                break;
            }
            left -= name.len();
            let separator = if self.0.len() == start { b'{' } else { b',' };
            self.0.push(separator);
            self.write(name);
            self.0.push(b':');
            match only(attribute.value) {
                Value::Str(value) => {
                    let value = lossy(value);
                    let kept = Text::bytes(&value, left);
                    left = if kept.cut { 0 } else { left - kept.text.len() };
                    self.write(kept.text);
                }
                value => {
                    let value = json(value, &mut left);
                    self.write(&value);
                }
            }
        }
        if self.0.len() > start {
            self.0.push(b'}');
        }
        self.since(start)
    }

    fn write(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.0, value).expect("memory takes what is written");
    }

    fn text(&self, span: Span) -> Cow<'_, str> {
        lossy(self.bytes(span))
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.0[span.start as usize..][..span.len as usize]
    }

    /// The facts that were noted. `truncated` takes the names of columns that had to be cut.
    pub fn facts(
        &self,
        endpoint: &str,
        method: &str,
        note: &Note,
        privacy: Privacy,
        truncated: &mut Vec<&'static str>,
        scrubber: &mut Scrubber<'_>,
    ) -> EntryFacts {
        let mut cut = |column, text: &str, max| {
            let clean = scrubber.text(text.trim());
            let kept = Text::chars(&clean, max);
            if kept.cut {
                truncated.push(column);
            }
            (!kept.text.is_empty()).then(|| kept.into_string())
        };
        let agent = self.text(note.agent);
        let facts = EntryFacts {
            endpoint: cut("endpoint", endpoint, MAX_ENDPOINT).unwrap_or_default(),
            method: cut("method", method, MAX_METHOD).unwrap_or_default(),
            status_code: note.status_code,
            user_id: privacy
                .user_id
                .then(|| cut("user_id", &self.text(note.user_id), MAX_USER_ID))
                .flatten(),
            request_id: cut("request_id", &self.text(note.request_id), MAX_REQUEST_ID),
            ip_address: address(self.text(note.address).trim(), privacy.client_address),
            user_agent: privacy
                .user_agent
                .then(|| cut("user_agent", &agent, MAX_USER_AGENT))
                .flatten(),
            request_headers: None,
            probe: note.is_synthetic || is_probe_endpoint(endpoint) || is_probe_agent(&agent),
        };
        let facts = EntryFacts {
            request_headers: self.headers(note, scrubber),
            ..facts
        };
        if note.lacks_headers {
            truncated.push("request_headers");
        }
        facts
    }

    /// The headers that were noted, without secrets.
    fn headers(&self, note: &Note, scrubber: &mut Scrubber<'_>) -> Option<JsonObject> {
        let text = self.bytes(note.headers);
        let mut headers: Map<String, Json> = serde_json::from_slice(text).ok()?;
        scrubber.object(&mut headers);
        Some(JsonObject::from(&headers))
    }
}

/// A header is a list with one value, as a rule.
fn only(value: Value<'_>) -> Value<'_> {
    if let Value::Array(_) = value {
        let mut items = value.items();
        if let (Some(only), None) = (items.next(), items.next()) {
            return only;
        }
    }
    value
}

/// A client's address as far as it is kept; `None` when it is no address.
fn address(text: &str, keep: KeepAddress) -> Option<String> {
    let address = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()?
        .to_canonical();
    match (keep, address) {
        (KeepAddress::Drop, _) => None,
        (KeepAddress::Whole, address) => Some(address.to_string()),
        (KeepAddress::Cut, IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            Some(Ipv4Addr::new(a, b, c, 0).to_string())
        }
        (KeepAddress::Cut, IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{detect::Scrubbing, otlp::Attribute};

    #[test]
    fn addresses_are_cut_to_their_network() {
        for (text, cut) in [
            ("203.0.113.77", Some("203.0.113.0")),
            ("203.0.113.77:5555", Some("203.0.113.0")),
            ("::ffff:203.0.113.77", Some("203.0.113.0")),
            ("2001:db8:aaaa:bbbb::1", Some("2001:db8:aaaa::")),
            ("/tmp/my.sock", None),
            ("", None),
        ] {
            assert_eq!(address(text, KeepAddress::Cut).as_deref(), cut, "{text}");
        }
        let whole = address("203.0.113.77", KeepAddress::Whole);
        assert_eq!(whole.as_deref(), Some("203.0.113.77"));
        assert_eq!(address("203.0.113.77", KeepAddress::Drop), None);
    }

    fn facts(kind: SpanKind, attributes: &[(&str, Value<'_>)], privacy: Privacy) -> EntryFacts {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(key, value)| Attribute {
                key: key.as_bytes(),
                value: *value,
            })
            .collect();
        let attributes = Attributes::new(&attributes);
        let span = SpanView {
            kind,
            ..SpanView::default()
        };
        let mut book = NoteBook::default();
        let note = book.note(&span, &attributes, Codes::new(&attributes), privacy);
        let scrubbing = Scrubbing::default();
        let mut scrubber = Scrubber::new(&scrubbing);
        book.facts("/a", "GET", &note, privacy, &mut Vec::new(), &mut scrubber)
    }

    #[test]
    fn headers_are_kept_up_to_a_number_of_bytes_and_for_so_many_spans() {
        let name = |name: &str| format!("{REQUEST_HEADER}{name}");
        let (long, quoted, late) = (name("long"), name("quoted"), name("late"));
        let text = "ä".repeat(MAX_HEADERS_BYTES);
        let attributes = [
            (&quoted, Value::Str(b"\"\\\0")),
            (&long, Value::Str(text.as_bytes())),
            (&late, Value::Int(1)),
        ]
        .map(|(key, value)| Attribute {
            key: key.as_bytes(),
            value,
        });
        let attributes = Attributes::new(&attributes);
        let (span, privacy) = (SpanView::default(), Privacy::default());
        let mut book = NoteBook::default();
        let facts = |book: &mut NoteBook| {
            let note = book.note(&span, &attributes, Codes::new(&attributes), privacy);
            let scrubbing = Scrubbing::default();
            let (mut truncated, mut scrubber) = (Vec::new(), Scrubber::new(&scrubbing));
            let facts = book.facts("", "", &note, privacy, &mut truncated, &mut scrubber);
            (facts.request_headers, truncated)
        };
        let (headers, truncated) = facts(&mut book);
        let headers = headers.expect("there are headers").to_map();
        assert_eq!(headers["quoted"], "\"\\\u{fffd}");
        let kept = headers["long"].as_str().map(str::len);
        assert!(kept.is_some_and(|kept| (4_050..4_096).contains(&kept)));
        assert_eq!((headers.len(), truncated.len()), (2, 0));

        book.0.resize(MAX_BOOK_BYTES + 1, b' ');
        assert_eq!(facts(&mut book), (None, vec!["request_headers"]));
        assert_eq!(book.0.len(), MAX_BOOK_BYTES + 1);
    }

    #[test]
    fn facts_are_what_the_span_says_scrubbed_and_cut() {
        let attributes = [
            ("http.response.status_code", Value::Int(503)),
            ("enduser.id", Value::Int(42)),
            ("http.request.header.x-request-id", Value::Str(b"r-1")),
            (
                "http.request.header.authorization",
                Value::Str(b"Basic abc"),
            ),
            ("client.address", Value::Str(b"203.0.113.77")),
            ("user_agent.original", Value::Str(b"kube-probe/1.31")),
        ];
        let found = facts(SpanKind::Server, &attributes, Privacy::default());
        assert_eq!(found.status_code, Some(503));
        assert_eq!(found.user_id.as_deref(), Some("42"));
        assert_eq!(found.request_id.as_deref(), Some("r-1"));
        assert_eq!(found.ip_address.as_deref(), Some("203.0.113.0"));
        assert_eq!(found.user_agent.as_deref(), Some("kube-probe/1.31"));
        assert!(found.probe);
        let headers = found.request_headers.expect("there are headers").to_map();
        assert_eq!(headers["authorization"], "[scrubbed]");
        assert_eq!(headers["x-request-id"], "r-1");

        let client = facts(SpanKind::Client, &attributes, Privacy::default());
        assert_eq!(client.status_code, None);
        assert_eq!(client.ip_address, None);
        assert_eq!(client.user_agent, None);

        let nothing = Privacy {
            client_address: KeepAddress::Drop,
            user_id: false,
            user_agent: false,
            request_headers: false,
        };
        let found = facts(SpanKind::Server, &attributes, nothing);
        assert_eq!(found.user_id, None);
        assert_eq!(found.ip_address, None);
        assert_eq!(found.user_agent, None);
        assert_eq!(found.request_headers, None);
        assert!(
            found.probe,
            "a probe is one even when its agent is not kept"
        );
    }
}
