//! The controller of Environments.
//!
//! A reconcile reads `current → finalizer → dereference → seed → compose → write → tell`. What needs no client is a pure
//! function: `outcome` and [`crate::status`].

mod approving;
mod deletion;
mod dereference;
mod drifting;
mod neighbours;
mod outcome;
mod patience;
mod reconcile;
mod resolve;
mod rollback;
mod rollouts;
mod take_over;

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt as _;
use kube::runtime::controller::{Action, Config, applier};
use kube::{Client, ResourceExt as _};
use tokio::sync::Semaphore;

use crate::cluster::{Guarded, Scope, queued};
use crate::drift::{Hearing, Watches};
use crate::events::Events;
use crate::integration::Carriers;
use crate::lease::Election;
use crate::metrics::{EnvironmentLabels, Metrics};
use crate::seeding::Seeder;
use crate::stores::Stores;
use crate::term::Term;

pub use dereference::{Resources, Rules, database, freeze_override, job, reference};
pub use patience::Patience;

/// Name of the one source of an Environment without sources.
pub const DEFAULT_SOURCE: &str = "default";

/// What lasts from one time of leading to the next.
pub struct Shared {
    /// The cluster.
    pub client: Client,
    /// How it is decided who leads.
    pub election: Election,
    /// What references may name.
    pub rules: Rules,
    /// The seeding, the same as the command line's.
    pub seeder: Seeder,
    /// Open databases.
    pub stores: Stores,
    /// What environments hold.
    pub carriers: Arc<Carriers>,
    /// What drifted.
    pub watches: Watches,
    /// What is listened to, while this process leads.
    pub hearing: Hearing,
    /// Failures in a row.
    pub patience: Patience,
    /// Who writes Events.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
    /// How many environments are reconciled side by side.
    pub permits: Semaphore,
}

impl Shared {
    /// An Environment is gone: nothing of it is remembered.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.stores.forget(namespace, name);
        self.carriers.forget(namespace, name);
        self.watches.forget(namespace, name);
        self.hearing.forget(namespace, name);
        self.patience.forget(namespace, name);
        self.metrics
            .forget(&EnvironmentLabels { namespace: namespace.to_owned(), environment: name.to_owned() });
    }
}

/// What the controller of one scope works with, in one time of leading.
pub struct Context {
    /// What lasts.
    pub shared: Arc<Shared>,
    /// What is watched.
    pub scope: Arc<Scope>,
    /// The time of leading.
    pub term: Arc<Term>,
}

/// Runs until the queue is closed and what was begun has ended. The scheduler sees to it that one environment is
/// reconciled once at a time.
pub async fn run(context: Arc<Context>) {
    let scope = context.scope.clone();
    let queue = queued(scope.environment_queue.open());
    for environment in scope.environments.state() {
        scope.environment_queue.wake(&environment.namespace().unwrap_or_default(), &environment.name_any());
    }
    let reconcile = |environment: Arc<Guarded>, context: Arc<Context>| {
        Box::pin(async move { Ok::<Action, Infallible>(reconcile::reconcile(&environment, &context).await) })
    };
    let never = |_: Arc<Guarded>, error: &Infallible, _: Arc<Context>| match *error {};
    let mut done =
        Box::pin(applier(reconcile, never, context, scope.environments.clone(), queue, Config::default()));
    while done.next().await.is_some() {}
}
