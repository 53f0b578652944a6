//! What is acknowledged is stored and counted once: sent again, ten at once, to a restarted
//! process, through a second replica, and killed at any instant.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    checker::{Checker, Dump},
    databases::{Database, Kind, each_kind},
    load::{self, Sent, Truth},
    program::Program,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

fn dump(database: &Database) -> Dump {
    block_on(async {
        Checker::open(&database.url, &database.schema)
            .await
            .dump()
            .await
    })
}

/// The database holds exactly this.
pub fn assert_holds(database: &Database, truth: &Truth) {
    block_on(async {
        Checker::open(&database.url, &database.schema)
            .await
            .assert_holds(truth)
            .await;
    });
}

fn send_until_acknowledged(program: &Program, request: &Sent) {
    let start = Instant::now();
    while !matches!(program.send(&request.body), Ok(200)) {
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "never acknowledged: {}",
            program.log()
        );
    }
}

#[test]
fn a_request_that_is_sent_again_changes_nothing_anywhere() {
    each_kind(|kind| {
        let database = Database::new(kind);
        let mut requests: Vec<Sent> = (0..20)
            .map(|number| load::whole_traces("shop", number * 16, 16))
            .collect();
        requests.extend((1_000..1_010).flat_map(|trace| load::cut_trace("shop", trace)));
        let mut truth = Truth::default();
        let mut program = Program::start(&database.url, &database.environment());
        for request in &requests {
            send_until_acknowledged(&program, request);
            truth.add(&request.truth);
        }
        assert_holds(&database, &truth);
        let tables = dump(&database);
        let counters = program.metrics().data_counters();
        assert!(!counters.0.is_empty());

        let again = |program: &Program| {
            for request in &requests {
                thread::scope(|scope| {
                    for _ in 0..10 {
                        scope.spawn(|| send_until_acknowledged(program, request));
                    }
                });
            }
        };
        again(&program);
        assert_eq!(dump(&database), tables);
        assert_eq!(program.metrics().data_counters(), counters);
        program.metrics().assert_balanced();

        assert!(program.terminate().success());
        let program = Program::start(&database.url, &database.environment());
        assert_eq!(
            program.metrics().data_counters(),
            counters,
            "counters go on after a restart"
        );
        again(&program);
        assert_eq!(dump(&database), tables);
        assert_eq!(program.metrics().data_counters(), counters);

        if kind == Kind::Postgres {
            let replica = Program::start(
                &database.url,
                &[
                    &database.environment()[..],
                    &[("REDSPAN_WRITER_NAME", "second")],
                ]
                .concat(),
            );
            again(&replica);
            assert_eq!(dump(&database), tables);
            assert!(replica.metrics().data_counters().0.is_empty());
        }
        assert_holds(&database, &truth);
    });
}

/// Places at which the program kills itself.
const PLACES: [&str; 4] = [
    "before_begin",
    "after_insert",
    "before_commit",
    "after_commit",
];

/// Eight clients that send until they hear 200, half of the requests twice at a time, while
/// processes die at random and at named places.
struct Storm {
    /// The processes; all on one database. Restarted by whoever kills them.
    programs: Vec<Mutex<Program>>,
    /// What was acknowledged, a line each, on the disk before the client goes on.
    acknowledged: Mutex<File>,
    next_trace: AtomicU64,
    done: AtomicBool,
    sent: AtomicUsize,
    random: AtomicU64,
}

impl Storm {
    /// Below the bound; from the seed that the test prints.
    fn random(&self, bound: usize) -> usize {
        let mut bits = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % bound as u64).unwrap()
    }

    fn send(&self, to: usize, request: &Sent) -> bool {
        let address = self.programs[to].lock().unwrap().otlp;
        let agent = super::program::agent();
        let response = agent
            .post(format!("http://{address}/v1/traces"))
            .content_type("application/x-protobuf")
            .send(&request.body[..]);
        response.is_ok_and(|response| response.status() == 200)
    }

    /// Sends to changing processes until one says 200, then notes that durably.
    fn deliver(&self, request: &Sent) {
        let start = Instant::now();
        loop {
            let (to, also_to) = (
                self.random(self.programs.len()),
                self.random(self.programs.len()),
            );
            let twice = self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            let acknowledged = thread::scope(|scope| {
                let other = twice.then(|| scope.spawn(|| self.send(also_to, request)));
                let one = self.send(to, request);
                other.map_or(one, |other| other.join().unwrap() | one)
            });
            if acknowledged {
                break;
            }
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "a request is never acknowledged"
            );
        }
        let mut acknowledged = self.acknowledged.lock().unwrap();
        let line = serde_json::to_string(&request.truth).unwrap();
        writeln!(acknowledged, "{line}").unwrap();
        acknowledged.sync_data().unwrap();
    }

    /// Waits until so many more requests were sent.
    fn wait_for_requests(&self, more: usize) {
        let until = self.sent.load(Ordering::Relaxed) + more;
        let begun = Instant::now();
        while self.sent.load(Ordering::Relaxed) < until {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "the clients got stuck"
            );
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn client(&self) {
        while !self.done.load(Ordering::Relaxed) {
            let trace = self.next_trace.fetch_add(8, Ordering::Relaxed);
            if trace.is_multiple_of(24) {
                // The spans of one trace, one after the other, through changing processes.
                for request in &load::cut_trace("shop", trace) {
                    self.deliver(request);
                }
            } else {
                self.deliver(&load::whole_traces("shop", trace, 8));
            }
        }
    }
}

fn storm(kind: Kind, replicas: usize, cycles: usize) {
    let database = Database::new(kind);
    let names: Vec<String> = (0..replicas)
        .map(|number| format!("replica-{number}"))
        .collect();
    let start = |replica: usize, failpoint: Option<String>| {
        let mut environment = database.environment();
        environment.push(("REDSPAN_WRITER_NAME", &names[replica]));
        if let Some(failpoint) = &failpoint {
            environment.push(("REDSPAN_FAILPOINT", failpoint));
        }
        let begun = Instant::now();
        let program = Program::start(&database.url, &environment);
        assert!(
            begun.elapsed() <= Duration::from_secs(5),
            "a start took {:?}",
            begun.elapsed()
        );
        program
    };
    let seed = load::now_nanos();
    println!("seed {seed}");
    let mut record = tempfile::tempfile().unwrap();
    let storm = Storm {
        programs: (0..replicas)
            .map(|replica| Mutex::new(start(replica, None)))
            .collect(),
        acknowledged: Mutex::new(record.try_clone().unwrap()),
        next_trace: AtomicU64::new(0),
        done: AtomicBool::new(false),
        sent: AtomicUsize::new(0),
        random: AtomicU64::new(seed),
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| storm.client())).collect();
        for cycle in 0..cycles {
            let replica = cycle % replicas;
            // Every other cycle the process dies by itself at a named place, else at any instant.
            let place = PLACES[(cycle / 2) % PLACES.len()];
            let failpoint = (cycle % 2 == 0).then(|| format!("{place}:{}", 1 + storm.random(20)));
            let has_failpoint = failpoint.is_some();
            {
                let mut program = storm.programs[replica].lock().unwrap();
                program.kill();
                *program = start(replica, failpoint);
            }
            let begun = Instant::now();
            if has_failpoint {
                while storm.programs[replica].lock().unwrap().ended().is_none() {
                    assert!(
                        begun.elapsed() < Duration::from_secs(30),
                        "the failpoint {place} was never passed"
                    );
                    thread::park_timeout(Duration::from_millis(1));
                }
            } else {
                storm.wait_for_requests(1 + storm.random(40));
            }
        }
        for replica in 0..replicas {
            let mut program = storm.programs[replica].lock().unwrap();
            program.kill();
            *program = start(replica, None);
        }
        // What /metrics shows in the end is counted by living processes, not only read at their start.
        storm.wait_for_requests(100);
        storm.done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().unwrap();
        }
    });
    let mut truth = Truth::default();
    record.seek(SeekFrom::Start(0)).unwrap();
    for line in BufReader::new(record).lines() {
        truth.add(&serde_json::from_str(&line.unwrap()).unwrap());
    }
    assert!(!truth.rows.is_empty());
    assert_holds(&database, &truth);
    assert_shown(storm.programs, &truth);
}

/// The sum of all `/metrics` is what was acknowledged.
pub fn assert_shown(programs: Vec<Mutex<Program>>, truth: &Truth) {
    let mut requests = 0.0;
    let mut errors = 0.0;
    for program in programs {
        let program = program.into_inner().unwrap();
        let samples = program.metrics();
        samples.assert_balanced();
        requests += samples.sum("redspan_requests_total", &[]);
        errors += samples.sum("redspan_errors_total", &[]);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a test sends some thousand requests"
    )]
    let (sent, rows) = (truth.requests as f64, truth.rows.len() as f64);
    assert!(
        (requests - sent).abs() < 0.5,
        "requests on /metrics: {requests}, sent: {sent}"
    );
    assert!(
        (errors - rows).abs() < 0.5,
        "errors on /metrics: {errors}, rows: {rows}"
    );
}

fn cycles() -> usize {
    if std::env::var_os("FULL").is_some() {
        500
    } else {
        25
    }
}

#[test]
fn kills_at_any_instant_lose_nothing_and_count_nothing_twice() {
    each_kind(|kind| storm(kind, 1, cycles()));
}

#[test]
fn two_replicas_on_one_database_killed_at_random_stay_exact() {
    storm(Kind::Postgres, 2, cycles());
}

#[test]
fn a_process_that_lost_its_name_stops_showing_counters_that_another_goes_on_with() {
    let database = Database::new(Kind::Postgres);
    let environment = [
        &database.environment()[..],
        &[("REDSPAN_WRITER_NAME", "shared")],
    ]
    .concat();
    let first = Program::start(&database.url, &environment);
    let request = load::whole_traces("shop", 0, 16);
    send_until_acknowledged(&first, &request);
    let counters = first.metrics().data_counters();

    let second = Program::start(&database.url, &environment);
    assert_eq!(second.metrics().data_counters(), counters);
    let start = Instant::now();
    // Nobody sends anything: it has to find out by itself.
    while !first.metrics().data_counters().0.is_empty() {
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "both show the same counters: {}",
            first.log()
        );
        thread::park_timeout(Duration::from_millis(10));
    }
    let mut truth = request.truth.clone();
    for (program, number) in [(&first, 16), (&second, 32)] {
        let request = load::whole_traces("shop", number, 16);
        send_until_acknowledged(program, &request);
        truth.add(&request.truth);
    }
    assert_holds(&database, &truth);
    let programs = [first, second].map(Mutex::new);
    assert_shown(programs.into(), &truth);
}
