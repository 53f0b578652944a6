//! The stop signal, in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use redspan::shutdown;

/// Set in the process that is to be stopped.
const STOPPED: &str = "REDSPAN_TEST_STOPPED";

#[test]
fn the_first_signal_stops_and_the_second_ends_at_once() {
    if std::env::var_os(STOPPED).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        return runtime.unwrap().block_on(waits_for_ever());
    }
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("TERM", "INT", 130),
        ("INT", "TERM", 143),
    ] {
        let name = "signals::the_first_signal_stops_and_the_second_ends_at_once";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(STOPPED, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let id = child.id().to_string();
        let signal = |name| {
            let sent = Command::new("sh")
                .args(["-c", r#"kill -s "$0" "$1""#, name, &id])
                .status();
            assert!(sent.unwrap().success());
        };
        let mut said = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        assert!(said.any(|line| line.ends_with("listening")));
        signal(first);
        assert!(said.any(|line| line.ends_with("stopping")));
        signal(second);
        assert_eq!(
            child.wait().unwrap().code(),
            Some(code),
            "{first}, {second}"
        );
    }
}

async fn waits_for_ever() {
    let mut stop = shutdown::on_signals().unwrap();
    println!("listening");
    stop.given().await;
    println!("stopping");
    std::future::pending::<()>().await;
}
