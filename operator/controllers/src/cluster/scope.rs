//! What is watched together: all namespaces, or one of those named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{DeserializeGuard, PartialObjectMeta, Selector, SelectorExt as _};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::{Api, Client, Resource, ResourceExt as _};
use sower_crds::source::ClusterSource;
use sower_crds::{Environment, EnvironmentSpec, Integration};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deletions::{Deletions, Selected};
use super::gather::gather;
use super::queue::Queue;
use super::seen::Change;
use super::watch::watch;
use crate::cluster_source::said;

/// An Environment that may be one this Sower cannot read: it is told so, and the others go on.
pub type Guarded = DeserializeGuard<Environment>;
/// An Integration without its spec.
pub type Slim = PartialObjectMeta<Integration>;

/// Secrets with this label are watched, where watching is allowed at all.
const WATCHED: &str = "sower.dev/watch";

/// What of an Environment wakes its reconcile: uid, generation, annotations.
pub(super) type EnvironmentMemo = (Option<String>, Option<i64>, BTreeMap<String, String>);
/// What of an Integration wakes somebody: uid, generation, labels, the annotations that mean something, whether it is
/// going.
type IntegrationMemo =
    (Option<String>, Option<i64>, BTreeMap<String, String>, BTreeMap<String, String>, bool);

pub(super) fn environment_memo(environment: &Guarded) -> EnvironmentMemo {
    let meta = environment.meta();
    (meta.uid.clone(), meta.generation, environment.annotations().clone())
}

fn integration_memo(integration: &Slim) -> IntegrationMemo {
    let meta = integration.meta();
    let (labels, annotations) = (integration.labels().clone(), said(meta.annotations.as_ref()));
    (meta.uid.clone(), meta.generation, labels, annotations, meta.deletion_timestamp.is_some())
}

/// One watched namespace, or all of them.
pub struct Scope {
    /// The namespace; none: all.
    pub namespace: Option<String>,
    /// Its Environments.
    pub environments: Store<Guarded>,
    /// Its Integrations.
    pub integrations: Store<Slim>,
    /// Environments to reconcile.
    pub environment_queue: Queue<Guarded>,
    /// Integrations to reconcile.
    pub integration_queue: Queue<Slim>,
    /// Which sources lost something lately.
    deletions: Mutex<Deletions>,
}

/// Everything that is watched.
pub struct Scopes {
    /// Each with its stores.
    pub all: Vec<Arc<Scope>>,
    writers: Vec<(Arc<Scope>, Writer<Guarded>, Writer<Slim>)>,
}

impl Scopes {
    /// One scope for each namespace, or one for all.
    #[must_use]
    pub fn new(namespaces: &[String]) -> Self {
        let names: BTreeSet<&String> = namespaces.iter().filter(|name| !name.is_empty()).collect();
        let names: Vec<Option<String>> =
            if names.is_empty() { vec![None] } else { names.into_iter().cloned().map(Some).collect() };
        let mut scopes = Self { all: Vec::new(), writers: Vec::new() };
        for namespace in names {
            let (environments, environment_writer) = store();
            let (integrations, integration_writer) = store();
            let scope = Arc::new(Scope {
                namespace,
                environments,
                integrations,
                environment_queue: Queue::default(),
                integration_queue: Queue::default(),
                deletions: Mutex::default(),
            });
            scopes.writers.push((scope.clone(), environment_writer, integration_writer));
            scopes.all.push(scope);
        }
        scopes
    }

    /// Watches until stopped. `gone` hears of each Environment that is there no longer.
    pub async fn watch(
        &mut self,
        client: &Client,
        secrets: bool,
        gone: &(impl Fn(&str, &str) + Sync),
        stop: &CancellationToken,
    ) {
        let writers = std::mem::take(&mut self.writers);
        join_all(writers.into_iter().map(|(scope, environments, integrations)| async move {
            let (sender, changed) = unbounded_channel();
            let told = scope.clone();
            tokio::join!(
                scope.watch_environments(client, environments, gone, stop),
                scope.watch_integrations(client, integrations, sender, stop),
                scope.watch_secrets(client, secrets, stop),
                gather(changed, move |changes| told.wake_selecting(&changes)),
            );
        }))
        .await;
    }

    /// Waits until every store holds what the cluster holds.
    pub async fn synced(stores: &[Arc<Scope>]) {
        for scope in stores {
            // A writer that is gone has been stopped.
            let _ = scope.environments.wait_until_ready().await;
            let _ = scope.integrations.wait_until_ready().await;
        }
    }
}

/// An Integration that changed: its namespace and labels before and after.
type Touched = (String, Vec<BTreeMap<String, String>>);

impl Scope {
    /// The resources of a kind in this scope.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        }
    }

    async fn watch_environments(
        &self,
        client: &Client,
        writer: Writer<Guarded>,
        gone: &(impl Fn(&str, &str) + Sync),
        stop: &CancellationToken,
    ) {
        let tell = |change: Change<EnvironmentMemo>| {
            let Change { namespace, name, before: _, after, listed: _ } = change;
            match after {
                Some(_) => self.environment_queue.wake(&namespace, &name),
                None => {
                    gone(&namespace, &name);
                    self.deletions().forget(&namespace, &name);
                    self.wake_integrations(&namespace);
                }
            }
        };
        watch(self.api::<Guarded>(client), None, Some(writer), environment_memo, tell, stop).await;
    }

    async fn watch_integrations(
        &self,
        client: &Client,
        writer: Writer<Slim>,
        changed: UnboundedSender<Touched>,
        stop: &CancellationToken,
    ) {
        let tell = |change: Change<IntegrationMemo>| {
            let Change { namespace, name, before, after, listed } = change;
            self.note_deletion(&namespace, before.as_ref(), after.as_ref(), listed);
            self.integration_queue.wake(&namespace, &name);
            let labels = [before, after].into_iter().flatten().map(|(_, _, labels, ..)| labels).collect();
            // Whoever gathers ends with this watch.
            let _ = changed.send((namespace, labels));
        };
        watch(self.api::<Slim>(client), None, Some(writer), integration_memo, tell, stop).await;
    }

    async fn watch_secrets(&self, client: &Client, allowed: bool, stop: &CancellationToken) {
        if !allowed {
            return;
        }
        let memo = |secret: &PartialObjectMeta<Secret>| (secret.uid(), secret.resource_version());
        let tell = |change: Change<(Option<String>, Option<String>)>| {
            for environment in self.environments_of(&change.namespace) {
                if refers_to(&environment.1, &change.name) {
                    self.environment_queue.wake(&change.namespace, &environment.0);
                }
            }
        };
        watch(self.api::<PartialObjectMeta<Secret>>(client), Some(WATCHED), None, memo, tell, stop).await;
    }

    fn wake_selecting(&self, changes: &BTreeSet<Touched>) {
        for (namespace, labels) in changes {
            for (name, spec) in self.environments_of(namespace) {
                if cluster_sources(&spec)
                    .any(|(_, selector)| labels.iter().any(|labels| selector.matches(labels)))
                {
                    self.environment_queue.wake(namespace, &name);
                }
            }
        }
    }

    /// Wakes every Integration of a namespace.
    pub fn wake_integrations(&self, namespace: &str) {
        for integration in self.integrations.state_filter(|i| i.namespace().as_deref() == Some(namespace)) {
            self.integration_queue.wake(namespace, &integration.name_any());
        }
    }

    /// Name and spec of the Environments of a namespace that can be read.
    #[must_use]
    pub fn environments_of(&self, namespace: &str) -> Vec<(String, EnvironmentSpec)> {
        let here = self.environments.state_filter(|e| e.namespace().as_deref() == Some(namespace));
        here.into_iter()
            .filter_map(|environment| environment.0.as_ref().ok().map(|e| (e.name_any(), e.spec.clone())))
            .collect()
    }

    /// The Integrations of a namespace that a selector matches and that are not going.
    #[must_use]
    pub fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<Slim>> {
        self.integrations.state_filter(|integration| {
            integration.namespace().as_deref() == Some(namespace)
                && integration.meta().deletion_timestamp.is_none()
                && selector.matches(integration.labels())
        })
    }

    /// Notes what went for the sources that selected it, before anybody is woken for it.
    fn note_deletion(
        &self,
        namespace: &str,
        before: Option<&IntegrationMemo>,
        after: Option<&IntegrationMemo>,
        listed: bool,
    ) {
        let now = Instant::now();
        self.deletions().changed(namespace, now);
        let Some((_, _, labels, _, going)) = before else { return };
        if *going || after.is_some_and(|(.., going)| !going) {
            return;
        }
        for (environment, spec) in self.environments_of(namespace) {
            for (source, selector) in cluster_sources(&spec).filter(|(_, selector)| selector.matches(labels))
            {
                let of = selected_by(namespace, &environment, &source, &selector);
                let mut deletions = self.deletions();
                if listed { deletions.doubt(&of) } else { deletions.note(of, now) }
            }
        }
    }

    fn deletions(&self) -> MutexGuard<'_, Deletions> {
        self.deletions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something that a source selects was seen going since its last listing that was applied.
    #[must_use]
    pub fn watched_deletions(
        &self,
        namespace: &str,
        environment: &str,
        source: &str,
        selector: &Selector,
    ) -> bool {
        self.deletions().seen(&selected_by(namespace, environment, source, selector))
    }

    /// Until when to wait with listing the sources of an Environment: deletions are under way. None: they are over.
    #[must_use]
    pub fn quiet_at(&self, namespace: &str, environment: &str) -> Option<Instant> {
        self.deletions().quiet_at(namespace, environment, Instant::now())
    }

    /// What an Environment listed since `begun` was applied.
    pub fn applied(&self, namespace: &str, environment: &str, begun: Instant) {
        self.deletions().applied(namespace, environment, begun);
    }

    /// An Environment, as the watch knows it.
    #[must_use]
    pub fn environment(&self, namespace: &str, name: &str) -> Option<Arc<Guarded>> {
        self.environments.get(&ObjectRef::new(name).within(namespace))
    }
}

/// Names and selectors of the cluster sources of an environment; without sources it takes every Integration of its
/// namespace as source `default`. A selector that cannot be read selects nothing; the seeding says so.
pub fn cluster_sources(spec: &EnvironmentSpec) -> impl Iterator<Item = (String, Selector)> + '_ {
    let default =
        spec.sources.is_empty().then(|| (crate::environment::DEFAULT_SOURCE.to_owned(), Selector::default()));
    let named = spec.sources.iter().filter_map(|source| {
        let cluster = source.cluster.as_ref()?;
        Some((source.name.clone(), selector_of(cluster).ok()?))
    });
    default.into_iter().chain(named)
}

fn selected_by(namespace: &str, environment: &str, source: &str, selector: &Selector) -> Selected {
    Selected {
        namespace: namespace.to_owned(),
        environment: environment.to_owned(),
        source: source.to_owned(),
        selector: selector.to_string(),
    }
}

/// The selector of a cluster source.
///
/// # Errors
/// What is wrong with it, for people.
pub fn selector_of(source: &ClusterSource) -> Result<Selector, String> {
    source.selector.clone().map_or(Ok(Selector::default()), |selector| {
        Selector::try_from(selector).map_err(|error| error.to_string())
    })
}

/// Whether an Environment reads this Secret of its namespace.
fn refers_to(spec: &EnvironmentSpec, secret: &str) -> bool {
    let git = spec.sources.iter().filter_map(|source| source.git.as_ref()?.secret_ref.as_ref());
    let database = spec.database.iter().filter_map(|database| database.secret_ref.as_ref());
    git.chain(database).any(|reference| reference.name == secret)
}
