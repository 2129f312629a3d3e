//! The operator: watches, elects, and while it leads, reconciles.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use sower_source::Fetcher;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::asking::Asking;
use crate::cluster::{Scope, Scopes};
use crate::drift::{Hearing, Watches};
use crate::environment::{self, Patience, Rules, Shared};
use crate::events::Events;
use crate::integration::{self, Carriers};
use crate::lease::{Election, Leadership};
use crate::metrics::Metrics;
use crate::seeding::Seeder;
use crate::stores::Stores;
use crate::term::Term;

/// How long what was begun may take to end, once it was told to.
const ENDING: Duration = Duration::from_secs(25);
/// How long databases may take to take leave.
const CLOSING: Duration = Duration::from_secs(5);

/// How an operator is set up.
pub struct Operator {
    /// The cluster.
    pub client: Client,
    /// Fetches sources.
    pub fetcher: Fetcher,
    /// The running version.
    pub platform: semver::Version,
    /// What is counted.
    pub metrics: Metrics,
    /// What references may name.
    pub rules: Rules,
    /// Namespaces to watch; empty: all.
    pub namespaces: Vec<String>,
    /// Secrets are watched, too.
    pub watch_secrets: bool,
    /// How many environments are reconciled side by side.
    pub concurrency: u16,
    /// How it is decided who leads.
    pub election: Election,
    /// Who is asked about Environments, whether or not this process leads.
    pub asking: Arc<Asking>,
}

impl Operator {
    /// Runs until stopped. `synced` is called once the caches are filled, whether or not this process leads. On the way
    /// out what was begun ends first, and the Lease is released last.
    pub async fn run(self, synced: impl FnOnce() + Send, stop: CancellationToken) {
        let Self {
            client,
            fetcher,
            platform,
            metrics,
            rules,
            namespaces,
            watch_secrets,
            concurrency,
            election,
            asking,
        } = self;
        let shared = Arc::new(Shared {
            client: client.clone(),
            election: election.clone(),
            rules,
            seeder: Seeder::new(fetcher, platform, Some(metrics.clone())).held_by(&election.identity),
            stores: Stores::default(),
            carriers: Arc::new(Carriers::default()),
            watches: Watches::default(),
            hearing: Hearing::default(),
            patience: Patience::default(),
            events: Events::new(client.clone(), &election.identity),
            metrics,
            permits: Semaphore::new(usize::from(concurrency.max(1))),
        });
        let mut scopes = Scopes::new(&namespaces);
        let stores: Vec<Arc<Scope>> = scopes.all.clone();
        let (told, leadership) = watch::channel(Leadership::Follower);
        // Watches and the election outlast the work: what ends still needs them.
        let last = CancellationToken::new();
        let gone = |namespace: &str, name: &str| {
            shared.forget(namespace, name);
            asking.forget(namespace, name);
        };
        let leading = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = Scopes::synced(&stores) => {
                    asking.watches(&stores);
                    synced();
                    lead(&shared, &stores, leadership, &election.identity, &stop).await;
                }
            }
            let closed = async { tokio::join!(shared.stores.close(), asking.close()) };
            if tokio::time::timeout(CLOSING, closed).await.is_err() {
                tracing::warn!("a database keeps a connection; it is dropped");
            }
            last.cancel();
        };
        tokio::join!(
            scopes.watch(&client, watch_secrets, &gone, &last),
            election.hold(&client, &told, &last),
            leading,
        );
    }
}

/// One term after another, until stopped.
async fn lead(
    shared: &Arc<Shared>,
    scopes: &[Arc<Scope>],
    mut leadership: watch::Receiver<Leadership>,
    identity: &str,
    stop: &CancellationToken,
) {
    loop {
        let now = *leadership.borrow_and_update();
        if let Leadership::Leader(number) = now {
            tracing::info!(term = number, "leads");
            let term = Arc::new(Term::new(identity.to_owned(), stop));
            let work = work(shared, scopes, &term);
            let lost = async {
                // A sender that is gone has ended the election.
                while *leadership.borrow_and_update() == now && leadership.changed().await.is_ok() {}
                term.lost.cancel();
                term.over.cancel();
            };
            tokio::select! {
                () = work => {}
                () = async { lost.await; std::future::pending::<()>().await } => {}
            }
            tracing::info!(term = number, "leads no longer");
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = async { if *leadership.borrow() == now { leadership.changed().await.is_ok() } else { true } } => {
                if !changed {
                    return;
                }
            }
        }
    }
}

/// The controllers of one term. When it is over they finish what they began, or are dropped, which rolls back.
async fn work(shared: &Arc<Shared>, scopes: &[Arc<Scope>], term: &Arc<Term>) {
    let mut controllers = JoinSet::new();
    for scope in scopes {
        let context =
            environment::Context { shared: shared.clone(), scope: scope.clone(), term: term.clone() };
        controllers.spawn(environment::run(Arc::new(context)));
        let context = integration::Context::new(
            shared.client.clone(),
            scope.clone(),
            shared.carriers.clone(),
            term.clone(),
        );
        controllers.spawn(integration::run(Arc::new(context)));
    }
    term.over.cancelled().await;
    for scope in scopes {
        scope.environment_queue.close();
        scope.integration_queue.close();
    }
    let ended = async { while controllers.join_next().await.is_some() {} };
    if tokio::time::timeout(ENDING, ended).await.is_err() {
        tracing::warn!("something did not end in time and is dropped");
    }
    controllers.shutdown().await;
    // Whoever leads next knows better.
    shared.hearing.clear();
    shared.watches.clear();
    shared.metrics.leads_no_longer();
}
