//! Groups: as they are counted already, and counted anew under a filter.

use crate::{
    domain::{ErrorGroup, Fingerprint},
    store::{
        Cursor, ErrorFilter, GroupFilter, GroupedErrors, LatestError, Page, PageRequest, StoreError,
    },
};

use super::{
    SqlReader, bound_page,
    dialect::Dialect,
    dialect::Limit,
    end, into_page,
    matching::{Index, matching, matching_by},
    rows::{GROUP_COLUMNS, error_group},
    statement::{Statement, as_stored},
};

impl<DB: Dialect> SqlReader<DB> {
    /// See [`crate::store::Reader::get_groups`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_groups(
        &self,
        filter: &GroupFilter,
        page: &PageRequest,
    ) -> Result<Page<ErrorGroup>, StoreError> {
        const DURING: &str = "reading groups";
        let mut statement = Statement::<DB>::new("SELECT ");
        statement.push(GROUP_COLUMNS).push(" FROM error_groups");
        matching_groups(&mut statement, filter);
        if let Some(after) = &page.after {
            statement
                .push(" AND (last_seen_at, fingerprint ")
                .push(DB::BY_BYTES)
                .with(") < (", after.at)
                .with(", ", as_stored(&after.id).into_owned())
                .push(")");
        }
        statement
            .push(" ORDER BY last_seen_at DESC, fingerprint ")
            .push(DB::BY_BYTES)
            .push(" DESC");
        bound_page(&mut statement, page);

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let groups = statement
            .all(&mut snapshot, error_group::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(groups, page, |group| Cursor {
            at: group.last_seen_at,
            id: group.fingerprint.0.clone(),
        }))
    }

    /// See [`crate::store::Reader::count_groups`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn count_groups(&self, filter: &GroupFilter) -> Result<i64, StoreError> {
        let mut statement = Statement::<DB>::new("SELECT COUNT(*) AS total FROM error_groups");
        matching_groups(&mut statement, filter);
        self.count(statement, "counting groups").await
    }

    /// See [`crate::store::Reader::get_group`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_group(
        &self,
        fingerprint: &Fingerprint,
    ) -> Result<Option<ErrorGroup>, StoreError> {
        const DURING: &str = "reading a group";
        let mut statement = Statement::<DB>::new("SELECT ");
        statement
            .push(GROUP_COLUMNS)
            .push(" FROM error_groups WHERE TRUE")
            .when_text(" AND fingerprint = ", Some(&fingerprint.0));

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let groups = statement
            .all(&mut snapshot, error_group::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(groups.into_iter().next())
    }

    /// See [`crate::store::Reader::get_errors_by_group`].
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_errors_by_group(
        &self,
        filter: &ErrorFilter,
        page: &PageRequest,
    ) -> Result<Page<GroupedErrors>, StoreError> {
        const DURING: &str = "counting errors by group";
        // By an expression, not by the column: in the order of its index SQLite would fetch row by
        // row from all over the file, which takes four times as long.
        let mut statement = Statement::<DB>::new(
            "WITH counted AS (SELECT fingerprint, COUNT(*) AS errors, \
             MIN(created_at) AS first_seen_at, MAX(created_at) AS last_seen_at \
             FROM (SELECT CAST(fingerprint AS TEXT) AS fingerprint, created_at FROM api_errors",
        );
        matching(&mut statement, filter);
        statement.push(") AS found GROUP BY fingerprint");
        if let Some(after) = &page.after {
            statement
                .push(" HAVING (MAX(created_at), fingerprint ")
                .push(DB::BY_BYTES)
                .with(") < (", after.at)
                .with(", ", as_stored(&after.id).into_owned())
                .push(")");
        }
        statement
            .push(" ORDER BY last_seen_at DESC, fingerprint ")
            .push(DB::BY_BYTES)
            .push(" DESC");
        bound_page(&mut statement, page);
        // Only now, for the groups of the page, the latest of each.
        statement.push(
            "), named AS (SELECT fingerprint, errors, first_seen_at, last_seen_at, \
             (SELECT id FROM api_errors",
        );
        matching_by(&mut statement, filter, Index::Fingerprint);
        statement.push(
            " AND api_errors.fingerprint = counted.fingerprint \
             AND api_errors.created_at = counted.last_seen_at ORDER BY created_at DESC, id DESC LIMIT 1) AS latest_id FROM counted) \
             SELECT named.fingerprint AS fingerprint, errors, first_seen_at, last_seen_at, \
             id, service_name, environment, endpoint, method, CAST(severity AS TEXT) AS severity, \
             CAST(category AS TEXT) AS category, error_code, error_message \
             FROM named JOIN api_errors ON api_errors.id = named.latest_id \
             ORDER BY named.last_seen_at DESC, named.fingerprint ",
        );
        statement.push(DB::BY_BYTES).push(" DESC");

        let mut snapshot = self.snapshot(Limit::Page, DURING).await?;
        let groups = statement
            .all(&mut snapshot, grouped_errors::<DB>)
            .await
            .map_err(|error| StoreError::of(DURING, error))?;
        end(snapshot).await;
        Ok(into_page(groups, page, |group| Cursor {
            at: group.last_seen_at,
            id: group.fingerprint.0.clone(),
        }))
    }
}

fn matching_groups<DB: Dialect>(statement: &mut Statement<DB>, filter: &GroupFilter) {
    statement
        .push(" WHERE TRUE")
        .when(" AND status = ", filter.status)
        .when_text(" AND service_name = ", filter.service_name.as_deref())
        .when(" AND last_seen_at >= ", filter.since);
}

fn grouped_errors<DB: Dialect>(row: &DB::Row) -> Result<GroupedErrors, sqlx::Error> {
    Ok(GroupedErrors {
        fingerprint: DB::get(row, "fingerprint")?,
        errors: DB::get(row, "errors")?,
        first_seen_at: DB::get(row, "first_seen_at")?,
        last_seen_at: DB::get(row, "last_seen_at")?,
        latest: LatestError {
            id: DB::get(row, "id")?,
            service_name: DB::get(row, "service_name")?,
            environment: DB::get(row, "environment")?,
            endpoint: DB::get(row, "endpoint")?,
            method: DB::get(row, "method")?,
            severity: DB::get(row, "severity")?,
            category: DB::get(row, "category")?,
            error_code: DB::get(row, "error_code")?,
            error_message: DB::get(row, "error_message")?,
        },
    })
}
