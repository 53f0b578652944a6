//! A database that goes away: clients hear 503 in time, and soon at once; the process lives, and
//! goes on by itself when the database is back.

use std::time::{Duration, Instant};

use super::{
    checker::Checker,
    databases::Server,
    load::{self, Truth},
    program::Program,
};

#[test]
fn while_postgresql_is_away_clients_hear_503_at_once_and_are_served_when_it_is_back() {
    let server = Server::start();
    let url = server.new_database();
    let program = Program::start(&url, &[]);
    let (first, second) = (
        load::whole_traces("shop", 0, 16),
        load::whole_traces("shop", 16, 16),
    );
    assert_eq!(program.send(&first.body).unwrap(), 200);

    server.stop();
    let ask = || {
        let asked = Instant::now();
        assert_eq!(program.send(&second.body).unwrap(), 503);
        let answered = asked.elapsed();
        assert!(
            answered < Duration::from_secs(4),
            "answered after {answered:?}"
        );
        answered
    };
    let away = Instant::now();
    while away.elapsed() < Duration::from_secs(8) {
        ask();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    // It is known by now. The middle of some answers: the machine has other things to do.
    let mut answers: Vec<Duration> = (0..11).map(|_| ask()).collect();
    answers.sort_unstable();
    assert!(
        answers[5] < Duration::from_millis(50),
        "answered after {answers:?}"
    );
    assert_eq!(program.get("/livez").0, 200);
    assert_eq!(program.get("/readyz").0, 503);

    server.begin();
    let back = Instant::now();
    while program.send(&second.body).unwrap() != 200 {
        assert!(
            back.elapsed() < Duration::from_secs(5),
            "not served again: {}",
            program.log()
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
    while program.get("/readyz").0 != 200 {
        assert!(
            back.elapsed() < Duration::from_secs(5),
            "not ready again: {}",
            program.log()
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let mut truth = Truth::default();
    truth.add(&first.truth);
    truth.add(&second.truth);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async {
            Checker::open(&url, "redspan")
                .await
                .assert_holds(&truth)
                .await;
        });
    program.metrics().assert_balanced();
}
