//! Strings that mean to do harm are stored and found like any other.

use redspan::{
    domain::Fingerprint,
    store::{AggregationFilter, ErrorFilter, GroupFilter, NewApiError, PageRequest},
};

use super::{World, new_error};
use crate::databases::on_each_database;

const CORPUS: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE api_errors; --",
    "\" OR \"\"=\"",
    "$1",
    "?",
    ":id",
    "%",
    "_",
    "\\",
    "\\'; --",
    "100%_sure",
    "/* comment */",
    "{}",
    "[]",
    "null",
    "NULL",
    "\u{0}",
    "a\u{0}b",
    "\u{fffd}",
    "ünïcödé",
    "🦀",
    "\u{202e}evil",
    "İı",
    "e\u{301}",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "1; SELECT pg_sleep(10)",
    "x' UNION SELECT * FROM users --",
    "__other__",
];

#[test]
fn a_hostile_string_finds_itself_and_nothing_else() {
    on_each_database(async |database| {
        let world = World::new(database).await;
        let errors = CORPUS.iter().map(|text| NewApiError {
            // Control characters are refused in words; a message keeps what can be kept.
            user_id: Some(text.replace('\0', "0")),
            request_id: Some(text.replace('\0', "0")),
            endpoint: text.replace('\0', "0"),
            service_name: Some(text.replace('\0', "0")),
            environment: Some(text.replace('\0', "0")),
            external_service: Some(text.replace('\0', "0")),
            tags: vec![text.replace('\0', "0")],
            fingerprint: Some(Fingerprint(text.replace('\0', "0"))),
            error_message: format!("<{text}>"),
            error_stack: Some((*text).to_owned()),
            context: [((*text).to_owned(), (*text).into())].into_iter().collect(),
            ..new_error()
        });
        let rows = world.log(errors.collect()).await;
        for (text, row) in CORPUS.iter().zip(&rows) {
            let as_word = || Some(text.replace('\0', "0"));
            let all = ErrorFilter::default;
            for filter in [
                ErrorFilter {
                    user_id: as_word(),
                    ..all()
                },
                ErrorFilter {
                    request_id: as_word(),
                    ..all()
                },
                ErrorFilter {
                    endpoint: as_word(),
                    ..all()
                },
                ErrorFilter {
                    service_name: as_word(),
                    ..all()
                },
                ErrorFilter {
                    environment: as_word(),
                    ..all()
                },
                ErrorFilter {
                    external_service: as_word(),
                    ..all()
                },
                ErrorFilter {
                    tag: as_word(),
                    ..all()
                },
                ErrorFilter {
                    fingerprint: as_word().map(Fingerprint),
                    ..all()
                },
            ] {
                assert_eq!(
                    world.all(&filter).await,
                    std::slice::from_ref(row),
                    "{filter:?}"
                );
            }
            // As it was sent, and literally: `%` is no wildcard. NUL is found as what it became.
            let stored = format!("<{}>", text.replace('\0', "\u{fffd}"));
            let filter = ErrorFilter {
                text: Some(format!("<{text}>")),
                ..all()
            };
            let expected = rows
                .iter()
                .filter(|row| row.error_message == stored)
                .count();
            let found = world.all(&filter).await;
            assert_eq!(found.len(), expected, "{text:?}");
            assert!(found.iter().all(|row| row.error_message == stored));

            let page = PageRequest::default();
            let hours = AggregationFilter {
                endpoint: as_word(),
                ..AggregationFilter::default()
            };
            let hours = world.errors.get_aggregations(&hours, &page).await.unwrap();
            assert_eq!(hours.items.len(), 1);
            let groups = GroupFilter {
                service_name: as_word(),
                ..GroupFilter::default()
            };
            let groups = world.errors.get_groups(&groups, &page).await.unwrap();
            assert_eq!(groups.items.len(), 1);
        }
        assert_eq!(world.verify().await.mismatches, []);
        world.end().await;
    });
}
