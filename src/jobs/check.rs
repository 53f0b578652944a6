//! Finishes what the start had no time for: looking for damage in a large database file.

use crate::{
    shutdown::Stop,
    store::{SharedStore, StoreError},
    web::Readiness,
};

/// Ends when the file has been read, or with the stop signal. Damage is logged and makes the
/// process not ready: what comes after it is for an operator to decide.
pub async fn finish_check(store: SharedStore, readiness: Readiness, mut stop: Stop) {
    let checked = tokio::select! {
        () = stop.given() => return,
        checked = store.finish_check() => checked,
    };
    match checked {
        Ok(()) => {}
        Err(StoreError::Corrupt(damage)) => {
            tracing::error!("{damage}");
            readiness.set_database_damaged();
        }
        Err(error) => tracing::warn!(%error, "the database file could not be looked for damage"),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::FileExt, path::Path, sync::Arc, time::Duration};

    use sqlx::{Connection, Executor, SqliteConnection};

    use super::*;
    use crate::{shutdown, store::sqlite::SqliteStore};

    /// A file of ours that takes longer to look at than no time.
    async fn large_file(path: &Path) {
        const FILLER: &str = "CREATE TABLE filler AS WITH RECURSIVE numbers (number) AS \
            (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 50000) \
            SELECT number, hex(randomblob(16)) AS text FROM numbers";
        let opened = SqliteStore::open_checked(path.to_str().unwrap(), true, Duration::ZERO);
        drop(opened.await.unwrap());
        let url = format!("sqlite://{}", path.display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        connection.execute(FILLER).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn readiness_after_check(path: &Path, check_time: Duration, damage: bool) -> Readiness {
        let opened = SqliteStore::open_checked(path.to_str().unwrap(), true, check_time);
        let store: SharedStore = Arc::new(opened.await.unwrap());
        if damage {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            file.write_all_at(&[0xaa; 4_096], length - 16_384).unwrap();
        }
        let readiness = Readiness::default();
        readiness.set_started();
        let (_stopper, stop) = shutdown::switch();
        finish_check(store, readiness.clone(), stop).await;
        readiness
    }

    #[tokio::test]
    async fn damage_that_the_start_had_no_time_to_find_makes_the_process_not_ready() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redspan.db");
        large_file(&path).await;
        let readiness = readiness_after_check(&path, Duration::ZERO, false).await;
        assert_eq!(readiness.obstacle(), None);
        let readiness = readiness_after_check(&path, Duration::ZERO, true).await;
        assert_eq!(
            readiness.obstacle(),
            Some("the database is damaged, see the log")
        );
        // With time, the start finds it and refuses.
        let opened =
            SqliteStore::open_checked(path.to_str().unwrap(), true, Duration::from_mins(1));
        assert!(matches!(opened.await, Err(StoreError::Corrupt(_))));
    }
}
