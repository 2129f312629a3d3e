//! `sower run --standalone`: files in place of a cluster. Seeds every environment of a checkout, then watches.

mod files;
mod line;
mod log;
mod member;
mod opening;
mod supervisor;
mod told;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use sower_controllers::metrics::Metrics;
use sower_server::Readiness;
use tokio_util::sync::CancellationToken;

use crate::cli::{RunArgs, TargetKind};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::project::Project;
use crate::serving::{address, answers, stop_at_signals};
use crate::settings::Settings;

pub use files::Files;
use log::Log;
use member::Shared;
use supervisor::Supervisor;

/// How long answers under way may take once everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long what is being written may take once the end was asked for.
const LAST_WRITES: Duration = Duration::from_secs(30);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot begin: no project, a cluster as target, no free port.
pub async fn run(args: &RunArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    if settings.target.value == TargetKind::Cluster {
        return Err(Failure::usage(format!(
            "--standalone acts on files, and {} asks a cluster",
            settings.target.origin
        ))
        .next("the operator", "sower run"));
    }
    let log = Log::start(args.log_format, context);
    let project = Project::open(settings)?;
    project.some_environment()?;
    let stop = stop_at_signals(|| {})?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let readiness = Readiness::default();
    let listener = sower_server::bind(address(args)?, true)
        .await
        .map_err(|error| Failure::failed(format!("{} cannot be listened on: {error}", args.listen)))?;
    let listening = listener.local_addr().map_err(|error| Failure::failed(error.to_string()))?;
    log.from(&opening::from(&project));
    let seeder = project.seeder(Some(metrics.clone()), args.cache.as_deref())?.noting();
    let shared = Arc::new(Shared::new(project.settings.clone(), seeder, metrics, log, stop.clone()));
    let api = answers(args, &listener, shared.files.clone())?;
    // It answers to the last: a probe in the middle of a graceful end is no reason for a kill.
    let last = CancellationToken::new();
    let serving =
        sower_server::serve(listener, readiness.clone(), Arc::new(registry), Some(api), last.clone());
    let serving = tokio::spawn(serving);

    let mut supervisor = Supervisor::start(shared.clone(), project).await;
    readiness.set(true);
    opening::tell(&supervisor, &shared, listening).await;
    supervisor.watch().await;

    let settled = supervisor.end(LAST_WRITES).await;
    readiness.set(false);
    last.cancel();
    // Whoever keeps a connection open does not keep the process.
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
    shared.hearing.clear();
    shared.databases.close().await;
    shared.log.stopped(settled, &opening::again(&shared.settings));
    Ok(Exit::Done)
}
