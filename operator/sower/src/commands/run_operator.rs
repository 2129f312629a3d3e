//! `sower run`: the operator.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use prometheus_client::registry::Registry;
use sower_controllers::asking::Asking;
use sower_controllers::environment::Rules;
use sower_controllers::lease::Election;
use sower_controllers::metrics::Metrics;
use sower_controllers::operator::Operator;
use sower_controllers::stores::DefaultDatabase;
use sower_server::Readiness;
use sower_source::Fetcher;
use sower_store::DatabaseUrl;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::api;
use crate::cli::{LogFormat, RunArgs, TargetKind, Where};
use crate::cluster::Cluster;
use crate::failure::{Exit, Failure};
use crate::job::platform;
use crate::logging;
use crate::serving::{address, answers, stop_at_signals};
use crate::settings::Settings;

/// How long answers under way may take once everything else has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// Mirrors that nothing fetched into for so long are removed. Each new credential makes a mirror of its own, and some
/// are replaced hourly.
const UNUSED: Duration = Duration::from_secs(24 * 3600);
/// How often such mirrors are looked for.
const LOOK_FOR_UNUSED: Duration = Duration::from_secs(3600);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot begin: no cluster, a taken port, a folder that cannot be written.
pub async fn run(args: &RunArgs, context: &Context) -> Result<Exit, Failure> {
    start_log(args, context);
    let stop = stop_at_signals(|| tracing::info!("told to stop; what was begun ends first"))?;
    let cluster = Cluster::connect(&args.at).await?;
    let mut registry = Registry::default();
    let operator = operator(args, cluster.client, Metrics::new(&mut registry))?;
    let readiness = Readiness::default();
    let listener = sower_server::bind(address(args)?, false)
        .await
        .map_err(|error| Failure::failed(format!("{} cannot be listened on: {error}", args.listen)))?;
    let api = answers(args, &listener, Arc::new(api::Cluster(operator.asking.clone())))?;
    tracing::info!(version = %platform(), listen = %args.listen, "sower runs");
    // It answers to the last: a probe in the middle of a graceful end is no reason for a kill.
    let last = CancellationToken::new();
    let serving =
        sower_server::serve(listener, readiness.clone(), Arc::new(registry), Some(api), last.clone());
    let serving = tokio::spawn(serving);
    tokio::spawn(remove_unused_mirrors(operator.fetcher.cache().to_owned(), stop.clone()));
    operator.run(|| readiness.set(true), stop).await;
    readiness.set(false);
    last.cancel();
    // Whoever keeps a connection open does not keep the process.
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
    tracing::info!("stopped");
    Ok(Exit::Done)
}

fn operator(args: &RunArgs, client: Client, metrics: Metrics) -> Result<Operator, Failure> {
    let cache = args.cache.clone().unwrap_or_else(default_cache);
    let fetcher = Fetcher::new(&cache).map_err(|error| {
        Failure::failed(format!("the folder of git mirrors, {}: {error}", cache.display()))
    })?;
    let mut namespaces = args.watch_namespaces.clone();
    if namespaces.is_empty() {
        namespaces.extend(args.at.namespace.clone());
    }
    let rules = Rules {
        cluster_name: args.cluster_name.clone(),
        allow_local: args.allow_local,
        database: default_database(args)?,
    };
    Ok(Operator {
        asking: Arc::new(Asking::new(client.clone(), rules.clone())),
        client,
        fetcher: fetcher.allow_local(args.allow_local),
        platform: platform(),
        metrics,
        rules,
        namespaces,
        watch_secrets: args.watch_secrets,
        concurrency: args.concurrency,
        election: Election {
            namespace: args.lease_namespace.clone(),
            name: args.lease_name.clone(),
            duration: Duration::from_secs(u64::from(args.lease_duration.max(3))),
            identity: identity(),
        },
    })
}

/// Removes what nothing fetches into any more, now and every hour.
async fn remove_unused_mirrors(cache: PathBuf, stop: CancellationToken) {
    let mut again = tokio::time::interval(LOOK_FOR_UNUSED);
    while stop.run_until_cancelled(again.tick()).await.is_some() {
        let cache = cache.clone();
        let removed = tokio::task::spawn_blocking(move || sower_source::remove_unused(&cache, UNUSED)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "unused mirrors are not removed");
        }
    }
}

/// The Secret that is mounted, or the URL that is set; what `sower.toml` says is about files.
fn default_database(args: &RunArgs) -> Result<DefaultDatabase, Failure> {
    if let Some(folder) = &args.database_secret {
        return Ok(DefaultDatabase::Folder(folder.clone()));
    }
    let at = Where { target: Some(TargetKind::Cluster), ..args.at.clone() };
    let Some(url) = Settings::read(&at, false)?.database.value else { return Ok(DefaultDatabase::None) };
    DatabaseUrl::parse(&url).map(DefaultDatabase::Url).map_err(|error| Failure::usage(error.to_string()))
}

fn default_cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("sower").join("operator")
}

/// The Pod's name; elsewhere this process's own.
fn identity() -> String {
    match std::env::var("SOWER_POD_NAME") {
        Ok(pod) if !pod.is_empty() => pod,
        _ => {
            let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
            let host = host.trim();
            format!("{}-{}", if host.is_empty() { "sower" } else { host }, std::process::id())
        }
    }
}

fn start_log(args: &RunArgs, context: &Context) {
    let text = match args.log_format {
        Some(format) => format == LogFormat::Text,
        None => std::io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(logging::filter(context.looks.verbose, "info"))
        .with_writer(std::io::stderr)
        .with_ansi(text && context.style.err);
    // A second start is a mistake of a test alone; the first one's log goes on.
    let _ = if text {
        log.try_init()
    } else {
        log.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
}
