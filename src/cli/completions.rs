//! `redspan completions`: what a shell needs to complete the command line.

use std::io;

use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  redspan completions bash > /etc/bash_completion.d/redspan
  redspan completions zsh > ~/.zfunc/_redspan
  redspan completions fish > ~/.config/fish/completions/redspan.fish
  redspan completions powershell >> $PROFILE";

/// `completions`
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    /// The script for the shell, made from the declarations.
    pub(super) fn script(&self, mut command: clap::Command) -> Result<String, io::Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "redspan", &mut script);
        String::from_utf8(script).map_err(io::Error::other)
    }
}
