//! The documents do what they say: README's blocks are run in order as they stand, and facts that
//! stand there and in the program are compared.
//!
//! A `sh server` block starts the program, which stays until the next one takes its place. A `sh`
//! block is a person in another terminal. A `text` block is what the one before it printed. A
//! `toml` block is the `redspan.toml` of the next one. `sh python` and `sh node` blocks are what
//! somebody with an application does, after the `sh environment` block; `python` and `js node`
//! blocks become part of such an application. Only places differ: each server takes free ports, its
//! folder is a temporary one, and the PostgreSQL server is the tests' own.

mod pipelines;
mod site;
pub mod snippets;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use redspan::{config::Config, store::migrate};
use regex::Regex;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

use crate::{
    databases::{Database, Kind},
    metrics, program,
};

const README: &str = include_str!("../../../README.md");
const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");

/// What README writes in place of each machine's own.
const FOLDER: &str = "/home/you/redspan";
const POSTGRES_URL: &str = "postgresql://redspan:secret@localhost:5432/app";
const OTLP_PORT: &str = "4318";
const HTTP_PORT: &str = "9464";

/// A block between fences.
struct Block {
    /// What stands behind the fence: `sh server`.
    language: &'static str,
    text: &'static str,
}

fn blocks(document: &'static str) -> Vec<Block> {
    let mut parts = document.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let (Some(block), Some(_)) = (parts.next(), parts.next()) {
        let (language, text) = block.split_once('\n').unwrap();
        blocks.push(Block { language, text });
    }
    blocks
}

/// A newcomer's folder after the build, and the server that runs in it.
struct Newcomer {
    folder: TempDir,
    postgres: Database,
    server: Option<Server>,
}

struct Server {
    shell: Child,
    log: BufReader<std::process::ChildStderr>,
    greeting: String,
    otlp_port: String,
    grpc_port: String,
    http_port: String,
}

impl Newcomer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = folder.path().join("target/release");
        fs::create_dir_all(&built).unwrap();
        std::os::unix::fs::symlink(program::path(), built.join("redspan")).unwrap();
        let cargo = folder.path().join("cargo");
        fs::write(
            &cargo,
            "#!/bin/sh\ntest \"$*\" = 'run --release' && exec target/release/redspan\n",
        )
        .unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            folder,
            postgres: Database::new(Kind::Postgres),
            server: None,
        }
    }

    fn shell(&self, script: &str) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-euc", script])
            .env_clear()
            .env("PATH", format!("{}:{path}", self.folder.path().display()))
            .env("REDSPAN_OTLP_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_OTLP_GRPC_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_HTTP_LISTEN", "127.0.0.1:0")
            .env("REDSPAN_LOG_FORMAT", "text")
            .current_dir(self.folder.path());
        shell
    }

    /// Stops the server before it and starts this one; gives its greeting.
    fn serve(&mut self, script: &str) -> String {
        self.server = None;
        let script = script
            .replace(&format!(":{OTLP_PORT}"), ":0")
            .replace(POSTGRES_URL, &format!("'{}'", self.postgres.url));
        let mut shell = self
            .shell(&script)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(shell.stderr.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Prometheus scrapes") {
            let read = log.read_line(&mut greeting).unwrap();
            assert!(read > 0, "the server did not start:\n{script}\n{greeting}");
        }
        let port = |field: &str| {
            let pattern = Regex::new(&format!(r" {field}=[\d.]+:(\d+)")).unwrap();
            pattern.captures(&greeting).unwrap()[1].to_owned()
        };
        let server = Server {
            otlp_port: port("otlp_http"),
            grpc_port: port("otlp_grpc"),
            http_port: port("http"),
            shell,
            log,
            greeting,
        };
        let said = self.as_in_readme(&server.greeting, &server);
        self.server = Some(server);
        said
    }

    /// Does what a person would do beside the server; gives what was printed.
    fn run(&self, script: &str) -> String {
        let server = self.server.as_ref().expect("a server runs");
        let script = script
            .replace(OTLP_PORT, &server.otlp_port)
            .replace(HTTP_PORT, &server.http_port);
        let Output {
            status,
            stdout,
            stderr,
        } = self
            .shell(&script)
            // The two terminals have one configuration.
            .env(
                "REDSPAN_OTLP_HTTP_LISTEN",
                format!("127.0.0.1:{}", server.otlp_port),
            )
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{script}{status}\n{stderr}");
        self.as_in_readme(&String::from_utf8(stdout).unwrap(), server)
    }

    /// The text with what is this machine's own replaced by what README has there.
    fn as_in_readme(&self, text: &str, server: &Server) -> String {
        let folder = fs::canonicalize(self.folder.path()).unwrap();
        text.replace(&folder.display().to_string(), FOLDER)
            .replace(&format!(":{}", server.otlp_port), ":4318")
            .replace(&format!(":{}", server.grpc_port), ":4317")
            .replace(&format!(":{}", server.http_port), ":9464")
    }

    /// Asks both databases; gives the number of rows in the SQLite file.
    fn query(&self, sql: &'static str) -> usize {
        let file = self.folder.path().join("redspan.db");
        let file = format!("sqlite://{}", file.display());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            migrate::up(&self.postgres.settings()).await.unwrap();
            let mut postgres = PgConnection::connect(&self.postgres.url).await.unwrap();
            sqlx::query(sql).fetch_all(&mut postgres).await.unwrap();
            let mut sqlite = SqliteConnection::connect(&file).await.unwrap();
            sqlx::query(sql).fetch_all(&mut sqlite).await.unwrap().len()
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The shell and the program, which ends when it has closed its log.
        let group = format!("-{}", self.shell.id());
        let killed = Command::new("kill").args(["-TERM", "--", &group]).status();
        assert!(killed.unwrap().success());
        self.shell.wait().unwrap();
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        if std::thread::panicking() {
            eprintln!("log of the server:\n{}{rest}", self.greeting);
        }
    }
}

/// The text without what is different at every run.
fn timeless(text: &str) -> String {
    let times = Regex::new(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(\.\d+Z)?").unwrap();
    let text = times.replace_all(text, "TIME");
    // In a column, so spaces follow it and its heading.
    let ago = Regex::new(r"(LAST|now|\d+[smhd] ago) *").unwrap();
    let text = ago.replace_all(&text, "AGO ");
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn every_block_of_the_readme_does_what_it_shows() {
    let mut newcomer = Newcomer::new();
    let config = newcomer.folder.path().join("redspan.toml");
    let mut printed = String::new();
    for Block { language, text } in blocks(README) {
        match language {
            "sh server" => printed = newcomer.serve(text),
            "sh" => {
                printed = newcomer.run(text);
                // It was for this block alone.
                let _ = fs::remove_file(&config);
            }
            "text" => assert_eq!(timeless(text), timeless(&printed)),
            "toml" => fs::write(&config, text).unwrap(),
            "sql" => assert!(newcomer.query(text) > 0, "{text}"),
            "sh python" => snippets::run(&newcomer, "Python", text),
            "sh node" => snippets::run(&newcomer, "Node", text),
            "python" => pipelines::run_python(&newcomer, text),
            "js node" => pipelines::run_node(&newcomer, text),
            // Compared below, and in `snippets.rs`; nginx serves with its lines in `site.rs`; with
            // those for Java and Go whole applications are built, in `tests/integration/apps`.
            "promql" | "sh environment" | "sh dotnet" | "rust" | "rust worker" | "js" | "nginx"
            | "yaml" | "sh java" | "go" => {}
            other => panic!("nothing is known of {other:?} blocks:\n{text}"),
        }
    }
}

/// The rows of the table with this first column.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let cells = |line: &'static str| line.split('|').skip(1).map(str::trim).collect::<Vec<_>>();
    let tables = README
        .lines()
        .skip_while(|line| cells(line).first() != Some(&heading));
    let rows: Vec<_> = tables
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(cells)
        .collect();
    assert!(!rows.is_empty(), "there is no table of {heading:?}");
    rows
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn redspan(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(program::path())
        .args(arguments)
        .env_clear()
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn help(arguments: &[&str]) -> String {
    let output = redspan(&[arguments, &["--help"]].concat());
    assert!(output.status.success(), "redspan {arguments:?} --help");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_metrics_of_the_readme_are_those_that_are_shown() {
    let shown = metrics::busy().render();
    let name = Regex::new(r"\bredspan_\w*[a-z]").unwrap();
    let families: BTreeSet<&str> = shown
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE redspan_"))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let described: BTreeSet<&str> = name
        .find_iter(README)
        .map(|found| found.as_str().strip_prefix("redspan_").unwrap())
        .collect();
    assert_eq!(described, families);

    let values = Regex::new(r"\([^)]*\)").unwrap();
    let label = Regex::new(r#"[{,](\w+)=""#).unwrap();
    let tables = README.split("| name | labels |").skip(1);
    let rows = tables.flat_map(|table| {
        table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
    });
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        let labels = values.replace_all(cells[2], "");
        let samples = shown.lines().filter(|line| {
            let of = line.split(['{', ' ']).next().unwrap();
            let endings = ["", "_bucket", "_sum", "_count"];
            quoted(cells[1])
                .iter()
                .any(|family| endings.iter().any(|end| of == format!("{family}{end}")))
        });
        let labels_shown: BTreeSet<&str> = samples
            .flat_map(|line| label.captures_iter(line))
            .map(|found| found.get(1).unwrap().as_str())
            .filter(|label| *label != "le")
            .collect();
        let labels_described: BTreeSet<&str> = quoted(&labels).into_iter().collect();
        assert_eq!(labels_described, labels_shown, "{row}");
    }
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_program() {
    let help = help(&[]).split_whitespace().collect::<Vec<_>>().join(" ");
    for row in table("exit code") {
        let words = row[1].split(':').next().unwrap();
        assert!(help.contains(&format!("{} {words}", row[0])), "{row:?}");
    }

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not.db");
    fs::write(&file, "this is no database at all").unwrap();
    let foreign = format!("--database-url=sqlite://{}", file.display());
    let database = Database::new(Kind::Sqlite);
    let serving = program::Program::start(&database.url, &[]);
    let in_use = format!("--database-url={}", database.url);
    let ports = [
        "--otlp-http-listen=127.0.0.1:0",
        "--otlp-grpc-listen=127.0.0.1:0",
        "--http-listen=127.0.0.1:0",
    ];
    for (code, arguments) in [
        (0, &["config", "check"][..]),
        (64, &["frobnicate"]),
        (64, &["errors", "list"]),
        (65, &[ports[0], ports[1], &foreign]),
        (
            69,
            &[
                "errors",
                "list",
                "--database-url=postgresql://127.0.0.1:1/app",
            ],
        ),
        (73, &[ports[0], ports[1], &in_use]),
    ] {
        let output = redspan(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {output:?}"
        );
    }
    drop(serving);
}

#[test]
fn the_commands_of_the_readme_and_their_flags_are_there() {
    let mut helps = help(&[]);
    for row in table("command") {
        // `redspan migrate up`, `down`, `status`: each further one takes the last word's place.
        let mut words: Vec<&str> = Vec::new();
        for command in quoted(row[0]) {
            let command = command.trim_end_matches(" ID");
            match command.strip_prefix("redspan") {
                Some(rest) => words = rest.split_whitespace().collect(),
                None => *words.last_mut().unwrap() = command,
            }
            helps.push_str(&help(&words));
        }
    }
    let flag = Regex::new(r"[` ](--[a-z-]+)").unwrap();
    for found in flag.captures_iter(README) {
        let flag = &found[1];
        let of_others = ["--release", "--locked", "--path", "--import", "--require"];
        assert!(of_others.contains(&flag) || helps.contains(flag), "{flag}");
    }
}

#[test]
fn the_settings_of_the_readme_are_there_with_these_defaults() {
    let variable = Regex::new(r"\bREDSPAN_[A-Z_]*[A-Z]").unwrap();
    for found in variable.find_iter(README) {
        let mut known = Config::settings().map(redspan::config::Setting::environment_name);
        assert!(known.any(|name| name == found.as_str()), "{found:?}");
    }
    let sections = [
        "database",
        "otlp",
        "http",
        "auth",
        "writer",
        "retention",
        "limits",
        "links",
        "privacy",
        "log",
    ];
    for words in quoted(README) {
        let section = words.split_once('.').map_or("", |(section, _)| section);
        let path = words.split(' ').next().unwrap();
        let of_telemetry = ["http.status_code"];
        if sections.contains(&section) && !of_telemetry.contains(&path) {
            let known = Config::settings().any(|setting| setting.path == path);
            assert!(known, "{words}");
        }
    }
    for row in table("setting") {
        let names = quoted(row[0]);
        let defaults: Vec<&str> = row[1].split(", ").take(names.len()).collect();
        for (name, default) in names.iter().zip(defaults) {
            let setting = Config::settings().find(|setting| setting.path == *name);
            let default = default.split(' ').next().unwrap();
            assert_eq!(setting.unwrap().default, default, "{name}");
        }
    }
}

#[test]
fn the_files_that_the_documents_name_are_there() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let link = Regex::new(r"\]\(([^):#]+)\)").unwrap();
    let place = Regex::new(r"`((?:src|tests|examples|migrations|benches|fuzz)/[\w./]*)`").unwrap();
    for document in [README, ARCHITECTURE] {
        for found in link
            .captures_iter(document)
            .chain(place.captures_iter(document))
        {
            assert!(repository.join(&found[1]).exists(), "{}", &found[1]);
        }
    }
}
