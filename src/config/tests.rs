//! Layers, mistakes, and the example file.

mod rules;

use std::fmt::Write;

use super::*;

fn load(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Config, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redspan.toml");
    std::fs::write(&path, file).unwrap();
    Config::load(&Given {
        file: Some(path),
        flags: flags
            .iter()
            .map(|(path, text)| (*path, (*text).to_owned()))
            .collect(),
        environment: environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect(),
    })
}

/// What is wrong, as one text.
fn complaint(file: &str, environment: &[(&str, &str)]) -> String {
    load(file, environment, &[]).unwrap_err().to_string()
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = load("", &[], &[]).unwrap();
    assert_eq!(config.database.url.expose(), "sqlite://redspan.db");
    assert_eq!(config.otlp.http.listen.to_string(), "127.0.0.1:4318");
    assert_eq!(config.limits.body_bytes, Bytes(8 << 20));
    assert!(!config.writer_name().is_empty());
    assert!(!config.api_is_closed());
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file =
        "[http]\nlisten = \"127.0.0.1:1\"\n[writer]\nname = \"file\"\n[log]\nlevel = \"warn\"";
    let environment = [
        ("REDSPAN_HTTP_LISTEN", "127.0.0.1:2"),
        ("REDSPAN_WRITER_NAME", "environment"),
    ];
    let config = load(file, &environment, &[("http.listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(config.http.listen.port(), 3);
    assert_eq!(config.writer_name(), "environment");
    assert_eq!(config.log.level, "warn");
}

#[test]
fn a_file_holds_texts_numbers_switches_and_lists() {
    let file = r#"
        limits.connections = 7
        database.pooler = true
        limits.body_bytes = "1MiB"
        auth.ingest_token = ["first-token-of-two", "second-token-of-two"]
    "#;
    let config = load(file, &[], &[]).unwrap();
    assert_eq!(config.limits.connections, 7);
    assert!(config.database.pooler);
    assert_eq!(config.limits.body_bytes, Bytes(1 << 20));
    assert_eq!(config.auth.ingest_token[1].expose(), "second-token-of-two");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let sentence = complaint("[limits]\nbody_byte = 1", &[]);
    assert!(sentence.contains("\"limits.body_byte\"; the nearest known one is limits.body_bytes."));
    let sentence = complaint("[otlp.htp]\nlisten = \"127.0.0.1:1\"", &[]);
    assert!(sentence.contains("\"otlp.htp\""), "{sentence}");
    let sentence = complaint("", &[("REDSPAN_DATABSE_URL", "sqlite://x")]);
    assert!(
        sentence.contains("REDSPAN_DATABSE_URL; the nearest known one is REDSPAN_DATABASE_URL.")
    );
    let sentence = complaint("", &[("REDSPAN_RETENTION_LEDGERS", "1h")]);
    assert!(sentence.contains("REDSPAN_RETENTION_LEDGERS"));
}

#[test]
fn variables_that_kubernetes_and_others_set_do_no_harm() {
    let environment = [
        ("REDSPAN_SERVICE_HOST", "10.0.0.1"),
        ("REDSPAN_PORT", "tcp://10.0.0.1:4318"),
        ("REDSPAN_PORT_4318_TCP_ADDR", "10.0.0.1"),
        ("REDSPAN_HTTP_SERVICE_PORT", "9464"),
        ("REDSPAN_IMAGE", "redspan:1"),
        ("REDSPAN_HTTP_LISTEN", ""),
    ];
    assert!(load("", &environment, &[]).is_ok());
}

#[test]
fn redspan_log_is_the_level() {
    let config = load("", &[("REDSPAN_LOG", "info,redspan::commit=debug")], &[]).unwrap();
    assert_eq!(config.log.level, "info,redspan::commit=debug");
    assert!(complaint("", &[("REDSPAN_LOG", "redspan=loud")]).contains("REDSPAN_LOG is"));
}

#[test]
fn every_mistake_is_told_at_once_and_where_it_was_made() {
    let sentences = complaint(
        "http.listen = 5\nretention.ledger = \"soon\"",
        &[("REDSPAN_DATABASE_URL", "mysql://x")],
    );
    assert!(sentences.contains("http.listen in "));
    assert!(sentences.contains("retention.ledger in "));
    assert!(sentences.contains("REDSPAN_DATABASE_URL must be sqlite://"));
    assert_eq!(sentences.lines().count(), 3);
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = "a-very-secret-token";
    let config = load(
        "database.url = \"postgresql://red:hush-hush@db/app\"",
        &[
            ("REDSPAN_AUTH_INGEST_TOKEN", secret),
            ("REDSPAN_AUTH_API_TOKEN", secret),
        ],
        &[],
    )
    .unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains(secret) && !shown.contains("hush"),
        "{shown}"
    );
    let sentence = complaint("", &[("REDSPAN_AUTH_API_TOKEN", "hush")]);
    assert!(!sentence.contains("hush"), "{sentence}");
    let sentence = complaint("database.url = \"postgres:/red:hush@db\"", &[]);
    assert!(!sentence.contains("hush"), "{sentence}");
}

#[test]
fn tokens_may_stand_in_a_file_of_their_own() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "token-number-one-\n\ntoken-number-two-\n").unwrap();
    let path = file.path().to_str().unwrap();
    let config = load("", &[("REDSPAN_AUTH_INGEST_TOKEN_FILE", path)], &[]).unwrap();
    assert_eq!(config.auth.ingest_token.len(), 2);
    std::fs::write(&file, "short\n").unwrap();
    let sentence = complaint("", &[("REDSPAN_AUTH_API_TOKEN_FILE", path)]);
    assert!(sentence.contains("auth.api_token_file"), "{sentence}");
    assert!(!sentence.contains("short"), "{sentence}");
}

#[test]
fn ingest_is_not_open_to_the_network_unless_somebody_says_so() {
    let exposed = "otlp.http.listen = \"0.0.0.0:4318\"\n";
    assert!(complaint(exposed, &[]).contains("set auth.ingest_token"));
    let token = [("REDSPAN_AUTH_INGEST_TOKEN", "sixteen-bytes-xx")];
    assert!(load(exposed, &token, &[]).is_ok());
    assert!(load(&format!("{exposed}auth = \"none\""), &[], &[]).is_ok());
    assert!(load("otlp.http.listen = \"[::1]:4318\"", &[], &[]).is_ok());
    let exposed = "otlp.grpc.listen = \"0.0.0.0:4317\"\n";
    assert!(complaint(exposed, &[]).contains("is 0.0.0.0:4317, which others"));
    assert!(load(exposed, &token, &[]).is_ok());
    assert!(load("otlp.grpc.listen = \"\"", &[], &[]).is_ok());
    assert!(load("otlp.http.listen = \"[::ffff:127.0.0.1]:4318\"", &[], &[]).is_ok());
}

#[test]
fn the_api_is_closed_to_the_network_unless_somebody_says_so() {
    let exposed = "http.listen = \"0.0.0.0:9464\"\n";
    let is_closed = |file: &str, environment: &[(&str, &str)]| {
        load(file, environment, &[]).unwrap().api_is_closed()
    };
    assert!(is_closed(exposed, &[]));
    assert!(!is_closed(
        exposed,
        &[("REDSPAN_AUTH_API_TOKEN", "sixteen-bytes-xx")]
    ));
    assert!(!is_closed(exposed, &[("REDSPAN_AUTH", "none")]));
    assert!(!is_closed("", &[]));
    let is_local = |file: &str, environment: &[(&str, &str)]| {
        load(file, environment, &[]).unwrap().api_is_local()
    };
    assert!(is_local("", &[]));
    assert!(!is_local(exposed, &[]));
    assert!(!is_local(
        "",
        &[("REDSPAN_AUTH_API_TOKEN", "sixteen-bytes-xx")]
    ));
    assert!(!is_local("", &[("REDSPAN_AUTH", "none")]));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (file, words) in [
        ("http.listen = \"127.0.0.1:4318\"", "different ports"),
        (
            "http.listen = \"127.0.0.1:4317\"",
            "otlp.grpc.listen and http.listen",
        ),
        (
            "telemetry.endpoint = \"http://localhost:4317\"",
            "where redspan itself listens (otlp.grpc.listen)",
        ),
        (
            "telemetry.endpoint = \"http://localhost:4318\"",
            "where redspan itself listens",
        ),
        (
            "telemetry.endpoint = \"http://[::1]:4318/\"",
            "where redspan itself listens",
        ),
        (
            "telemetry.endpoint = \"https://collector:4318\"",
            "http://collector:4318",
        ),
        (
            "links.trace = \"https://jaeger.example/trace\"",
            "with {trace_id} where the trace's id belongs",
        ),
        ("limits.body_bytes = \"1GiB\"", "limits.inflated_body_bytes"),
        (
            "limits.in_flight_bytes = \"1MiB\"",
            "limits.in_flight_bytes",
        ),
        ("limits.label_sets = 10", "at least 100"),
        ("database.schema = \"Red Span\"", "PostgreSQL name"),
        ("database.schema = \"x; drop\"", "PostgreSQL name"),
    ] {
        let sentence = complaint(file, &[]);
        assert!(sentence.contains(words), "{sentence}");
    }
}

#[test]
fn patterns_are_lists_and_a_bad_one_is_named_with_its_place() {
    let file = "[privacy]\nscrub_patterns = [\"ORD-[0-9]{2,3}\", \"pin (\\\\d+)\"]\n\
                scrub_keys = [\"iban\", \"x-id\"]\n";
    let config = load(file, &[], &[]).unwrap();
    let patterns = config.privacy.scrub_patterns.0;
    let texts: Vec<&str> = patterns.iter().map(regex::Regex::as_str).collect();
    assert_eq!(texts, ["ORD-[0-9]{2,3}", r"pin (\d+)"]);
    assert_eq!(config.privacy.scrub_keys, ["iban", "x-id"]);

    let environment = [("REDSPAN_PRIVACY_SCRUB_PATTERNS", "a,b\nc")];
    let config = load("", &environment, &[]).unwrap();
    assert_eq!(config.privacy.scrub_patterns.0.len(), 2);

    for (pattern, words) in [
        ("a(b", "\"a(b\" is none: unclosed group"),
        ("x*", "\"x*\" matches nothing at all"),
        (r"(\\w{500}){500}", "is too large"),
    ] {
        let file = format!("[privacy]\nscrub_patterns = [\"fine\", \"{pattern}\"]\n");
        let sentence = complaint(&file, &[]);
        assert!(
            sentence.contains("privacy.scrub_patterns in "),
            "{sentence}"
        );
        assert!(sentence.contains("redspan.toml:2"), "{sentence}");
        assert!(sentence.contains(words), "{sentence}");
    }
}

/// `redspan.example.toml`, made from the declarations.
fn example() -> String {
    let mut text = String::from(
        "# Every setting of redspan with its default. Copy what you change to redspan.toml, or name\n\
         # the file with --config. REDSPAN_* variables win over it (`limits.body_bytes` is\n\
         # REDSPAN_LIMITS_BODY_BYTES), and flags over those (--limits-body-bytes).\n\
         #\n\
         # Durations: 500ms, 5s, 15m, 6h, 30d. Sizes: 4096, 64KiB, 8MiB. An unknown key is refused.\n",
    );
    for setting in Config::settings() {
        text.push('\n');
        for line in setting.help.lines() {
            writeln!(text, "# {}", line.trim()).unwrap();
        }
        let literal =
            setting.default.parse::<u64>().is_ok() || setting.default.parse::<bool>().is_ok();
        let quote = if literal { "" } else { "\"" };
        writeln!(
            text,
            "#{} = {quote}{}{quote}",
            setting.path, setting.default
        )
        .unwrap();
    }
    text.push_str(EXAMPLE_OF_RULES);
    text
}

/// Rules have no defaults.
const EXAMPLE_OF_RULES: &str = "
# What becomes of failures: the first rule whose match holds for a span or log record decides. It
# drops it, or sets severity, category, endpoint, tags, fingerprint or fail_request. README tells
# what match knows. Read anew at SIGHUP.
#[[rules]]
#name = \"bots on the old site\"
#match = { service = \"shop\", endpoint = \"/legacy/*\", status_code = [404, \"5xx\"] }
#drop = true
";

#[test]
fn the_rules_of_the_example_can_be_uncommented() {
    let rules = EXAMPLE_OF_RULES
        .replace("\n#[[", "\n[[")
        .replace("\n#name", "\nname");
    let rules = rules
        .replace("\n#match", "\nmatch")
        .replace("\n#drop", "\ndrop");
    assert_eq!(load(&rules, &[], &[]).unwrap().rules.rules.0.len(), 1);
}

#[test]
fn the_example_file_shows_every_setting() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/redspan.example.toml");
    if std::env::var_os("UPDATE_EXAMPLES").is_some() {
        std::fs::write(path, example()).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        file,
        example(),
        "run this test with UPDATE_EXAMPLES=1 to write the file again"
    );
}

#[test]
fn every_line_of_the_example_can_be_uncommented_by_itself() {
    for line in example().lines().filter(|line| line.contains(" = ")) {
        let is_setting = |line: &&str| Config::settings().any(|it| line.starts_with(it.path));
        if let Some(setting) = line.strip_prefix('#').filter(is_setting) {
            load(setting, &[], &[]).unwrap_or_else(|mistakes| panic!("{setting}: {mistakes}"));
        }
    }
}

#[test]
fn each_setting_is_shown_with_its_source_and_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redspan.toml");
    let file = "# first line\nlimits.connections = 7\n[database]\n\
                url = \"postgresql://red:hush-file@db/app?password=hush-query\"\n\
                [auth]\ningest_token = [\"hush-token-of-file\"]\n[log]\nlevel = \"warn\"\n";
    std::fs::write(&path, file).unwrap();
    let given = Given {
        file: Some(path.clone()),
        flags: [("http.listen", "127.0.0.1:1".to_owned())].into(),
        environment: vec![
            ("REDSPAN_LOG_LEVEL".to_owned(), "debug".to_owned()),
            (
                "REDSPAN_AUTH_API_TOKEN".to_owned(),
                "hush-token-of-environment".to_owned(),
            ),
        ],
    };
    let all = InForce::all(&given).unwrap();
    assert_eq!(all.len(), Config::settings().count());
    let of = |name: &str| {
        let it = all.iter().find(|it| it.setting.path == name).unwrap();
        (it.value.clone(), it.source_kind(), it.place())
    };
    let text = |text: &str| Some(text.to_owned());
    let line = |line: u8| Some(format!("{}:{line}", path.display()));
    assert_eq!(of("limits.connections"), (text("7"), "file", line(2)));
    let url = text("postgresql://red@db/app");
    assert_eq!(of("database.url"), (url, "file", line(4)));
    assert_eq!(of("auth.ingest_token"), (text("***"), "file", line(6)));
    let token = text("REDSPAN_AUTH_API_TOKEN");
    assert_eq!(of("auth.api_token"), (text("***"), "environment", token));
    let level = text("REDSPAN_LOG_LEVEL");
    assert_eq!(of("log.level"), (text("debug"), "environment", level));
    let flag = text("--http-listen");
    assert_eq!(of("http.listen"), (text("127.0.0.1:1"), "flag", flag));
    assert_eq!(of("retention.ledger"), (text("6h"), "default", None));
    assert_eq!(of("writer.name"), (None, "default", None));
    assert!(!format!("{all:?}").contains("hush"));
}

#[test]
fn a_mistake_in_a_file_names_its_line() {
    let sentence = complaint("# first\n[limits]\nconnections = 0", &[]);
    assert!(sentence.contains("redspan.toml:3 is \"0\""), "{sentence}");
    let sentence = complaint("\n\nhttp.listn = 1", &[]);
    assert!(
        sentence.contains("redspan.toml:3 has an unknown"),
        "{sentence}"
    );
}
