//! What lies beneath: `-v`, `-vv` and SOWER_LOG, on standard error.

use tracing_subscriber::EnvFilter;

use crate::cli::Looks;
use crate::output::style::Style;

/// The variable that says what is logged.
pub const VARIABLE: &str = "SOWER_LOG";

/// What is logged: SOWER_LOG, else by the number of `-v`, else `quiet`.
#[must_use]
pub fn filter(verbose: u8, quiet: &str) -> EnvFilter {
    let asked = match verbose {
        0 => std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()),
        1 => Some(ours("debug")),
        _ => Some(format!("debug,{}", ours("trace"))),
    };
    EnvFilter::builder().parse_lossy(asked.as_deref().unwrap_or(quiet))
}

fn ours(level: &str) -> String {
    let crates = ["sower", "sower_core", "sower_source", "sower_store", "sower_controllers", "sower_server"];
    crates.map(|name| format!("{name}={level}")).join(",")
}

/// Starts the log of a command; the operator starts its own.
pub fn start(looks: &Looks, style: &Style) {
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter(looks.verbose, "off"))
        .with_writer(std::io::stderr)
        .with_ansi(style.err)
        .with_target(true);
    // A second start is a mistake of a test alone; the first one's log goes on.
    let _ = log.try_init();
}
