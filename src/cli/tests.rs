//! The command line as people type it.

use super::*;

fn parse(arguments: &[&str]) -> Cli {
    let matches = Cli::command().try_get_matches_from(arguments).unwrap();
    Cli::from_arg_matches(&matches).unwrap()
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn a_setting_can_stand_before_or_after_the_subcommand() {
    for arguments in [
        ["redspan", "--http-listen", "127.0.0.1:1", "serve"],
        ["redspan", "serve", "--http-listen", "127.0.0.1:1"],
    ] {
        let given = parse(&arguments).settings.given(Vec::new());
        assert_eq!(given.flags["http.listen"], "127.0.0.1:1");
    }
}

#[test]
fn no_secret_can_be_given_where_every_process_reads_it() {
    let flags = Cli::command();
    for argument in flags.get_arguments() {
        let name = argument.get_long().unwrap_or_default();
        assert!(
            !name.ends_with("-token"),
            "--{name} would show a token in the list of processes"
        );
    }
}

/// Every command that does something, with its name.
fn leaves(name: &str, command: &clap::Command) -> Vec<(String, clap::Command)> {
    let named = |it: &clap::Command| format!("{name} {}", it.get_name());
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
        .flat_map(|it| leaves(&named(it), it))
        .collect();
    if below.is_empty() {
        vec![(name.to_owned(), command.clone())]
    } else {
        below
    }
}

#[test]
fn every_command_gives_examples_of_itself_that_work() {
    for (name, mut command) in leaves("redspan", &Cli::command()) {
        let help = command.render_long_help().to_string();
        let examples = help.split_once("Examples:\n").map(|(_, it)| it);
        let examples = examples.unwrap_or_else(|| panic!("{name} has no examples"));
        let mut number = 0;
        for line in examples.lines().map_while(|line| line.strip_prefix("  ")) {
            assert!(
                line.starts_with(&name) && line.len() <= 100,
                "{name}: {line}"
            );
            // What follows is a comment, or the shell's.
            let line = line.split(['|', '>']).next().unwrap();
            let words = line.split("  ").next().unwrap().split_whitespace();
            let parsed = Cli::command().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
            number += 1;
        }
        assert!(number > 0, "{name}");
    }
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let cli = parse(&["redspan", "completions", shell]);
        let Some(Command::Completions(completions)) = cli.command else {
            panic!("{shell}");
        };
        let script = completions.script(Cli::command()).unwrap();
        for word in ["redspan", "aggregations", "database-url", "since", "color"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
