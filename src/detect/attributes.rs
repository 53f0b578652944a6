//! Which attributes of a span mean something to detection, by their old and new names. Each span's
//! attributes are classified once; for most spans that is all that happens to them.

use std::{borrow::Cow, sync::LazyLock};

use crate::otlp::{Attribute, SpanKind, Value};

use super::{
    Scrubbing,
    scrub::Scrubber,
    values::{self, Text},
};

/// What an attribute says, whatever its name is this year.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    HttpMethod,
    HttpStatus,
    HttpRoute,
    UrlTemplate,
    UrlPath,
    UrlFull,
    UserAgent,
    SyntheticAgent,
    ClientAddress,
    ServerAddress,
    RpcSystem,
    RpcService,
    RpcMethod,
    RpcStatus,
    MessagingSystem,
    MessagingOperation,
    DestinationTemplate,
    DestinationName,
    DestinationTemporary,
    DestinationAnonymous,
    FaasName,
    GraphqlOperation,
    DbSystem,
    DbStatus,
    DbCall,
    PeerService,
    GenAiProvider,
    GenAiCall,
    UserId,
    RequestId,
    ErrorType,
    ErrorSeverity,
    ErrorCategory,
    ExceptionType,
    ExceptionMessage,
    ExceptionStack,
    RunId,
    RunName,
    RunUser,
    RunAsset,
    RunMeshyTask,
    RunRiggingTask,
    RunProgress,
    RunResult,
    StageName,
    StageResult,
}

const SLOTS: usize = Slot::StageResult as usize + 1;

/// Of several names for one slot the one that stands first here wins.
#[rustfmt::skip]
const NAMES: &[(&str, Slot)] = &[
    ("http.request.method",                Slot::HttpMethod),
    ("http.method",                        Slot::HttpMethod),
    ("http.response.status_code",          Slot::HttpStatus),
    ("http.status_code",                   Slot::HttpStatus),
    ("http.route",                         Slot::HttpRoute),
    ("url.template",                       Slot::UrlTemplate),
    ("url.path",                           Slot::UrlPath),
    ("http.target",                        Slot::UrlPath),
    ("url.full",                           Slot::UrlFull),
    ("http.url",                           Slot::UrlFull),
    ("user_agent.original",                Slot::UserAgent),
    ("http.user_agent",                    Slot::UserAgent),
    ("user_agent.synthetic.type",          Slot::SyntheticAgent),
    ("client.address",                     Slot::ClientAddress),
    ("http.client_ip",                     Slot::ClientAddress),
    ("network.peer.address",               Slot::ClientAddress),
    ("net.sock.peer.addr",                 Slot::ClientAddress),
    ("net.peer.ip",                        Slot::ClientAddress),
    ("server.address",                     Slot::ServerAddress),
    ("net.peer.name",                      Slot::ServerAddress),
    ("net.sock.peer.name",                 Slot::ServerAddress),
    ("rpc.system.name",                    Slot::RpcSystem),
    ("rpc.system",                         Slot::RpcSystem),
    ("rpc.service",                        Slot::RpcService),
    ("rpc.method",                         Slot::RpcMethod),
    ("rpc.status_code",                    Slot::RpcStatus),
    ("rpc.response.status_code",           Slot::RpcStatus),
    ("rpc.grpc.status_code",               Slot::RpcStatus),
    ("rpc.connect_rpc.error_code",         Slot::RpcStatus),
    ("rpc.jsonrpc.error_code",             Slot::RpcStatus),
    ("messaging.system",                   Slot::MessagingSystem),
    ("messaging.operation.type",           Slot::MessagingOperation),
    ("messaging.operation",                Slot::MessagingOperation),
    ("messaging.operation.name",           Slot::MessagingOperation),
    ("messaging.destination.template",     Slot::DestinationTemplate),
    ("messaging.source.template",          Slot::DestinationTemplate),
    ("messaging.destination.name",         Slot::DestinationName),
    ("messaging.source.name",              Slot::DestinationName),
    ("messaging.destination",              Slot::DestinationName),
    ("messaging.destination.temporary",    Slot::DestinationTemporary),
    ("messaging.source.temporary",         Slot::DestinationTemporary),
    ("messaging.temp_destination",         Slot::DestinationTemporary),
    ("messaging.destination.anonymous",    Slot::DestinationAnonymous),
    ("messaging.source.anonymous",         Slot::DestinationAnonymous),
    ("faas.name",                          Slot::FaasName),
    ("graphql.operation.name",             Slot::GraphqlOperation),
    ("db.system.name",                     Slot::DbSystem),
    ("db.system",                          Slot::DbSystem),
    ("db.response.status_code",            Slot::DbStatus),
    ("db.cosmosdb.status_code",            Slot::DbStatus),
    ("db.namespace",                       Slot::DbCall),
    ("db.name",                            Slot::DbCall),
    ("db.redis.database_index",            Slot::DbCall),
    ("db.collection.name",                 Slot::DbCall),
    ("db.sql.table",                       Slot::DbCall),
    ("db.mongodb.collection",              Slot::DbCall),
    ("db.operation.name",                  Slot::DbCall),
    ("db.operation",                       Slot::DbCall),
    ("db.query.text",                      Slot::DbCall),
    ("db.statement",                       Slot::DbCall),
    ("db.query.summary",                   Slot::DbCall),
    ("db.stored_procedure.name",           Slot::DbCall),
    ("service.peer.name",                  Slot::PeerService),
    ("peer.service",                       Slot::PeerService),
    ("gen_ai.provider.name",               Slot::GenAiProvider),
    ("gen_ai.system",                      Slot::GenAiProvider),
    ("gen_ai.operation.name",              Slot::GenAiCall),
    ("gen_ai.request.model",               Slot::GenAiCall),
    ("user.id",                            Slot::UserId),
    ("enduser.id",                         Slot::UserId),
    ("enduser.pseudo.id",                  Slot::UserId),
    ("user.hash",                          Slot::UserId),
    ("http.request.header.x-request-id",   Slot::RequestId),
    ("http.request.header.x_request_id",   Slot::RequestId),
    ("request.id",                         Slot::RequestId),
    ("error.type",                         Slot::ErrorType),
    ("error.severity",                     Slot::ErrorSeverity),
    ("error.category",                     Slot::ErrorCategory),
    ("exception.type",                     Slot::ExceptionType),
    ("exception.message",                  Slot::ExceptionMessage),
    ("exception.stacktrace",               Slot::ExceptionStack),
    ("cicd.pipeline.run.id",               Slot::RunId),
    ("pipeline.id",                        Slot::RunId),
    ("cicd.pipeline.name",                 Slot::RunName),
    ("pipeline.name",                      Slot::RunName),
    ("pipeline.type",                      Slot::RunName),
    ("pipeline.user_id",                   Slot::RunUser),
    ("pipeline.asset_id",                  Slot::RunAsset),
    ("pipeline.meshy_task_id",             Slot::RunMeshyTask),
    ("pipeline.rigging_task_id",           Slot::RunRiggingTask),
    ("pipeline.progress",                  Slot::RunProgress),
    ("cicd.pipeline.result",               Slot::RunResult),
    ("cicd.pipeline.run.state",            Slot::RunResult),
    ("pipeline.status",                    Slot::RunResult),
    ("cicd.pipeline.task.name",            Slot::StageName),
    ("pipeline.stage",                     Slot::StageName),
    ("cicd.pipeline.task.run.result",      Slot::StageResult),
];

/// What the names of recorded request headers begin with.
pub(super) const REQUEST_HEADER: &str = "http.request.header.";

/// The slot of an attribute's name, and the name's place in [`NAMES`].
fn slot_of(key: &[u8]) -> Option<(Slot, u16)> {
    if key.len() < SHORTEST_NAME || key.len() > LONGEST_NAME {
        return None;
    }
    let mut bucket = bucket_of(key);
    loop {
        let index = BUCKETS[bucket].checked_sub(1)?;
        let (name, slot) = NAMES[usize::from(index)];
        if name.as_bytes() == key {
            return Some((slot, u16::from(index)));
        }
        bucket = (bucket + 1) % BUCKETS.len();
    }
}

const SHORTEST_NAME: usize = 7;
const LONGEST_NAME: usize = 34;

/// Index into [`NAMES`] plus one by [`bucket_of`]; 0 is an empty bucket, the next one follows a
/// full one.
static BUCKETS: [u8; 256] = {
    let mut buckets = [0; 256];
    let mut index = 0;
    while index < NAMES.len() {
        let name = NAMES[index].0.as_bytes();
        assert!(name.len() >= SHORTEST_NAME && name.len() <= LONGEST_NAME);
        let mut bucket = bucket_of(name);
        while buckets[bucket] != 0 {
            bucket = (bucket + 1) % buckets.len();
        }
        index += 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "there are fewer than 255 names"
        )]
        {
            buckets[bucket] = index as u8;
        }
    }
    buckets
};

/// A hash of the length and three bytes of a name that is not shorter than [`SHORTEST_NAME`].
const fn bucket_of(name: &[u8]) -> usize {
    let len = name.len();
    let sample = [name[len - 1], name[len - 4], name[len / 2]];
    (len * 13 + sample[0] as usize * 7 + sample[1] as usize * 31 + sample[2] as usize * 57) % 256
}

/// A span's attributes with those that mean something found.
pub(super) struct Attributes<'a> {
    all: &'a [Attribute<'a>],
    /// For each slot: rank of the name and place in `all`, plus one; 0 for none.
    found: [u32; SLOTS],
    /// There are recorded request headers.
    pub has_headers: bool,
}

impl<'a> Attributes<'a> {
    pub fn new(all: &'a [Attribute<'a>]) -> Self {
        let mut found = [0; SLOTS];
        let mut has_headers = false;
        for (place, attribute) in (1..=u32::from(u16::MAX)).zip(all) {
            if attribute.key.starts_with(REQUEST_HEADER.as_bytes()) {
                has_headers = true;
            }
            let Some((slot, rank)) = slot_of(attribute.key) else {
                continue;
            };
            if matches!(attribute.value, Value::Empty | Value::Str(b"")) {
                continue;
            }
            let entry = u32::from(rank) << 16 | place;
            let kept = &mut found[slot as usize];
            if *kept == 0 || *kept >> 16 > u32::from(rank) {
                *kept = entry;
            }
        }
        Self {
            all,
            found,
            has_headers,
        }
    }

    /// All of them, in the order sent.
    pub fn all(&self) -> &'a [Attribute<'a>] {
        self.all
    }

    /// Whether an attribute says this, with any value but an empty one.
    pub fn has(&self, slot: Slot) -> bool {
        self.found[slot as usize] != 0
    }

    pub fn get(&self, slot: Slot) -> Option<Value<'a>> {
        let place = self.found[slot as usize] & 0xffff;
        Some(self.all[place.checked_sub(1)? as usize].value)
    }

    /// The value as text, whatever its type.
    pub fn text(&self, slot: Slot) -> Option<Cow<'a, str>> {
        let text = values::text(self.get(slot)?);
        (!text.is_empty()).then_some(text)
    }

    /// The value as a whole number, whatever its type.
    pub fn int(&self, slot: Slot) -> Option<i64> {
        values::int(self.get(slot)?)
    }

    /// Whether it is about a remote procedure call.
    pub fn is_rpc(&self) -> bool {
        [
            Slot::RpcSystem,
            Slot::RpcService,
            Slot::RpcMethod,
            Slot::RpcStatus,
        ]
        .into_iter()
        .any(|slot| self.has(slot))
    }

    /// Whether it is about a call in JSON-RPC, which has codes of its own, and methods like
    /// `tools/call` that name no service.
    pub fn is_json_rpc(&self) -> bool {
        self.text(Slot::RpcSystem)
            .is_some_and(|system| system == "jsonrpc")
    }

    /// Whether it is about a call to a database, when the span is of this kind: a request that
    /// notes what it asked a database is none.
    pub fn is_database(&self, kind: SpanKind) -> bool {
        !matches!(kind, SpanKind::Server | SpanKind::Consumer)
            && [Slot::DbSystem, Slot::DbStatus, Slot::DbCall]
                .into_iter()
                .any(|slot| self.has(slot))
    }

    /// Whether it is about a call to a model.
    pub fn is_gen_ai(&self) -> bool {
        self.has(Slot::GenAiProvider) || self.has(Slot::GenAiCall)
    }

    /// Whether the value is true.
    pub fn is_true(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|value| match value {
            Value::Bool(value) => value,
            Value::Str(text) => text.eq_ignore_ascii_case(b"true"),
            _ => false,
        })
    }
}

/// The slot that a name belongs to.
pub(super) fn slot(key: &[u8]) -> Option<Slot> {
    slot_of(key).map(|(slot, _)| slot)
}

/// Names that are labels of metrics and keys of traces are scrubbed by the same rules everywhere.
static BUILT_IN: LazyLock<Scrubbing> = LazyLock::new(Scrubbing::default);

/// What a resource says of itself, without secrets.
#[derive(Default)]
pub(super) struct ServiceFacts {
    pub service_name: String,
    pub service_version: Option<String>,
    pub environment: String,
    /// `service.instance.id`.
    pub instance_id: Option<String>,
}

impl ServiceFacts {
    pub fn new(attributes: &[Attribute<'_>]) -> Self {
        let (mut name, mut namespace, mut version) = (None, None, None);
        let (mut environment, mut old_environment, mut instance_id) = (None, None, None);
        for attribute in attributes {
            let kept = match attribute.key {
                b"service.name" => &mut name,
                b"service.namespace" => &mut namespace,
                b"service.version" => &mut version,
                b"deployment.environment.name" => &mut environment,
                b"deployment.environment" => &mut old_environment,
                b"service.instance.id" => &mut instance_id,
                _ => continue,
            };
            let text = values::text(attribute.value);
            if kept.is_none() && !text.trim().is_empty() {
                *kept = Some(text);
            }
        }
        let name = name.as_deref().unwrap_or("unknown_service").trim();
        let mut scrubber = Scrubber::new(&BUILT_IN);
        let mut clean =
            |text: &str, max| Text::chars(&scrubber.text(text.trim()), max).into_string();
        let service_name = match namespace {
            Some(namespace) => format!("{}/{name}", namespace.trim()),
            None => name.to_owned(),
        };
        Self {
            service_name: clean(&service_name, 255),
            service_version: version.map(|text| clean(&text, 100)),
            environment: environment
                .or(old_environment)
                .map(|text| clean(&text, 100))
                .unwrap_or_default(),
            instance_id: instance_id.map(std::borrow::Cow::into_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute<'a>(key: &'a str, value: &'a str) -> Attribute<'a> {
        Attribute {
            key: key.as_bytes(),
            value: Value::Str(value.as_bytes()),
        }
    }

    #[test]
    fn every_name_is_found_and_others_are_not() {
        for (name, slot) in NAMES {
            assert_eq!(slot_of(name.as_bytes()).map(|found| found.0), Some(*slot));
            assert_eq!(slot_of(format!("{name}s").as_bytes()), None);
            assert_eq!(slot_of(&name.as_bytes()[1..]), None);
        }
        assert_eq!(slot_of(b""), None);
    }

    #[test]
    fn the_new_name_wins_wherever_it_stands_and_an_empty_value_says_nothing() {
        for attributes in [
            [
                attribute("http.method", "OLD"),
                attribute("http.request.method", "NEW"),
            ],
            [
                attribute("http.request.method", "NEW"),
                attribute("http.method", "OLD"),
            ],
        ] {
            let found = Attributes::new(&attributes);
            assert_eq!(found.text(Slot::HttpMethod).as_deref(), Some("NEW"));
        }
        let attributes = [attribute("user.id", ""), attribute("enduser.id", "7")];
        let found = Attributes::new(&attributes);
        assert_eq!(found.text(Slot::UserId).as_deref(), Some("7"));
        assert!(!found.has(Slot::HttpMethod));
    }

    #[test]
    fn numbers_are_read_from_any_type() {
        for value in [
            Value::Int(503),
            Value::Str(b"503"),
            Value::Str(b" 503 "),
            Value::Double(503.0),
        ] {
            let attributes = [Attribute {
                key: b"http.status_code",
                value,
            }];
            assert_eq!(
                Attributes::new(&attributes).int(Slot::HttpStatus),
                Some(503)
            );
        }
    }

    #[test]
    fn a_service_is_named_with_its_namespace_and_never_without_a_name() {
        let none = ServiceFacts::new(&[]);
        assert_eq!(none.service_name, "unknown_service");
        assert_eq!(none.environment, "");
        let attributes = [
            attribute("service.name", "cart"),
            attribute("deployment.environment", "old"),
            attribute("service.namespace", "shop"),
            attribute("deployment.environment.name", "production"),
            attribute("service.version", "1.2.3"),
        ];
        let facts = ServiceFacts::new(&attributes);
        assert_eq!(facts.service_name, "shop/cart");
        assert_eq!(facts.environment, "production");
        assert_eq!(facts.service_version.as_deref(), Some("1.2.3"));
    }
}
