//! The generated pages of docs/: the command line, the problems, and the formats of manifests and environments.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::cli::{Cli, every};

/// Every page: the name of its file and its text.
#[must_use]
pub fn all() -> Vec<(String, String)> {
    vec![
        ("cli.md".into(), command_line()),
        ("problems.md".into(), sower_core::rule::problems_reference()),
        ("manifest.md".into(), sower_crds::manifest_reference()),
        ("environment.md".into(), sower_crds::environment_reference()),
    ]
}

/// Said of every page, so that nobody edits it by hand.
const MADE: &str = "<!-- Made by `make generate`. -->\n\n";

const STREAMS: &str = "\
Standard output carries the result and nothing else; `from:`, progress, warnings and hints go to standard error. A flag
wins over a variable (`SOWER_ENVIRONMENTS`, `SOWER_SOURCE`, `SOWER_DATABASE_URL`, `SOWER_TARGET`), a variable over
`sower.toml`; `sower doctor` says where each value came from.

| exit | means |
| --- | --- |
| 0 | done, or nothing to do |
| 1 | failed, or a manifest was refused (the others are in) |
| 2 | the words of the command are off |
| 3 | there are differences, and `--exit-code` asked |
| 4 | a guard refused; nothing was written |
| 130 | interrupted |
";

fn command_line() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut page = format!("# The command line\n\n{MADE}{STREAMS}\n");
    let _ = write!(
        page,
        "Flags of every command:\n\n{}",
        flags(cli.get_arguments().filter(|arg| arg.is_global_set()))
    );
    if let Some(status) = cli.find_subcommand("status") {
        let _ = write!(page, "\n## Where it acts\n\nFlags of every command that acts on environments:\n\n");
        page.push_str(&flags(status.get_arguments().filter(|arg| is_where(arg))));
    }
    let all_places = cli
        .find_subcommand("status")
        .map_or(0, |status| status.get_arguments().filter(|arg| is_where(arg)).count());
    for (name, command) in every(&cli) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n## {name}\n\n{about}.\n");
        let aliases: Vec<String> = command.get_all_aliases().map(|alias| format!("`{alias}`")).collect();
        if !aliases.is_empty() {
            let _ = write!(page, "\nAlso called {}.\n", aliases.join(", "));
        }
        // The ones that most commands share stand above, but for a command that has some of them alone.
        let places = command.get_arguments().filter(|arg| is_where(arg)).count();
        let shared = places == all_places;
        let own = command.get_arguments().filter(|arg| !(arg.is_global_set() || shared && is_where(arg)));
        let table = flags(own);
        if !table.is_empty() {
            let _ = write!(page, "\n{table}");
        }
        if shared {
            page.push_str("\nAnd those of [where it acts](#where-it-acts).\n");
        }
        if let Some(examples) = command.get_after_help() {
            let text = examples.to_string();
            let lines = text.lines().skip(1).map(|line| commented(line.trim_start()));
            let _ = write!(page, "\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n"));
        }
    }
    page
}

fn is_where(arg: &clap::Arg) -> bool {
    arg.get_help_heading() == Some("Where it acts")
}

/// An example and what it does, as a shell reads it.
fn commented(line: &str) -> String {
    match line.find("   ") {
        Some(at) => {
            let (command, told) = line.split_at(at);
            let told = told.trim_start();
            format!("{command}{}# {told}", " ".repeat(line.len() - command.len() - told.len()))
        }
        None => line.to_owned(),
    }
}

fn flags<'a>(arguments: impl Iterator<Item = &'a clap::Arg>) -> String {
    let mut table = String::new();
    let shown = |arg: &&clap::Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    for arg in arguments.filter(shown) {
        if table.is_empty() {
            table.push_str("| | |\n| --- | --- |\n");
        }
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set() && !matches!(value.get_name(), "true" | "false"))
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(help, ": {}", values.join(", "));
        }
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && arg.get_action().takes_values() && !help.contains("default") {
            let _ = write!(help, " (default: {})", defaults.join(", "));
        }
        if let Some(variable) = arg.get_env() {
            let _ = write!(help, " (or `{}`)", variable.to_string_lossy());
        }
        let _ = writeln!(table, "| `{}` | {} |", spelled(arg).replace('|', "\\|"), help.replace('|', "\\|"));
    }
    table
}

/// `-e, --environment NAME`, or `ID` for a positional.
fn spelled(arg: &clap::Arg) -> String {
    let value = if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    };
    let names = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, Some(long)) => format!("--{long}"),
        (None, None) => return value,
    };
    if value.is_empty() { names } else { format!("{names} {value}") }
}
