//! The controller of Integrations: says whether each is valid, and which environments carry it.

mod holding;
mod status;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::{Api, Client, ResourceExt as _};
use sower_core::manifest::{Limits, ResourceEntry, load_value};
use sower_core::problem::Problem;
use sower_crds::Integration;
use sower_crds::integration::CarriedBy;
use tokio::sync::Semaphore;

use crate::cluster::{Scope, Slim, cluster_sources, queued};
use crate::secrets::PATIENCE;
use crate::term::Term;
use crate::writing::write_status;

pub use holding::{Carriers, Holding};

/// How often an Integration is looked at when nothing happens.
const INTERVAL: Duration = Duration::from_secs(3600);
/// How soon after a failure.
const RETRY: Duration = Duration::from_secs(10);
/// How many are looked at side by side.
const CONCURRENCY: usize = 4;

/// What the controller works with.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// What is watched.
    pub scope: Arc<Scope>,
    /// What environments hold.
    pub carriers: Arc<Carriers>,
    /// The time of leading that it belongs to.
    pub term: Arc<Term>,
    permits: Semaphore,
}

impl Context {
    /// For one scope and one time of leading.
    #[must_use]
    pub fn new(client: Client, scope: Arc<Scope>, carriers: Arc<Carriers>, term: Arc<Term>) -> Self {
        Self { client, scope, carriers, term, permits: Semaphore::new(CONCURRENCY) }
    }
}

/// Runs until the queue is closed and what was begun has ended.
pub async fn run(context: Arc<Context>) {
    let scope = context.scope.clone();
    let queue = queued(scope.integration_queue.open());
    for integration in scope.integrations.state() {
        scope.integration_queue.wake(&integration.namespace().unwrap_or_default(), &integration.name_any());
    }
    let reconcile = |integration: Arc<Slim>, context: Arc<Context>| Box::pin(reconcile(integration, context));
    let never = |_: Arc<Slim>, error: &Infallible, _: Arc<Context>| match *error {};
    let mut done =
        Box::pin(applier(reconcile, never, context, scope.integrations.clone(), queue, Config::default()));
    while done.next().await.is_some() {}
}

async fn reconcile(integration: Arc<Slim>, context: Arc<Context>) -> Result<Action, Infallible> {
    let Ok(_permit) = context.permits.acquire().await else { return Ok(Action::await_change()) };
    if context.term.over.is_cancelled() {
        return Ok(Action::await_change());
    }
    let (namespace, name) = (integration.namespace().unwrap_or_default(), integration.name_any());
    match look(&context, &namespace, &name).await {
        Ok(()) => Ok(Action::requeue(INTERVAL)),
        Err(error) => {
            tracing::warn!(%error, namespace, integration = name, "the status of the Integration cannot be kept");
            Ok(Action::requeue(RETRY))
        }
    }
}

/// current → check → compose → write.
async fn look(context: &Context, namespace: &str, name: &str) -> Result<(), kube::Error> {
    let Some(object) = current(&context.client, namespace, name).await? else { return Ok(()) };
    let (object, problems) = check(namespace, name, object).await?;
    // What cannot be read by these types is invalid, and says so.
    let integration: Integration = lenient(object)?;
    let carried = carried(context, namespace, &integration);
    let status = status::compose(&integration, &problems, &carried, Timestamp::now());
    if integration.status.as_ref() == Some(&status) || context.term.lost.is_cancelled() {
        return Ok(());
    }
    write_status::<Integration>(&context.client, namespace, name, &status).await
}

async fn current(client: &Client, namespace: &str, name: &str) -> Result<Option<DynamicObject>, kube::Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Integration>(&()));
    let object = tokio::time::timeout(PATIENCE, api.get_opt(name)).await;
    object.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into())))
}

/// The same check as any manifest's. A large one takes long: where nothing else waits for it.
async fn check(
    namespace: &str,
    name: &str,
    object: DynamicObject,
) -> Result<(DynamicObject, Vec<Problem>), kube::Error> {
    let (path, name) = (format!("Integration/{namespace}/{name}"), name.to_owned());
    let checked = tokio::task::spawn_blocking(move || {
        let none = serde_json::Value::Null;
        let spec = object.data.get("spec").unwrap_or(&none);
        let annotations = object.annotations();
        let resource = ResourceEntry { path: &path, blob: "", name: &name, annotations, spec };
        let found = load_value(crate::environment::DEFAULT_SOURCE, resource, Limits::CLUSTER);
        (object, found.problems)
    });
    checked.await.map_err(|error| kube::Error::Service(Box::new(error)))
}

/// The resource with as much of its spec as a status needs.
fn lenient(object: DynamicObject) -> Result<Integration, kube::Error> {
    let version =
        object.data.pointer("/spec/version").and_then(|version| version.as_str()).unwrap_or_default();
    let version = version.to_owned();
    let mut integration = Integration::new("", sower_crds::IntegrationSpec { version, ..Default::default() });
    integration.metadata = object.metadata;
    if let Some(status) = object.data.get("status") {
        integration.status = serde_json::from_value(status.clone()).map_err(kube::Error::SerdeError)?;
    }
    Ok(integration)
}

/// The environments of the namespace that carry it, by name. Of those not looked at yet, what was said before holds.
fn carried(context: &Context, namespace: &str, integration: &Integration) -> Vec<CarriedBy> {
    let before = integration.status.as_ref().map(|status| status.environments.as_slice()).unwrap_or_default();
    let mut carried: Vec<CarriedBy> = context
        .scope
        .environments_of(namespace)
        .into_iter()
        .filter(|(_, spec)| cluster_sources(spec).next().is_some())
        .filter_map(|(environment, _)| match context.carriers.of(namespace, &environment) {
            Some(holding) => {
                let version = holding.resources.get(&integration.name_any())?.clone();
                Some(CarriedBy { name: environment, version })
            }
            None => before.iter().find(|by| by.name == environment).cloned(),
        })
        .collect();
    carried.sort_by(|a, b| a.name.cmp(&b.name));
    carried
}
