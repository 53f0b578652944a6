//! The program as a person or a script meets it: sentences and exit codes.

use std::process::{Command, Output};

/// Runs the program in an empty folder with this environment and nothing else.
fn redspan(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_redspan"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .output()
        .unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn a_good_configuration_is_ok() {
    let (code, stdout, stderr) = redspan(&["config", "check"], &[]);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "ok\n", ""));
}

#[test]
fn every_mistake_is_a_sentence_and_the_exit_code_is_64() {
    let environment = [
        ("REDSPAN_LIMITS_BODY_BYTES", "9MB"),
        ("REDSPAN_HTTP_LISTN", "127.0.0.1:1"),
    ];
    for command in [&["config", "check"][..], &["serve"], &[]] {
        let (code, stdout, stderr) = redspan(command, &environment);
        assert_eq!((code, stdout.as_str()), (64, ""));
        assert_eq!(
            stderr,
            "redspan: The environment has an unknown variable REDSPAN_HTTP_LISTN; the nearest known \
             one is REDSPAN_HTTP_LISTEN.\n\
             redspan: REDSPAN_LIMITS_BODY_BYTES is \"9MB\" but must be a size above 0, like 4096, \
             64KiB or 8MiB.\n"
        );
    }
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    assert_eq!(redspan(&["frobnicate"], &[]).0, 64);
    assert_eq!(redspan(&["--http-listen"], &[]).0, 64);
    let (code, help, _) = redspan(&["--help"], &[]);
    assert_eq!(code, 0);
    for words in [
        "--database-url",
        "REDSPAN_OTLP_HTTP_LISTEN",
        "[default: 6h]",
    ] {
        assert!(help.contains(words), "{words}");
    }
    assert!(!help.contains("--auth-api-token "));
    let (code, version, _) = redspan(&["--version"], &[]);
    assert_eq!(code, 0);
    assert!(version.starts_with(concat!("redspan ", env!("CARGO_PKG_VERSION"))));
}
