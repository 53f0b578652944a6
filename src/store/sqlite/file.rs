//! The file before SQLite sees it: whether it can be opened at all, whether it is ours, and the
//! lock that keeps a second process away.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// File systems on which locks or shared memory cannot be trusted, as Linux names them.
const NETWORK_FILE_SYSTEMS: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "lustre",
    "glusterfs",
    "ncpfs",
    "gfs2",
    "ocfs2",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.gcsfuse",
    "fuse.rclone",
];

/// The file's folder, which must be there and not on the network.
pub(super) fn check_folder(path: &Path) -> Result<PathBuf, StoreError> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => {
            return Err(StoreError::Configuration(format!(
                "the database {} is no file",
                path.display()
            )));
        }
    };
    let folder = fs::canonicalize(folder).map_err(|error| {
        StoreError::Configuration(format!(
            "the folder of the database {} cannot be used: {error}",
            path.display()
        ))
    })?;
    if path.is_dir() {
        return Err(StoreError::Configuration(format!(
            "the database {} is a folder; name a file in it",
            path.display()
        )));
    }
    if let Some(kind) = file_system(&folder)
        && NETWORK_FILE_SYSTEMS.contains(&kind.as_str())
    {
        return Err(StoreError::Configuration(format!(
            "the database {} lies on a network file system ({kind}), where SQLite loses data: use \
             a local disk, or PostgreSQL",
            path.display()
        )));
    }
    Ok(folder)
}

/// Takes the lock that only one process can hold, in a file beside the database: SQLite's own
/// locks are lost when the same process opens and closes the database file.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| {
            StoreError::Configuration(format!(
                "the folder of the database {} cannot be written to: {error}",
                path.display()
            ))
        })?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(format!(
            "the database {} is in use by another redspan",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(StoreError::Configuration(format!(
            "the database {} cannot be locked: {error}",
            path.display()
        ))),
    }
}

/// Whether there is a file with something in it, which then must be SQLite's. Must not be called
/// while this process has the database open.
pub(super) fn check_header(path: &Path) -> Result<bool, StoreError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => {
            return Err(StoreError::Configuration(format!(
                "the database {} cannot be read: {error}",
                path.display()
            )));
        }
    };
    let mut header = Vec::with_capacity(MAGIC.len());
    Read::by_ref(&mut file)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut header)
        .map_err(|error| {
            StoreError::Corrupt(format!(
                "the database {} cannot be read: {error}",
                path.display()
            ))
        })?;
    if header.is_empty() {
        Ok(false)
    } else if header == MAGIC {
        Ok(true)
    } else {
        Err(StoreError::Corrupt(format!(
            "{} is not an SQLite database, or its beginning is damaged: restore it from a backup, \
             or name another file",
            path.display()
        )))
    }
}

/// The kind of file system that holds the folder, where the system tells.
fn file_system(folder: &Path) -> Option<String> {
    kind_of_mount(&fs::read_to_string("/proc/self/mounts").ok()?, folder)
}

/// The kind of the deepest mount above the folder; of several on one point the last.
fn kind_of_mount(mounts: &str, folder: &Path) -> Option<String> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let point = fields.next()?.replace("\\040", " ");
            let kind = fields.next()?;
            folder
                .starts_with(&point)
                .then_some((Path::new(&point).components().count(), kind))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_decides_what_file_system_a_folder_is_on() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\nserver:/x /srv/my\\040data nfs4 rw 0 0\n";
        let kind = |folder| kind_of_mount(mounts, Path::new(folder)).expect("a mount");
        assert_eq!(kind("/srv"), "ext4");
        assert_eq!(kind("/srv/my data/deep"), "nfs4");
        assert_eq!(kind("/srv/my data too"), "ext4");
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("redspan.db");
        let first = lock(&path).expect("the lock");
        let refused = lock(&path).expect_err("the lock is taken");
        assert!(matches!(&refused, StoreError::InUse(text) if text.contains("redspan.db")));
        drop(first);
        lock(&path).expect("the lock is free again");
    }

    #[test]
    fn what_is_not_a_database_is_never_touched() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("redspan.db");
        assert!(!check_header(&path).expect("nothing there"));
        fs::write(&path, "dear diary, today I").expect("written");
        assert!(matches!(check_header(&path), Err(StoreError::Corrupt(_))));
        fs::write(&path, "SQLite format 3\0 and so on").expect("written");
        assert!(check_header(&path).expect("a database"));
    }
}
