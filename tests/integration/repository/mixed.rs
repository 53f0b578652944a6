//! Any mix of telemetry, application code, operators, imports, jobs and repairs, in the library and
//! over HTTP: every count adds up after each step, and both databases answer the same and end with
//! the same rows.

mod api;
mod imports;
mod runs;

use std::{collections::BTreeMap, sync::Mutex};

use proptest::{collection::vec, prelude::*, sample::Index};
use prost::Message;
use redspan::{
    commit::{OpenTraceSet, Outcome, Work},
    detect::{DetectSettings, Detector},
    domain::{
        Aggregation, ApiError, Dimensions, ErrorGroup, Fingerprint, PipelineWithStages, Timestamp,
    },
    jobs::Deleted,
    otlp::{self, Encoding, Limits, Records},
    store::{
        AggregationFilter, ErrorFilter, GroupFilter, NewApiError, PageRequest, UnlinkedErrors,
    },
};

use super::{World, new_error, retention};
use crate::{
    cases,
    databases::{Database, each_kind},
    generate::{RECEIVED_AT_MICROS, Scenario, scenario},
};
use api::{Api, ApiStep};
use imports::Import;
use runs::RunStep;

/// One case is some hundred transactions on two databases, so there are fewer than of others.
const CASES: u32 = 12;

#[derive(Clone, Debug)]
enum Step {
    /// The next request of the scenario.
    Deliver,
    /// Application code logs errors: user, kind, minutes ago.
    Log(Vec<(u8, u8, u16)>),
    /// The same once more.
    LogAgain(Index),
    Unlinked(u8),
    Resolve(Index),
    ResolveAll(u8),
    Reopen(Index),
    Hide(Index),
    Show(Index),
    ResolveGroup(Index),
    IgnoreGroup(Index),
    ReopenGroup(Index),
    Purge {
        minutes: u16,
        all: bool,
    },
    Forget(Index),
    Rebuild,
    Retain,
    Run(RunStep),
    Api(ApiStep),
    Import(Import),
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let error = (0..4_u8, 0..3_u8, 0..200_u16);
    prop_oneof![
        8 => Just(Step::Deliver),
        4 => vec(error, 1..5).prop_map(Step::Log),
        1 => index().prop_map(Step::LogAgain),
        1 => (0..3_u8).prop_map(Step::Unlinked),
        2 => index().prop_map(Step::Resolve),
        1 => (0..4_u8).prop_map(Step::ResolveAll),
        1 => index().prop_map(Step::Reopen),
        1 => index().prop_map(Step::Hide),
        1 => index().prop_map(Step::Show),
        1 => index().prop_map(Step::ResolveGroup),
        1 => index().prop_map(Step::IgnoreGroup),
        1 => index().prop_map(Step::ReopenGroup),
        3 => (0..200_u16, any::<bool>()).prop_map(|(minutes, all)| Step::Purge { minutes, all }),
        2 => index().prop_map(Step::Forget),
        1 => Just(Step::Rebuild),
        1 => Just(Step::Retain),
        6 => runs::step().prop_map(Step::Run),
        5 => api::step().prop_map(Step::Api),
        2 => imports::step().prop_map(Step::Import),
    ]
}

#[test]
fn any_mix_of_changes_leaves_every_count_right_and_both_databases_the_same() {
    let kept = Mutex::new(BTreeMap::new());
    cases::check(
        CASES,
        &(scenario(), vec(step(), 1..30)),
        |(scenario, steps)| {
            let ends = Mutex::new(Vec::new());
            each_kind(|kind| {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .unwrap();
                imports::begin();
                // Migrations take longer than a case. A case that fails leaves no database behind.
                let database = kept.lock().unwrap().remove(&kind);
                let database = database.unwrap_or_else(|| Database::new(kind));
                let (end, database) = runtime.block_on(run(database, &scenario, &steps));
                kept.lock().unwrap().insert(kind, database);
                ends.lock().unwrap().push(end);
            });
            let ends = ends.into_inner().unwrap();
            prop_assert_eq!(&ends[0], &ends[1]);
            Ok(())
        },
    );
}

/// What is stored in the end, without what the clock says.
#[derive(Debug, PartialEq)]
struct End {
    errors: Vec<ApiError>,
    hours: Vec<Aggregation>,
    groups: Vec<ErrorGroup>,
    runs: Vec<PipelineWithStages>,
    /// service, endpoint, method, requests, errors
    requests: Vec<String>,
    users: Vec<String>,
    /// actor, action, entity, its id
    audit: Vec<String>,
    /// What became of the steps, where that can differ.
    answers: Vec<String>,
}

const fn base() -> Timestamp {
    Timestamp::from_micros(RECEIVED_AT_MICROS)
}

fn minutes_ago(minutes: u16) -> Timestamp {
    base().plus_seconds(-60 * i64::from(minutes))
}

/// Plays the steps on the database, and empties it.
async fn run(database: Database, scenario: &Scenario, steps: &[Step]) -> (End, Database) {
    let world = World::new(database).await;
    let mut played = Played {
        api: Api::of(&world),
        world,
        open: OpenTraceSet::default(),
        delivered: 0,
        logged: Vec::new(),
        answers: Vec::new(),
    };
    for step in steps {
        played.play(scenario, step).await;
        let found = played.world.errors.verify_aggregations(None, None, base());
        assert_eq!(found.await.unwrap().mismatches, [], "after {step:?}");
    }
    let end = played.end().await;
    drop(played.api);
    played.world.empty().await;
    (end, played.world.end().await)
}

struct Played {
    world: World,
    api: Api,
    open: OpenTraceSet,
    delivered: usize,
    logged: Vec<NewApiError>,
    answers: Vec<String>,
}

impl Played {
    async fn play(&mut self, scenario: &Scenario, step: &Step) {
        let errors = &self.world.errors;
        match step {
            Step::Deliver => self.deliver(scenario).await,
            Step::Log(new) => {
                let made = (0..).zip(new).map(|(at, (user, kind, minutes))| {
                    // The same in both databases.
                    let number = self.logged.len() as u128 + at;
                    let id = uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid();
                    NewApiError {
                        id: Some(id),
                        user_id: (*user > 0).then(|| format!("user {user}")),
                        fingerprint: Some(Fingerprint(format!("kind {kind}"))),
                        created_at: Some(minutes_ago(*minutes)),
                        ..new_error()
                    }
                });
                let made: Vec<NewApiError> = made.collect();
                self.logged.extend(made.iter().cloned());
                errors.log_errors(made, base()).await.unwrap();
            }
            Step::LogAgain(index) => {
                if !self.logged.is_empty() {
                    let again = index.get(&self.logged).clone();
                    let logged = errors.log_error(again, base()).await.unwrap();
                    assert!(!logged.is_new, "counted a second time: {:?}", logged.error);
                }
            }
            Step::Unlinked(kind) => errors.upsert_aggregation(unlinked(*kind)).await.unwrap(),
            Step::ResolveAll(user) => {
                let filter = ErrorFilter {
                    user_id: Some(format!("user {user}")),
                    ..ErrorFilter::default()
                };
                errors.resolve_errors(&filter, "ada", None).await.unwrap();
            }
            Step::Purge { minutes, all } => {
                errors
                    .delete_old_errors(minutes_ago(*minutes), *all)
                    .await
                    .unwrap();
            }
            Step::Rebuild => {
                errors.rebuild_aggregations(None, None).await.unwrap();
            }
            Step::Retain => {
                let mut job = self.world.retention(retention::settings());
                let _: Deleted = job.run(base()).await.unwrap();
            }
            Step::Run(step) => {
                let answer = self.run(step).await;
                self.answers.push(answer);
            }
            Step::Api(step) => {
                let answer = self.ask(step).await;
                self.answers.push(answer.to_string());
            }
            Step::Import(step) => {
                let balance = self.import(step).await;
                self.answers.push(format!("{balance:?}"));
            }
            Step::Forget(index) => {
                let of_rows = self.rows().await.into_iter().map(|row| row.user_id);
                let of_runs = self.runs().await.into_iter().map(|run| run.user_id);
                let users: Vec<String> = of_rows.chain(of_runs).flatten().collect();
                if !users.is_empty() {
                    errors
                        .forget_user(&users[index.index(users.len())])
                        .await
                        .unwrap();
                }
            }
            Step::ResolveGroup(_) | Step::IgnoreGroup(_) | Step::ReopenGroup(_) => {
                self.change_group(step).await;
            }
            Step::Resolve(_) | Step::Reopen(_) | Step::Hide(_) | Step::Show(_) => {
                self.change_error(step).await;
            }
        }
    }

    async fn change_error(&self, step: &Step) {
        let rows = self.rows().await;
        if rows.is_empty() {
            return;
        }
        let errors = &self.world.errors;
        let changed = match step {
            Step::Resolve(index) => {
                errors
                    .resolve_error(index.get(&rows).id, "ada", Some("done"))
                    .await
            }
            Step::Reopen(index) => errors.reopen_error(index.get(&rows).id).await,
            Step::Hide(index) => errors.delete_error(index.get(&rows).id).await,
            Step::Show(index) => errors.restore_error(index.get(&rows).id).await,
            _ => return,
        };
        assert!(changed.unwrap().is_some());
    }

    async fn change_group(&self, step: &Step) {
        let groups = self.groups().await;
        if groups.is_empty() {
            return;
        }
        let errors = &self.world.errors;
        let changed = match step {
            Step::ResolveGroup(index) => {
                let group = index.get(&groups);
                errors
                    .resolve_group(&group.fingerprint, "ada", None, None)
                    .await
            }
            Step::IgnoreGroup(index) => errors.ignore_group(&index.get(&groups).fingerprint).await,
            Step::ReopenGroup(index) => errors.reopen_group(&index.get(&groups).fingerprint).await,
            _ => return,
        };
        assert!(changed.unwrap().is_some());
    }

    async fn deliver(&mut self, scenario: &Scenario) {
        let Some(delivery) = scenario.deliveries.get(self.delivered) else {
            return;
        };
        self.delivered += 1;
        let logs = scenario
            .logs(delivery)
            .map(|request| request.encode_to_vec());
        let spans = scenario
            .spans(delivery)
            .map(|request| request.encode_to_vec());
        for (records, body) in [(Records::Logs, logs), (Records::Spans, spans)] {
            let Some(body) = body else { continue };
            let settings = DetectSettings::default();
            let open = self.open.read();
            let mut detector = match records {
                Records::Spans => Detector::new(&settings, base(), &open),
                Records::Logs => Detector::of_logs(&settings, base(), &open, &body),
            };
            otlp::walk(
                records,
                &body,
                Encoding::Protobuf,
                &Limits::default(),
                &mut detector,
            )
            .unwrap();
            let findings = detector.finish().unwrap();
            drop(open);
            self.open
                .open(findings.traces.iter().map(|trace| trace.key), base());
            let outcome = self.world.queue.submit(Work::Telemetry(findings)).unwrap();
            assert!(matches!(outcome.await.unwrap(), Outcome::Committed(_)));
        }
    }

    async fn rows(&self) -> Vec<ApiError> {
        let everything = ErrorFilter {
            include_deleted: true,
            ..ErrorFilter::default()
        };
        self.world.all(&everything).await
    }

    async fn groups(&self) -> Vec<ErrorGroup> {
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let all = GroupFilter::default();
        let groups = self.world.errors.get_groups(&all, &page);
        groups.await.unwrap().items
    }

    async fn end(&self) -> End {
        let (mut errors, mut groups) = (self.rows().await, self.groups().await);
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let all = AggregationFilter::default();
        let hours = self.world.errors.get_aggregations(&all, &page);
        let mut hours = hours.await.unwrap().items;
        for error in &mut errors {
            error.received_at = base();
            error.resolved_at = error.resolved_at.map(|_| base());
            error.deleted_at = error.deleted_at.map(|_| base());
        }
        for hour in &mut hours {
            hour.updated_at = base();
        }
        for group in &mut groups {
            group.resolved_at = group.resolved_at.map(|_| base());
        }
        let runs = self.timeless_runs().await;
        let requests = self.world.rows(REQUESTS).await;
        let users = self.world.rows("SELECT id FROM users").await;
        let audit = self.world.rows(AUDIT).await;
        errors.sort_by_key(|error| error.id);
        hours.sort_by_key(|hour| hour.id);
        groups.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
        End {
            errors,
            hours,
            groups,
            runs,
            requests: sorted(requests),
            users: sorted(users),
            audit,
            answers: self.answers.clone(),
        }
    }
}

/// By bytes, as no database does by itself.
fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort_unstable();
    rows
}

const REQUESTS: &str = "SELECT service_name || ' ' || endpoint || ' ' || method || ' ' || \
    CAST(requests AS TEXT) || ' ' || CAST(errors AS TEXT) FROM request_totals";

/// An import is called by a name of its own each time.
const AUDIT: &str = "SELECT actor || ' ' || action || ' ' || entity || ' ' || \
    CASE entity WHEN 'import' THEN '' ELSE entity_id END FROM audit_log ORDER BY id";

/// Counts without rows, in an hour that logged errors have too.
fn unlinked(kind: u8) -> UnlinkedErrors {
    let error = new_error();
    let dimensions = Dimensions {
        service_name: "unknown_service".to_owned(),
        environment: String::new(),
        endpoint: error.endpoint,
        method: error.method,
        severity: redspan::domain::Severity::Error,
        category: redspan::domain::Category::Unknown,
        external_service: None,
        status_code: None,
    };
    let at = minutes_ago(u16::from(kind) * 60);
    UnlinkedErrors {
        dimensions,
        errors: 1 + i64::from(kind),
        first_occurrence: at,
        last_occurrence: at,
    }
}
