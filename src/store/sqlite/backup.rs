//! A copy of the file, made beside the process that serves it: SQLite writes what one snapshot
//! holds, and its name is given to it only when it was found to be whole.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use sqlx::{Connection as _, Executor as _};

use super::{
    check::{Checked, damaged, quick_check},
    open::{at_open, check_ours, check_schema, connection, read_beside, reader_options},
};
use crate::store::StoreError;

/// See [`crate::store::backup`].
pub(in crate::store) async fn backup(path: &str, to: &Path) -> Result<u64, StoreError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(refused(to, "is there already: a backup overwrites nothing"));
    }
    let Some((path, mut source)) = read_beside(path).await? else {
        return Err(StoreError::Configuration(format!(
            "there is no database at {path} to copy"
        )));
    };
    let partial = Partial::create(to)?;
    // Of the source it forbids nothing that is not forbidden by how it was opened.
    let copied = async {
        source.execute("PRAGMA query_only = OFF").await?;
        let statement =
            sqlx::query("VACUUM INTO $1").bind(partial.0.to_string_lossy().into_owned());
        statement.execute(&mut source).await?;
        source.close().await
    };
    copied.await.map_err(|error| at_open(&partial.0, error))?;
    check(&partial.0).await?;
    partial
        .keep(&path, to)
        .map_err(|error| refused(to, &format!("cannot be written: {error}")))
}

/// Whether the copy is a whole ledger.
async fn check(copy: &Path) -> Result<(), StoreError> {
    let mut connection = connection(&reader_options(copy))
        .await
        .map_err(|error| at_open(copy, error))?;
    check_ours(copy, &mut connection).await?;
    check_schema(&mut connection).await?;
    if quick_check(copy, &mut connection, || true).await? == Checked::InPart {
        return Err(damaged(copy, "it cannot be read to its end"));
    }
    connection
        .close()
        .await
        .map_err(|error| at_open(copy, error))
}

/// A copy that is not finished; gone unless it is kept.
struct Partial(PathBuf);

impl Partial {
    /// Empty, and nobody else's to read: SQLite fills a file that is there and empty.
    fn create(to: &Path) -> Result<Self, StoreError> {
        let mut path = to.as_os_str().to_owned();
        path.push(".partial");
        let path = PathBuf::from(path);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(refused(
                &path,
                "is there: another backup is under way, or did not end; then delete it",
            )),
            Err(error) => Err(refused(to, &format!("cannot be written: {error}"))),
        }
    }

    /// On the disk, as private as the ledger, under its own name. How many bytes it has.
    fn keep(self, source: &Path, to: &Path) -> io::Result<u64> {
        let file = File::open(&self.0)?;
        file.set_permissions(fs::metadata(source)?.permissions())?;
        file.sync_all()?;
        // Fails when somebody took the name meanwhile.
        File::create_new(to)?;
        fs::rename(&self.0, to)?;
        let folder = to.parent().filter(|it| !it.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there when it was kept.
        let _ = fs::remove_file(&self.0);
    }
}

fn refused(file: &Path, why: &str) -> StoreError {
    StoreError::Configuration(format!("{} {why}", file.display()))
}
