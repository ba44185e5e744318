//! The command line is consistent, and its help is complete, fits a terminal and has examples that parse.

use super::Cli;
use super::parse::parse_size;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser};

/// Columns of the narrowest terminal on which no line of a help text is wrapped.
const COLUMNS: usize = 100;

/// The commands as the program has them, with the flags that every command shares.
fn commands() -> Vec<Command> {
    let mut cli = Cli::command();
    cli.build();
    cli.get_subcommands().filter(|command| command.get_name() != "help").cloned().collect()
}

/// Lines of the text after the flags.
fn after_help(command: &Command) -> Vec<String> {
    command.get_after_help().map(ToString::to_string).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Words of an example as a shell splits them, up to a comment or a redirection.
fn words(example: &str) -> Vec<String> {
    let command = example.split("  (").next().unwrap_or_default();
    let command = command.split(" > ").next().unwrap_or_default();
    let quoted = |(number, part): (usize, &str)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    };
    command.split('"').enumerate().flat_map(quoted).collect()
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_flag_is_described() {
    for command in commands() {
        let name = command.get_name();
        let about = command.get_about().unwrap_or_else(|| panic!("{name} has no purpose")).to_string();
        assert!(about.len() <= COLUMNS && !about.contains('\n'), "{name}: {about}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} {argument} has no help");
        }
        let sections: Vec<&str> = command.get_arguments().filter_map(|argument| argument.get_help_heading()).collect();
        assert_eq!(sections.last(), Some(&"Messages on standard error"), "{name}: the shared flags are last");
    }
}

#[test]
fn help_fits_a_terminal() {
    for command in commands().into_iter().chain([Cli::command()]) {
        for line in after_help(&command) {
            assert!(line.chars().count() <= COLUMNS, "{}: {line}", command.get_name());
        }
    }
}

#[test]
fn every_command_has_examples_and_they_parse() {
    for command in commands().into_iter().chain([Cli::command()]) {
        let lines = after_help(&command);
        let own = format!("  {}", command.get_bin_name().unwrap_or("selvedge"));
        assert!(lines.iter().any(|line| line.starts_with(&own)), "{own} has no example");
        for example in lines.iter().filter(|line| line.starts_with("  selvedge ")) {
            let error = Cli::try_parse_from(words(example)).err();
            let error = error.filter(|error| error.kind() != ErrorKind::DisplayHelp);
            assert!(error.is_none(), "{example}: {error:?}");
        }
    }
}

#[test]
fn sizes() {
    assert_eq!(parse_size("4GiB"), Ok(4 << 30));
    assert_eq!(parse_size("1.5k"), Ok(1536));
    assert_eq!(parse_size("3MB"), Ok(3_000_000));
    assert!(parse_size("GiB").is_err() && parse_size("4 apples").is_err());
}
