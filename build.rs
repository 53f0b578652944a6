//! Tells the program what it was built from: `REDSPAN_REVISION` (unless the environment says it) and
//! `REDSPAN_RUSTC`. Builds it again when a migration is added.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

fn main() {
    println!("cargo:rerun-if-env-changed=REDSPAN_REVISION");
    if env::var_os("REDSPAN_REVISION").is_none() {
        // The log of HEAD changes with every commit and checkout.
        if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"])
            && Path::new(&log).exists()
        {
            println!("cargo:rerun-if-changed={log}");
        }
        if let Some(revision) = output("git", &["rev-parse", "--short=12", "HEAD"]) {
            println!("cargo:rustc-env=REDSPAN_REVISION={revision}");
        }
    }
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    if let Some(version) = output(&rustc, &["--version"])
        && let Some(version) = version.split_whitespace().nth(1)
    {
        println!("cargo:rustc-env=REDSPAN_RUSTC={version}");
    }
    // They are read into the program when it is compiled.
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=build.rs");
}

/// The first line of what a command says; nothing when it fails.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}
