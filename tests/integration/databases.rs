//! The databases of the tests: for SQLite a file of each test's own; for PostgreSQL a database of
//! its own on one private server, which is started by the first test and gone when the tests are,
//! however they end.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redspan::store::DatabaseSettings;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

/// One of the two kinds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// A database that nobody else uses. Empty, without a schema.
pub struct Database {
    pub kind: Kind,
    pub url: String,
    pub schema: String,
    /// Holds the SQLite file.
    folder: TempDir,
}

impl Database {
    /// An empty database.
    pub fn new(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.path().join("redspan.db").display()),
            Kind::Postgres => server().new_database(),
        };
        Self {
            kind,
            url,
            schema: "redspan".to_owned(),
            folder,
        }
    }

    /// An empty one of PostgreSQL that sorts text as people do, not by its bytes.
    pub fn sorting_like_people() -> Self {
        let options = " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'";
        Self {
            url: server().new_database_with(options),
            ..Self::new(Kind::Postgres)
        }
    }

    /// How the library opens it; migrated then.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            url: self.url.clone(),
            schema: self.schema.clone(),
            // The server is there, but other tests keep the machine busy.
            connect_timeout: Duration::from_secs(20),
            ..DatabaseSettings::default()
        }
    }

    /// Waits until the file can be opened again: a program that another test has just started holds
    /// what was open until it runs.
    pub fn wait_for_lock(&self) {
        if let Some(path) = self.url.strip_prefix("sqlite://") {
            let lock = File::open(format!("{path}.lock")).unwrap();
            lock.lock().unwrap();
            // Not by closing it: such a program would go on holding this one.
            lock.unlock().unwrap();
        }
    }

    /// How the program is told to open it.
    pub fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("REDSPAN_DATABASE_URL", &self.url),
            ("REDSPAN_DATABASE_SCHEMA", &self.schema),
        ]
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Runs the test once for each kind, and says for which it failed.
pub fn each_kind(test: impl Fn(Kind)) {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(kind))) {
            eprintln!("on {kind:?}");
            resume_unwind(panic);
        }
    }
}

/// Runs the test on a database of each kind, in a runtime of its own.
pub fn on_each_database(test: impl AsyncFn(Database)) {
    each_kind(|kind| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test(Database::new(kind)));
    });
}

/// The private server.
pub struct Server {
    folder: PathBuf,
    next: AtomicU32,
}

/// The server of this run of the tests.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    /// A server of the test's own, for stopping it.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("redspan-pg-")
            .tempdir()
            .unwrap()
            .keep();
        // PostgreSQL refuses to run as root: the folder belongs to whoever runs it.
        if is_root() {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
            run(Command::new("chown").arg("postgres").arg(&folder));
        }
        let data = folder.join("data");
        run(server_program("initdb")
            .args(["--auth=trust", "--username=redspan", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "-D"])
            .arg(&data));
        // Only the socket: no port to collide on. A server that is killed loses nothing that a
        // test looks at: tests kill redspan, never this server.
        let server = Self {
            folder,
            next: AtomicU32::new(0),
        };
        server.begin();
        watch(&server.folder);
        server
    }

    /// Starts the server on its folder, and waits until it answers.
    pub fn begin(&self) {
        let data = self.folder.join("data");
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off -c max_connections=300 \
             -c shared_buffers=64MB -c deadlock_timeout=200ms -c log_line_prefix='%d %c '",
            self.folder.display()
        );
        run(server_program("pg_ctl")
            .args(["start", "--wait", "--timeout=30", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(data.join("log"))
            .args(["-o", &options]));
    }

    /// Cuts every connection and stops the server.
    pub fn stop(&self) {
        run(server_program("pg_ctl")
            .args(["stop", "--mode=fast", "--wait", "-D"])
            .arg(self.folder.join("data")));
    }

    /// Lets in whom these lines of `pg_hba.conf` let in, when it begins again.
    pub fn let_in(&self, lines: &str) {
        fs::write(self.folder.join("data/pg_hba.conf"), lines).unwrap();
    }

    /// What the server logged, each line after the database and the session.
    pub fn log(&self) -> String {
        // Whatever bytes a test logs.
        String::from_utf8_lossy(&fs::read(self.folder.join("data/log")).unwrap()).into_owned()
    }

    /// The URL of a new database.
    pub fn new_database(&self) -> String {
        self.new_database_with("")
    }

    fn new_database_with(&self, options: &str) -> String {
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let url = |database: &str| {
            format!(
                "postgres://redspan@localhost/{database}?host={}",
                self.folder.display()
            )
        };
        let maintenance = url("postgres");
        let create = format!("CREATE DATABASE {name}{options}");
        // A thread of its own: the caller may be inside a runtime.
        std::thread::spawn(move || {
            block_on(async {
                let mut connection = PgConnection::connect(&maintenance).await.unwrap();
                connection.execute(AssertSqlSafe(create)).await.unwrap();
                connection.close().await.unwrap();
            });
        })
        .join()
        .unwrap();
        url(&name)
    }
}

/// Starts a process that waits for the end of this one, whatever ends it, and then stops the
/// server and removes its folder.
fn watch(folder: &Path) {
    const SCRIPT: &str = r#"
        trap '' INT TERM HUP
        cat >/dev/null
        kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"
        while test -e "$0/data/postmaster.pid"; do sleep 0.1; done
        rm -rf "$0"
    "#;
    // Its standard input ends when this process does: nobody else holds the other side.
    let mut watcher = Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    watcher.stdin.as_mut().unwrap().flush().unwrap();
    std::mem::forget(watcher);
}

/// A program of PostgreSQL, as a user that it runs as.
fn server_program(name: &str) -> Command {
    let program = find(name);
    if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program)
            .current_dir("/");
        command
    } else {
        Command::new(program)
    }
}

/// The newest installed one, else the one on the path.
fn find(name: &str) -> PathBuf {
    let mut installed: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin").join(name))
        .filter(|program| program.exists())
        .collect();
    installed.sort();
    installed.pop().unwrap_or_else(|| name.into())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(command: &mut Command) {
    // The server inherits what is open: it must not hold on to the test runner's pipes.
    let output = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = output.stderr(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

/// Waits for it in a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
