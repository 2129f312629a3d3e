//! Words that are off: clap's findings, said as every other error is.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, Error, ValueEnum as _};

use crate::cli::{Cli, ColorChoice, Format, Looks};
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::style::Style;

/// Prints help and version where they were asked for, and an error where the words are off.
pub fn refuse(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe is silent.
            let _ = error.print();
            Exit::Done
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Exit::Usage
        }
        _ => {
            let typed = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
            let typed: Vec<String> = typed.collect();
            let failure = failure(error, &typed);
            let style = Style::new(&Looks { color: ColorChoice::Never, quiet: false, verbose: 0 });
            if let Some(format) = format_of(&typed) {
                // A document of one message can be written.
                let _ = document::write_failure(&style, format, is_one(&typed), &failure);
            }
            style.note(&failure.text());
            failure.exit
        }
    }
}

/// `sower help seed` is `sower seed --help`.
pub fn words(typed: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = typed.collect();
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.truncate(2);
        words.push("--help".into());
    }
    words
}

/// The command among the typed words, by its own name.
fn command_of(typed: &[String]) -> Option<String> {
    let cli = Cli::command();
    let found = typed.iter().find_map(|word| cli.get_subcommands().find(|c| is_called(c, word)));
    found.map(|command| command.get_name().to_owned())
}

/// The format for programs that was asked for, of a command that has one.
fn format_of(typed: &[String]) -> Option<Format> {
    let command = command_of(typed);
    let takes_one = |name: &String| {
        let cli = Cli::command();
        let command = cli.find_subcommand(name);
        let takes =
            |command: &clap::Command| command.get_arguments().any(|argument| argument.get_id() == "output");
        command.is_none_or(|command| takes(command) || command.get_subcommands().any(takes))
    };
    if !command.as_ref().is_none_or(takes_one) {
        return None;
    }
    let format = |text: &str| Format::from_str(text, false).ok().filter(|format| *format != Format::Table);
    let nothing = String::new();
    let behind = typed.iter().skip(1).chain(std::iter::once(&nothing));
    typed.iter().zip(behind).find_map(|(word, next)| match word.as_str() {
        "-o" | "--output" => format(next),
        word => {
            let value = word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o="));
            format(value.or_else(|| word.strip_prefix("-o"))?)
        }
    })
}

/// Whether the document of what was typed would have been one object, and no array.
fn is_one(typed: &[String]) -> bool {
    let named = |word: &String| word.starts_with("-e") || word.starts_with("--environment");
    match command_of(typed).as_deref() {
        Some("get" | "history") => false,
        Some("usage") => typed.iter().any(|word| word == "record"),
        Some("doctor" | "diff" | "validate" | "apply" | "rollback" | "adopt") | None => true,
        Some("rollout") => {
            let mut words = typed.iter().skip_while(|word| *word != "status").skip(1);
            match typed.iter().any(|word| word == "status") {
                true => words.next().is_some_and(|word| !word.starts_with('-')) && typed.iter().any(named),
                false => true,
            }
        }
        Some("resolve") => !typed.iter().any(|word| word == "--keys" || word.starts_with("--keys=")),
        Some("rule") => typed.iter().filter(|word| !word.starts_with('-')).nth(1).is_some(),
        Some(_) => typed.iter().any(|word| named(word) && !word.starts_with("--environments")),
    }
}

fn is_called(command: &clap::Command, word: &str) -> bool {
    command.get_name() == word || command.get_all_aliases().any(|alias| alias == word)
}

fn failure(error: &Error, typed: &[String]) -> Failure {
    let command = command_of(typed);
    let help = match &command {
        Some(command) => format!("sower {command} --help"),
        None => "sower --help".to_owned(),
    };
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let list = |kind| match error.get(kind) {
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::String(text)) => vec![text.clone()],
        _ => Vec::new(),
    };
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument => {
            if let Some(why) = command.as_deref().and_then(|command| not_there(command, &argument)) {
                return Failure::usage(format!("unexpected argument '{argument}': {why}"));
            }
            let meant = text(ContextKind::SuggestedArg);
            let meant = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            Failure::usage(format!("unexpected argument '{argument}'{meant}")).next("its flags", help)
        }
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let meant = text(ContextKind::SuggestedSubcommand);
            let meant = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            Failure::usage(format!("no command is called `{word}`{meant}"))
                .next("all of them", "sower --help")
        }
        ErrorKind::InvalidValue => {
            let given = text(ContextKind::InvalidValue).unwrap_or_default();
            let allowed = list(ContextKind::ValidValue);
            let name = bare(&argument);
            let message = match (given.is_empty(), allowed.is_empty()) {
                (true, true) => format!("{name} takes a value"),
                (true, false) => format!("{name} takes one of {}", allowed.join(", ")),
                (false, true) => format!("{name} does not take `{given}`"),
                (false, false) => format!("{name} takes {}, not `{given}`", allowed.join(", ")),
            };
            Failure::usage(message).next("its flags", help)
        }
        ErrorKind::ValueValidation => {
            let given = text(ContextKind::InvalidValue).unwrap_or_default();
            let why = std::error::Error::source(error).map(|why| format!(": {why}")).unwrap_or_default();
            Failure::usage(format!("{} does not take `{given}`{why}", bare(&argument)))
                .next("its flags", help)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> = list(ContextKind::InvalidArg).iter().map(|name| bare(name)).collect();
            Failure::usage(format!("{} is missing", missing.join(", "))).next("examples", help)
        }
        ErrorKind::ArgumentConflict => {
            let prior = list(ContextKind::PriorArg);
            match prior.is_empty() {
                true => Failure::usage(format!("{} is there twice", bare(&argument))),
                false => {
                    Failure::usage(format!("{} and {} exclude each other", bare(&argument), bare(&prior[0])))
                }
            }
        }
        _ => Failure::usage(first_line(error)).next("its flags", help),
    }
}

/// `--output <FORMAT>` without its value's name, `<ID>` without its brackets.
fn bare(argument: &str) -> String {
    let name = argument.split(' ').next().unwrap_or(argument);
    name.trim_start_matches(['<', '['])
        .trim_end_matches(['>', ']', '.'])
        .trim_end_matches(['>', ']'])
        .to_owned()
}

/// Flags that other tools have and Sower has not, with what there is instead.
fn not_there(command: &str, argument: &str) -> Option<&'static str> {
    match (command, argument) {
        ("seed", "--force" | "-f") => Some("--reseed writes unchanged rows again; no flag overrides a guard"),
        ("seed", "--dry-run") => Some("`sower plan` says what a seeding would change"),
        ("seed" | "suspend" | "resume", "-A" | "--all-namespaces") => {
            Some("only asking covers all namespaces")
        }
        ("get" | "status" | "plan" | "history" | "explain" | "drift", "--all") => {
            Some("asking covers all environments by itself")
        }
        (_, "--format") => Some("-o is the only format flag"),
        _ => None,
    }
}

fn first_line(error: &Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn check(words: &str, expected: &str) {
        let typed: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let error =
            Cli::try_parse_from(std::iter::once("sower".to_owned()).chain(typed.clone())).expect_err(words);
        let failure = failure(&error, &typed);
        assert_eq!(failure.text(), expected, "{words}");
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn words_that_are_off_are_told_in_one_way() {
        check(
            "seed -e production --force",
            "error: unexpected argument '--force': --reseed writes unchanged rows again; no flag overrides a guard\n",
        );
        check(
            "seed --reesed",
            "error: unexpected argument '--reesed': did you mean `--reseed`?\n  its flags:  sower seed --help\n",
        );
        check(
            "reconcile --dry-run",
            "error: unexpected argument '--dry-run': `sower plan` says what a seeding would change\n",
        );
        check(
            "statsu",
            "error: no command is called `statsu`: did you mean `status`?\n  all of them:  sower --help\n",
        );
        check(
            "get integrations -o xml",
            "error: --output takes table, json, yaml, not `xml`\n  its flags:  sower get --help\n",
        );
        check("explain", "error: ID is missing\n  examples:  sower explain --help\n");
        check("seed -e a --all", "error: --environment and --all exclude each other\n");
    }

    #[test]
    fn help_is_a_word_too() {
        for (typed, expected) in [
            ("sower help", "sower --help"),
            ("sower help seed", "sower seed --help"),
            ("sower explain help", "sower explain help"),
            ("sower", "sower"),
        ] {
            let words = words(typed.split(' ').map(OsString::from));
            assert_eq!(words, expected.split(' ').map(OsString::from).collect::<Vec<_>>(), "{typed}");
        }
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }
}
