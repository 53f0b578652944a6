//! Which errors: the conditions of a filter over `api_errors`, and the index that finds its errors.

use std::collections::BTreeSet;

use crate::{
    domain::{Category, ErrorId, Severity},
    store::{ErrorFilter, PageRequest},
};

use super::{
    bound_page, cursor_uuid,
    dialect::Dialect,
    statement::{Statement, as_stored},
};

/// The index by which errors are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Index {
    Request,
    Trace,
    User,
    Fingerprint,
    Endpoint,
    ExternalService,
    StatusCode,
    Service,
    /// Of severity, of category, or of both.
    Kind,
    Resolved,
    /// That of the time, or none.
    Created,
}

impl Index {
    /// Of what the filter names, that which fewest errors have in common, as a rule.
    pub(super) fn of(filter: &ErrorFilter) -> Self {
        let named = [
            (filter.request_id.is_some(), Self::Request),
            (filter.trace_id.is_some(), Self::Trace),
            (filter.user_id.is_some(), Self::User),
            (filter.fingerprint.is_some(), Self::Fingerprint),
            (filter.endpoint.is_some(), Self::Endpoint),
            (filter.external_service.is_some(), Self::ExternalService),
            (filter.status_code.is_some(), Self::StatusCode),
            (filter.service_name.is_some(), Self::Service),
            (
                is_part(&filter.severity, Severity::ALL)
                    || is_part(&filter.category, Category::ALL),
                Self::Kind,
            ),
            (filter.resolved.is_some(), Self::Resolved),
        ];
        let named = named.into_iter().find(|(is_named, _)| *is_named);
        named.map_or(Self::Created, |(_, index)| index)
    }
}

/// The page of these columns of the errors that match, newest first. `created_at` and `id` must be
/// among them.
pub(super) fn newest_first<DB: Dialect>(
    columns: &'static str,
    filter: &ErrorFilter,
    page: &PageRequest,
) -> Statement<DB> {
    const ORDER: &str = " ORDER BY created_at DESC, id DESC";
    let parts = in_order_of_time(filter);
    let bounds_parts = parts.len() > 1 && DB::BOUNDS_PARTS;
    let mut statement = Statement::new("");
    for (number, filter) in parts.iter().enumerate() {
        if number > 0 {
            statement.push(" UNION ALL ");
        }
        statement
            .push(if bounds_parts { "(SELECT " } else { "SELECT " })
            .push(columns)
            .push(" FROM api_errors");
        matching(&mut statement, filter);
        if let Some(after) = &page.after {
            statement
                .with(" AND (created_at, id) < (", after.at)
                .with(", ", ErrorId(cursor_uuid(after)))
                .push(")");
        }
        if bounds_parts {
            let items = i64::from(page.offset) + i64::from(page.limit) + 1;
            statement.push(ORDER).with(" LIMIT ", items).push(")");
        }
    }
    statement.push(ORDER);
    bound_page(&mut statement, page);
    statement
}

/// Adds the WHERE clause of a filter over `api_errors`.
pub(super) fn matching<DB: Dialect>(statement: &mut Statement<DB>, filter: &ErrorFilter) {
    matching_by(statement, filter, Index::of(filter));
}

/// The same, to be found by this index.
pub(super) fn matching_by<DB: Dialect>(
    statement: &mut Statement<DB>,
    filter: &ErrorFilter,
    by: Index,
) {
    statement.push(if filter.include_deleted {
        " WHERE TRUE"
    } else {
        " WHERE deleted_at IS NULL"
    });
    let and = |statement: &mut Statement<DB>, index: Index| {
        statement
            .push(" AND ")
            .push(if by == index { "" } else { DB::NOT_BY_INDEX });
    };
    for (column, text, index) in [
        ("user_id = ", &filter.user_id, Index::User),
        ("service_name = ", &filter.service_name, Index::Service),
        ("endpoint = ", &filter.endpoint, Index::Endpoint),
        (
            "external_service = ",
            &filter.external_service,
            Index::ExternalService,
        ),
        ("request_id = ", &filter.request_id, Index::Request),
        (
            "fingerprint = ",
            &filter.fingerprint.as_ref().map(|it| it.0.clone()),
            Index::Fingerprint,
        ),
    ] {
        if let Some(text) = text {
            and(statement, index);
            statement.with(column, as_stored(text).into_owned());
        }
    }
    if is_part(&filter.severity, Severity::ALL) {
        and(statement, Index::Kind);
        statement.when_one_of_words("severity IN (", DB::SEVERITY, &filter.severity);
    }
    if is_part(&filter.category, Category::ALL) {
        and(statement, Index::Kind);
        statement.when_one_of_words("category IN (", DB::CATEGORY, &filter.category);
    }
    if filter.status_code.is_some() {
        and(statement, Index::StatusCode);
        statement.when("status_code = ", filter.status_code);
    }
    if filter.resolved.is_some() {
        and(statement, Index::Resolved);
        statement.when("resolved = ", filter.resolved);
    }
    if filter.trace_id.is_some() {
        and(statement, Index::Trace);
        statement.when("trace_id = ", filter.trace_id);
    }
    statement
        .when_text(" AND environment = ", filter.environment.as_deref())
        .when_text(" AND method = ", filter.method.as_deref())
        .when(" AND created_at >= ", filter.from)
        .when(" AND created_at < ", filter.to);
    if let Some(tag) = &filter.tag {
        let [before, after] = DB::HAS_TAG;
        statement
            .push(" AND ")
            .with(before, as_stored(tag).into_owned())
            .push(after);
    }
    // LIKE would take `%` and `_` for patterns and, on SQLite, fold case; what is left out of a
    // text that contains it makes the text another.
    if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
        statement
            .with(" AND replace(error_message, ", as_stored(text).into_owned())
            .push(", '') <> error_message");
    }
}

/// Filters that together match the same errors, each error once, and of which an index gives each
/// one's errors in order of time. No index does that for one of several severities or categories.
fn in_order_of_time(filter: &ErrorFilter) -> Vec<ErrorFilter> {
    if Index::of(filter) != Index::Kind {
        return vec![filter.clone()];
    }
    let mut filters = Vec::new();
    for severity in one_by_one(&filter.severity, Severity::ALL) {
        for category in one_by_one(&filter.category, Category::ALL) {
            filters.push(ErrorFilter {
                severity: severity.clone(),
                category,
                ..filter.clone()
            });
        }
    }
    filters
}

/// Whether the words leave out any: none at all stand for all.
fn is_part<T: Ord>(words: &[T], all: &[T]) -> bool {
    let words: BTreeSet<&T> = words.iter().collect();
    !words.is_empty() && words.len() < all.len()
}

/// Each word alone, once; nothing, which stands for any, when they leave out none.
pub(super) fn one_by_one<T: Ord + Copy>(words: &[T], all: &[T]) -> Vec<Vec<T>> {
    if !is_part(words, all) {
        return vec![Vec::new()];
    }
    let words: BTreeSet<T> = words.iter().copied().collect();
    words.into_iter().map(|word| vec![word]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_severities_and_categories_are_asked_for_one_by_one_and_each_once() {
        let filter = ErrorFilter {
            severity: vec![Severity::Error, Severity::Critical, Severity::Error],
            category: Category::ALL.to_vec(),
            ..ErrorFilter::default()
        };
        let kinds: Vec<_> = in_order_of_time(&filter)
            .into_iter()
            .map(|filter| (filter.severity, filter.category))
            .collect();
        assert_eq!(
            kinds,
            [
                (vec![Severity::Error], vec![]),
                (vec![Severity::Critical], vec![])
            ]
        );
        let of_user = ErrorFilter {
            user_id: Some("somebody".to_owned()),
            ..filter
        };
        assert_eq!(in_order_of_time(&of_user), [of_user]);
        let all = ErrorFilter::default();
        assert_eq!(in_order_of_time(&all), [all]);
    }
}
