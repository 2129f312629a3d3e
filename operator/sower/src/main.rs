//! The `sower` binary: the command line, and the wiring of everything.
//!
//! Invariant: nothing is decided here. Commands read their settings, call what the other crates offer, and print what
//! comes back: results on standard output, everything else on standard error.

mod api;
mod backup;
mod choice;
mod cli;
mod cluster;
mod commands;
mod databases;
mod environments;
mod failure;
mod job;
mod logging;
mod neighbours;
mod origin;
mod output;
mod password;
mod past;
mod person;
mod project;
mod reach;
mod serving;
mod session;
mod settings;
mod since;
mod snapshots;
mod standing;
mod trouble;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::style::Style;

/// How long an interrupted command may take to let go. What it writes by then is rolled back with its connection.
const LET_GO: std::time::Duration = std::time::Duration::from_millis(500);

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let what =
            panic.payload_as_str().unwrap_or("it does not say what").lines().next().unwrap_or_default();
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("error: a mistake of Sower's own: {what}{at}\n"),
        );
    }));
    match std::panic::catch_unwind(start) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(_) => ExitCode::from(Exit::Failed as u8),
    }
}

fn start() -> Exit {
    let cli = match Cli::try_parse_from(usage::words(std::env::args_os())) {
        Ok(cli) => cli,
        Err(error) => return usage::refuse(&error),
    };
    // The fetching process is single-threaded: libgit2's settings are the process's, and unsafe to change beside threads.
    if matches!(cli.command, Command::FetchChild) {
        return if sower_source::fetch_child_main() == 0 { Exit::Done } else { Exit::Failed };
    }
    let style = Style::new(&cli.looks);
    let context = Context { style, cancel: CancellationToken::new(), looks: cli.looks };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return ended(&style, Err(Failure::failed(format!("no threads: {error}")))),
    };
    let exit = if let Command::Run(_) = &cli.command {
        // The operator has signals and logs of its own.
        ended(&style, runtime.block_on(commands::dispatch(cli.command, &context)))
    } else {
        logging::start(&context.looks, &style);
        runtime.block_on(interruptible(cli.command, &context))
    };
    // What still blocks a thread (a lookup of a name, a large file) is not waited for.
    runtime.shutdown_background();
    exit
}

/// Runs a command to its end or to Ctrl-C; then what it began is rolled back, and children are ended.
async fn interruptible(command: Command, context: &Context) -> Exit {
    let changes = matches!(
        command,
        Command::Seed(_)
            | Command::Apply(_)
            | Command::Rollback(_)
            | Command::Rollout(_)
            | Command::Promote(_)
            | Command::Adopt(_)
            | Command::Suspend(_)
            | Command::Resume(_)
    );
    let running = commands::dispatch(command, context);
    tokio::pin!(running);
    tokio::select! {
        // Ctrl-C is listened for before the command begins.
        biased;
        _ = tokio::signal::ctrl_c() => context.cancel.cancel(),
        ended_with = &mut running => return ended(&context.style, ended_with),
    }
    if changes {
        // What was written by then is written, and told as ever; a second Ctrl-C does not wait for that.
        tokio::select! {
            let_go = tokio::time::timeout(LET_GO, &mut running) => match let_go {
                Ok(ended_with) => return ended(&context.style, ended_with),
                Err(_) => context.style.note("Interrupted while it wrote: all of it is there, or nothing. Which: sower history"),
            },
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    Exit::Interrupted
}

fn ended(style: &Style, result: Result<Exit, Failure>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            style.note(&failure.text());
            failure.exit
        }
    }
}
