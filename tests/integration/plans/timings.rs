//! How long the program's own reader takes, printed for `benches/README.md`.

use std::{fmt::Write, time::Instant};

use redspan::{
    domain::Category,
    store::{ErrorFilter, PageRequest, SharedStore, connect_reader},
};

use super::{LIMIT, pages, served};
use crate::databases::Database;

/// The median of five, in milliseconds.
async fn median(question: impl AsyncFn()) -> f64 {
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        question().await;
        times.push(begun.elapsed());
    }
    times.sort();
    times[2].as_secs_f64() * 1e3
}

/// Prints how long the program's own reader takes for it.
pub async fn tell(database: &Database, what: &str, question: impl AsyncFn(&SharedStore)) {
    let store = connect_reader(&database.settings()).await.unwrap();
    let milliseconds = median(async || question(&store).await).await;
    println!("{:?}, {what}: {milliseconds:.1} ms", database.kind);
    store.close().await;
}

/// Pairs of values of which every tenth error has one, but none has both.
fn common_and_apart() -> [(&'static str, ErrorFilter); 3] {
    let common = || Some("common".to_owned());
    [
        (
            "common user and endpoint",
            ErrorFilter {
                user_id: common(),
                endpoint: common(),
                ..ErrorFilter::default()
            },
        ),
        (
            "common endpoint and service",
            ErrorFilter {
                endpoint: common(),
                service_name: common(),
                ..ErrorFilter::default()
            },
        ),
        (
            "common service, a category",
            ErrorFilter {
                service_name: common(),
                category: vec![Category::ExternalApi],
                ..ErrorFilter::default()
            },
        ),
    ]
}

/// Prints how long the program's own reader takes, for `benches/README.md`.
pub async fn errors(database: &Database, errors: i64) {
    let store = connect_reader(&database.settings()).await.unwrap();
    let mut told = format!(
        "{:?}, {errors} errors, milliseconds (median of 5)\n",
        database.kind
    );
    for (name, filter, matches) in served(errors) {
        let mut line = format!("{name} ({matches}):");
        for (which, page) in pages(errors) {
            let milliseconds = median(async || {
                store.get_errors(&filter, &page).await.unwrap();
            })
            .await;
            write!(line, " {which} {milliseconds:.1}").unwrap();
        }
        let begun = Instant::now();
        let stats = store.get_error_stats(&filter).await;
        let outcome = if stats.is_ok() { "" } else { " (refused)" };
        write!(
            line,
            " figures {:.0}{outcome}",
            begun.elapsed().as_secs_f64() * 1e3
        )
        .unwrap();
        told.push_str(&line);
        told.push('\n');
    }
    // No index has both, and hardly any error does: the worst of what is served without a time.
    for (name, filter) in common_and_apart() {
        let page = PageRequest::first(LIMIT);
        let milliseconds = median(async || {
            store.get_errors(&filter, &page).await.unwrap();
        })
        .await;
        writeln!(told, "{name}: {milliseconds:.1}").unwrap();
    }
    let begun = Instant::now();
    let unresolved = store.unresolved().await;
    let outcome = if unresolved.is_ok() { "" } else { " (refused)" };
    writeln!(
        told,
        "unresolved: {:.0}{outcome}",
        begun.elapsed().as_secs_f64() * 1e3
    )
    .unwrap();
    println!("{told}");
    store.close().await;
}
