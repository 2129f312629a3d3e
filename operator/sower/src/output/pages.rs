//! The generated pages of docs/: the command line, the problems, and the formats of manifests and environments.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use crate::cli::Cli;

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
    let _ = write!(page, "Flags of every command:\n\n{}", flags(&cli, true));
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n## sower {name}\n\n{about}.\n");
        let aliases: Vec<String> = command.get_all_aliases().map(|alias| format!("`{alias}`")).collect();
        if !aliases.is_empty() {
            let _ = write!(page, "\nAlso called {}.\n", aliases.join(", "));
        }
        let table = flags(command, false);
        if !table.is_empty() {
            let _ = write!(page, "\n{table}");
        }
        if let Some(examples) = command.get_after_help() {
            let text = examples.to_string();
            let lines = text.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line));
            let _ = write!(page, "\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n"));
        }
    }
    page
}

fn flags(command: &clap::Command, global: bool) -> String {
    let mut table = String::new();
    let shown = |arg: &&clap::Arg| {
        let help = matches!(arg.get_id().as_str(), "help" | "version");
        !arg.is_hide_set() && !help && arg.is_global_set() == global
    };
    for arg in command.get_arguments().filter(shown) {
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
