//! `sower completion`: flags from the words of the command line, and values from this very project.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;
use sower_core::problem::Code;
use sower_store::{Migrate, Options, Store, StoreError};

use crate::cli::{Cli, CompleteArgs, CompletionArgs, Where, every};
use crate::commands::Context;
use crate::databases;
use crate::failure::{Exit, Failure};
use crate::origin;
use crate::settings::Settings;
use crate::snapshots::Disk;

/// How long a shell waits for a database.
const AT_ONCE: Duration = Duration::from_secs(2);
/// Seedings of an environment that are offered.
const OFFERED: u32 = 50;

/// Writes the script for a shell.
///
/// # Errors
/// None; every command has the same shape.
pub fn run(args: &CompletionArgs, context: &Context) -> Result<Exit, Failure> {
    context.style.raw(&script(args.shell));
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(), "sower", &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        Shell::Bash => bash(&script),
        Shell::Zsh => zsh(&script),
        Shell::Fish => script + include_str!("completion/values.fish") + &fish_choices(),
        _ => script,
    }
}

/// The command line without the commands that are not for people.
fn without_hidden() -> clap::Command {
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    clap::Command::new("sower")
        .version(env!("CARGO_PKG_VERSION"))
        .args(cli.get_arguments())
        .subcommands(shown)
}

/// A function around the generated one that knows values.
fn bash(script: &str) -> String {
    let registration = script.rfind("\nif [[ \"${BASH_VERSINFO[0]}\"").unwrap_or(script.len());
    let (functions, registration) = script.split_at(registration);
    let registration = registration.replace("complete -F _sower ", "complete -F _sower_values ");
    let values = include_str!("completion/values.bash")
        .replace("VALUED", &valued().into_iter().collect::<Vec<_>>().join(" | "));
    format!("{functions}\n{values}{registration}")
}

/// Every option that the next word belongs to.
fn valued() -> BTreeSet<String> {
    let commands = without_hidden();
    let all = every(&commands).into_iter().map(|(_, command)| command).chain([&commands]);
    let arguments = all.flat_map(clap::Command::get_arguments);
    let valued = arguments.filter(|argument| argument.get_action().takes_values());
    let names = |argument: &clap::Arg| {
        let short = argument.get_short().map(|short| format!("-{short}"));
        short.into_iter().chain(argument.get_long().map(|long| format!("--{long}"))).collect::<Vec<_>>()
    };
    valued.flat_map(names).collect()
}

/// The words that a command may be followed by, which the generated completion for fish leaves out.
fn fish_choices() -> String {
    let mut text = String::new();
    for command in without_hidden().get_subcommands() {
        for choices in command.get_positionals().map(clap::Arg::get_possible_values) {
            let shown = choices.iter().filter(|choice| !choice.is_hide_set());
            let shown: Vec<&str> = shown.map(clap::builder::PossibleValue::get_name).collect();
            if shown.is_empty() {
                continue;
            }
            let known: Vec<&str> =
                choices.iter().flat_map(clap::builder::PossibleValue::get_name_and_aliases).collect();
            text.push_str(&format!(
                "complete -c sower -n \"__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}\" -f -a \"{}\"\n",
                command.get_name(),
                known.join(" "),
                shown.join(" ")
            ));
        }
    }
    text
}

/// The generated completion, with functions in place of files where a value is one of ours.
fn zsh(script: &str) -> String {
    let replaced = script.lines().map(|line| {
        let action = if line.contains("--environment=")
            || line.contains("-e+[")
            || line.starts_with("':from ")
            || line.starts_with("':to ")
        {
            "_sower_environments"
        } else if line.contains("--at=") || line.contains("--to=") {
            "_sower_seedings"
        } else if line.contains("--only=") || line.starts_with("':id ") || line.starts_with("'::id ") {
            "_sower_integrations"
        } else if line.starts_with("'::name ") {
            "_sower_names"
        } else if line.starts_with("'::code ") {
            "_sower_codes"
        } else {
            return format!("{line}\n");
        };
        format!("{}\n", line.replace(":_default'", &format!(":{action}'")))
    });
    let script: String = replaced.collect();
    let head_end = script.find("\n\n").map_or(0, |at| at + 1);
    let (head, rest) = script.split_at(head_end);
    format!("{head}\n{}{rest}", include_str!("completion/values.zsh"))
}

/// Prints the words that a shell asks for. A project that cannot be read has none.
///
/// # Errors
/// None: a shell has no use for them.
pub fn words(args: &CompleteArgs, context: &Context) -> Result<Exit, Failure> {
    let words = match args.what.as_str() {
        "codes" => Code::ALL.iter().map(|code| code.as_str().to_owned()).collect(),
        "environments" => environments().unwrap_or_default(),
        "integrations" => integrations().unwrap_or_default(),
        // Off the threads that drive the program: one of them may be waited for.
        "seedings" => tokio::runtime::Handle::current().block_on(seedings()).unwrap_or_default(),
        _ => Vec::new(),
    };
    context.style.raw(&words.iter().map(|word| format!("{word}\n")).collect::<String>());
    Ok(Exit::Done)
}

fn environments() -> Result<Vec<String>, Failure> {
    let settings = Settings::read(&Where::default(), false)?;
    let files = origin::environment_files(&settings)?;
    Ok(files.environments.into_iter().map(|environment| environment.name).collect())
}

/// The last seedings of every environment, newest first. A database that does not answer at once has none.
async fn seedings() -> Result<Vec<String>, Failure> {
    let settings = Settings::read(&Where::default(), false)?;
    let files = origin::environment_files(&settings)?;
    let mut words = Vec::new();
    for environment in &files.environments {
        let asked = tokio::time::timeout(AT_ONCE, seedings_of(&settings, &environment.name)).await;
        words.extend(asked.ok().and_then(Result::ok).unwrap_or_default());
    }
    Ok(words)
}

async fn seedings_of(settings: &Settings, environment: &str) -> Result<Vec<String>, StoreError> {
    let url = databases::url(settings, environment)?;
    if url.file().is_some_and(|file| !file.exists()) {
        return Ok(Vec::new());
    }
    let store = Store::open(&url, &Options { migrate: Migrate::Never, ..Options::default() }).await?;
    let logged = store.history(Some(environment), OFFERED).await?;
    let numbers = logged.into_iter().filter_map(|row| row.seq);
    Ok(numbers.map(|number| format!("{environment}-{number}")).collect())
}

fn integrations() -> Result<Vec<String>, Failure> {
    let settings = Settings::read(&Where::default(), false)?;
    let files = origin::environment_files(&settings)?;
    let mut places = BTreeSet::new();
    for environment in &files.environments {
        places.extend(origin::on_disk(&settings, &environment.name, &environment.spec));
    }
    let mut ids = BTreeSet::new();
    for (folder, path) in places {
        ids.extend(
            Disk::new(&folder, &settings)?.load(&path)?.found.into_iter().filter_map(|found| found.id),
        );
    }
    Ok(ids.into_iter().collect())
}
