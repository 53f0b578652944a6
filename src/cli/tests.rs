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
