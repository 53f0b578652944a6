//! Failures stored a second by the whole transaction (ledger, trace, row, hour, group, totals)
//! against a bare loop of bulk inserts into `api_errors` alone, written for nothing else
//! (`bare/mod.rs`): same schema, same pragmas, groups of the same size. Both take turns in one run on tables that fill alike; figures are
//! medians of seven rounds. On SQLite; on PostgreSQL too when `REDSPAN_BENCH_POSTGRES` names a
//! database that may be filled.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bare::{Bare, Row};
use numbered::Payload;
use payload::{SPANS, median};
use redspan::{
    clock,
    commit::{
        CommitQueue, OpenTraceSet, Outcome, Work, Writer, WriterParts, WriterSettings,
        plan::{HourlyLabelSets, UserHasher},
    },
    detect::{DetectSettings, Detector, Findings},
    domain::{ApiError, NameHasher},
    metrics::Metrics,
    otlp::{Encoding, Limits, Records, walk},
    store::{self, DatabaseSettings, ErrorFilter, PageRequest, SharedStore},
};

mod bare;
#[path = "payload/numbered.rs"]
mod numbered;
mod payload;

const ROUNDS: u32 = 7;
const REQUESTS: u32 = 20;
/// Rows that are there before the first round.
const BEFORE: u32 = 40;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
    println!(
        "fdatasync: {:.2} ms, median",
        fdatasync(folder.path()) * 1e3
    );
    compare(
        "SQLite",
        &settings(file("whole"), "redspan"),
        &settings(file("bare"), "redspan"),
    )
    .await;
    match std::env::var("REDSPAN_BENCH_POSTGRES") {
        Ok(url) => {
            compare(
                "PostgreSQL",
                &settings(url.clone(), "bench_whole"),
                &settings(url, "bench_bare"),
            )
            .await;
        }
        Err(_) => println!("skipped: PostgreSQL (set REDSPAN_BENCH_POSTGRES)"),
    }
}

fn settings(url: String, schema: &str) -> DatabaseSettings {
    DatabaseSettings {
        url,
        schema: schema.to_owned(),
        ..DatabaseSettings::default()
    }
}

async fn compare(title: &str, whole: &DatabaseSettings, bare: &DatabaseSettings) {
    let whole = Whole::open(whole).await;
    whole.round(0, BEFORE).await;
    let mut bare = Loop::open(bare, &whole.rows().await).await;
    bare.round(0, BEFORE).await;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let first = BEFORE + round * REQUESTS;
        let ours = whole.round(first, REQUESTS).await;
        rounds.push((ours, bare.round(first, REQUESTS).await));
    }
    let ours = median(rounds.iter().map(|round| round.0).collect());
    let theirs = median(rounds.iter().map(|round| round.1).collect());
    let ratio = median(rounds.iter().map(|round| round.0 / round.1).collect());
    println!(
        "{title}: {ours:.0} failures/s by the whole transaction; {theirs:.0} rows/s inserted alone; ratio {ratio:.2}"
    );
}

/// The way of telemetry, from findings to COMMIT.
struct Whole {
    store: SharedStore,
    queue: CommitQueue,
}

impl Whole {
    async fn open(settings: &DatabaseSettings) -> Self {
        let store = store::connect(settings).await.expect("the database opens");
        let parts = WriterParts {
            store: Arc::clone(&store),
            metrics: Arc::new(Metrics::new(2_000)),
            open: Arc::new(OpenTraceSet::default()),
            users: UserHasher::new(store.user_hash_key()),
            error_labels: HourlyLabelSets::default(),
            request_labels: HourlyLabelSets::default(),
        };
        let settings = WriterSettings {
            name: "bench".to_owned(),
            queue_bytes: 1 << 30,
            attempt_timeout: None,
            answer_timeout: Duration::from_mins(10),
            ledger: Duration::from_hours(6),
        };
        let (mut writer, queue) = Writer::new(parts, settings);
        writer.open().await.expect("the writer has its name");
        tokio::spawn(writer.run());
        Self { store, queue }
    }

    async fn round(&self, first: u32, requests: u32) -> f64 {
        let findings: Vec<Findings> = (first..first + requests).map(findings).collect();
        let start = Instant::now();
        let waiting: Vec<_> = findings
            .into_iter()
            .map(|findings| {
                self.queue
                    .submit(Work::Telemetry(findings))
                    .expect("the queue has room")
            })
            .collect();
        for outcome in waiting {
            let outcome = outcome.await.expect("the writer lives");
            assert!(
                matches!(outcome, Outcome::Committed(tally) if tally.error == 512),
                "{outcome:?}"
            );
        }
        rows_a_second(requests, start)
    }

    async fn rows(&self) -> Vec<ApiError> {
        let page = PageRequest {
            limit: 500,
            offset: 0,
            after: None,
        };
        self.store
            .get_errors(&ErrorFilter::default(), &page)
            .await
            .expect("rows can be read")
            .items
    }
}

/// Rows of the same texts under new names, and nothing else.
struct Loop {
    bare: Bare,
    rows: Vec<Row>,
}

impl Loop {
    async fn open(settings: &DatabaseSettings, rows: &[ApiError]) -> Self {
        store::migrate::up(settings)
            .await
            .expect("the schema is made");
        Self {
            bare: Bare::open(&settings.url).await,
            rows: rows.iter().map(Row::of).collect(),
        }
    }

    async fn round(&mut self, first: u32, requests: u32) -> f64 {
        // Groups of two requests: as many rows as a group of the writer has.
        let groups: Vec<Vec<Row>> = (first..first + requests)
            .step_by(2)
            .map(|number| self.group(number, 2))
            .collect();
        let start = Instant::now();
        for rows in &groups {
            self.bare.insert(rows).await;
        }
        rows_a_second(requests, start)
    }

    fn group(&self, first: u32, requests: u32) -> Vec<Row> {
        let numbers = (first..first + requests)
            .flat_map(|request| (0..SPANS).map(move |span| (request, span)));
        let mut rows: Vec<Row> = numbers
            .zip(self.rows.iter().cycle())
            .map(|((request, span), row)| {
                let mut name = NameHasher::new("bench");
                name.field(&request.to_be_bytes())
                    .field(&span.to_be_bytes());
                row.renamed(name.finish_uuid(), format!("{:032x}", name.finish()))
            })
            .collect();
        rows.sort_unstable_by_key(Row::id);
        rows
    }
}

/// A request of which every span has failed.
fn findings(number: u32) -> Findings {
    let mut payload = Payload::new(|_| true);
    payload.renumber(number);
    let settings = DetectSettings::default();
    let open = OpenTraceSet::default();
    let open = open.read();
    let mut detector = Detector::new(&settings, clock::now(), &open);
    walk(
        Records::Spans,
        &payload.body,
        Encoding::Protobuf,
        &Limits::default(),
        &mut detector,
    )
    .expect("a valid request");
    detector.finish().expect("there is room")
}

fn rows_a_second(requests: u32, start: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "512 is exact")]
    let spans = SPANS as f64;
    f64::from(requests) * spans / start.elapsed().as_secs_f64()
}

/// Seconds that the disk takes to make a page durable.
fn fdatasync(folder: &std::path::Path) -> f64 {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("sync")).expect("a file");
    median(
        (0..50)
            .map(|_| {
                file.write_all(&[7; 4_096]).expect("room on the disk");
                let start = Instant::now();
                file.sync_data().expect("the disk syncs");
                start.elapsed().as_secs_f64()
            })
            .collect(),
    )
}
