//! Everything that a test of the operator needs: a namespace, a database, the git server, and the operator itself.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::REQUESTED_AT;
use sower_crds::environment::Environment;
use sqlx::PgPool;

use crate::catalog::{Catalog, GIT_SECRET};
use crate::control_plane::ControlPlane;
use crate::git_server::{self, GitServer};
use crate::namespace::Namespace;
use crate::operator::{DATABASE_SECRET, NAME, Operator};
use crate::postgres::{Database, Postgres};
use crate::tables::Tables;
use crate::wait::until;

/// How long anything may take that the operator is to do.
pub const LIMIT: Duration = Duration::from_secs(45);

/// What is made for one test.
pub struct Bed {
    /// The control plane, shared by the tests of the binary.
    pub plane: &'static ControlPlane,
    /// The git server, shared too.
    pub git: &'static GitServer,
    /// Where the chart is installed, and the only namespace that is watched.
    pub namespace: Namespace,
    /// The operator's database.
    pub database: Database,
    /// A pool of the test's own to look into it.
    pub pool: PgPool,
    /// The operator.
    pub operator: Operator,
}

impl Bed {
    /// Makes all of it; the git server's credentials lie in the namespace.
    pub async fn make(name: &str) -> Result<Self> {
        Self::with(name, &[]).await
    }

    /// The same with further `--set` arguments of the chart.
    pub async fn with(name: &str, values: &[&str]) -> Result<Self> {
        Self::on(ControlPlane::with_crds().await?, name, values).await
    }

    /// The same on a control plane of its own, which has the CRDs.
    pub async fn on(plane: &'static ControlPlane, name: &str, values: &[&str]) -> Result<Self> {
        let git = GitServer::shared().await?;
        let namespace = plane.namespace(name).await?;
        let database = Postgres::shared().await?.database().await?;
        let pool = database.connect().await?;
        let credentials = [("username", git_server::USER), ("password", git_server::PASSWORD)];
        namespace.secret(GIT_SECRET, &credentials).await?;
        let operator = Operator::install(&namespace, &database, values).await?;
        Ok(Self { plane, git, namespace, database, pool, operator })
    }

    /// A new repository, called as the namespace is.
    pub fn catalog(&self) -> Result<Catalog> {
        Catalog::create(self.git, &self.namespace.name)
    }

    /// Applies an Environment; the error is the API server's refusal.
    pub async fn environment(&self, name: &str, spec: Value) -> Result<Environment> {
        environment(&self.namespace, name, spec).await
    }

    /// Reads an Environment.
    pub async fn read(&self, name: &str) -> Result<Environment> {
        Ok(self.namespace.api::<Environment>().get(name).await?)
    }

    /// Asks for a reconcile now; what was asked, as `status.lastHandledReconcileAt` will say.
    pub async fn request(&self, name: &str) -> Result<String> {
        request(&self.namespace, name).await
    }

    /// Asks for a reconcile now and waits until it was made.
    pub async fn reconcile(&self, name: &str) -> Result<Environment> {
        let asked = self.request(name).await?;
        self.until("the requested reconcile", async || {
            let read = self.read(name).await?;
            let handled = read.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
            ensure!(handled == Some(&asked), "{}", told(&read));
            Ok(read)
        })
        .await
    }

    /// Waits until an Environment is Ready at a commit.
    pub async fn seeded(&self, name: &str, commit: &str) -> Result<Environment> {
        self.reason(name, "Seeded", commit).await
    }

    /// Waits until Ready has this reason, at the present generation, and this commit was the last one read.
    pub async fn reason(&self, name: &str, reason: &str, commit: &str) -> Result<Environment> {
        self.until(&format!("{name} is {reason} at {commit}"), async || {
            let read = self.read(name).await?;
            let ready = condition(&read, "Ready").with_context(|| told(&read))?;
            let status = read.status.as_ref().context("no status")?;
            let attempted = status.last_attempted_revision.as_deref().unwrap_or_default();
            let current = status.observed_generation == read.metadata.generation;
            ensure!(ready.reason == reason && current && attempted.ends_with(commit), "{}", told(&read));
            if reason == "Seeded" {
                let applied = status.last_applied_revision.as_deref().unwrap_or_default();
                ensure!(applied.ends_with(commit), "{}", told(&read));
            }
            Ok(read)
        })
        .await
    }

    /// Waits for a condition; the error shows the end of the operator's log.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let waited = until(what, LIMIT, look).await;
        waited.map_err(|error| {
            let log = self.operator.process.last_lines();
            let ended =
                self.operator.process.exited().map(|status| format!("\nthe operator ended: {status}"));
            error.context(format!("the operator's log:\n{log}{}", ended.unwrap_or_default()))
        })
    }

    /// All rows.
    pub async fn tables(&self) -> Result<Tables> {
        Tables::read(&self.pool).await
    }

    /// Waits for an Event of an Environment with this reason and text: Events come after the status that they go with.
    pub async fn told(&self, name: &str, reason: &str, text: &str) -> Result<()> {
        self.until(&format!("the event {reason}"), async || {
            let events = self.events("Environment", name).await?;
            ensure!(events.iter().any(|(one, note)| one == reason && note.contains(text)), "{events:?}");
            Ok(())
        })
        .await
    }

    /// The notes of Events about an object: reason and text.
    pub async fn events(&self, kind: &str, name: &str) -> Result<Vec<(String, String)>> {
        let api: Api<k8s_openapi::api::events::v1::Event> = self.namespace.api();
        let all = api.list(&Default::default()).await?;
        let about = all.items.into_iter().filter(|event| {
            event.regarding.as_ref().is_some_and(|object| {
                object.kind.as_deref() == Some(kind) && object.name.as_deref() == Some(name)
            })
        });
        Ok(about.map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default())).collect())
    }

    /// Every place where one of these secrets can be read by who may not: resources, events, log, metrics, rows.
    pub async fn leaks(&self, secrets: &[&str]) -> Result<Vec<String>> {
        let resources = self.namespace.kubectl(&[
            "get",
            "environments,integrations,events,events.events.k8s.io,configmaps,leases",
            "-o",
            "yaml",
            "--show-managed-fields",
        ])?;
        let places = [
            ("resources", resources),
            ("log", self.operator.process.log()),
            ("metrics", self.operator.get("/metrics").await?.1),
            ("rows", self.tables().await?.to_string()),
        ];
        let mut found = Vec::new();
        for secret in secrets {
            for (place, text) in &places {
                if let Some(line) = text.lines().find(|line| line.contains(secret)) {
                    found.push(format!("{place}: {line}"));
                }
            }
            found.extend(self.operator.files_with(secret)?);
        }
        Ok(found)
    }

    /// Stops the operator well and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.operator.process.stop()?;
        self.operator = Operator::replica(&self.namespace, "sower-0").await?;
        Ok(())
    }

    /// Installs the chart with other values.
    pub fn upgrade(&self, values: &[&str]) -> Result<()> {
        let mut args = vec!["upgrade", NAME, crate::operator::CHART, "--reuse-values"];
        for value in values {
            args.extend(["--set", value]);
        }
        self.namespace.helm(&args).map(drop)
    }
}

/// A Secret with a database's address.
pub async fn database_secret(namespace: &Namespace, database: &Database) -> Result<()> {
    namespace.secret(DATABASE_SECRET, &[("url", &database.url())]).await
}

/// Applies an Environment into any namespace; the error is the API server's refusal.
pub async fn environment(namespace: &Namespace, name: &str, spec: Value) -> Result<Environment> {
    let document = json!({
        "apiVersion": "sower.dev/v1alpha1",
        "kind": "Environment",
        "metadata": { "name": name },
        "spec": spec,
    });
    let how = PatchParams::apply("sower-tests").force();
    Ok(namespace.api::<Environment>().patch(name, &how, &Patch::Apply(document)).await?)
}

/// Sets `sower.dev/requestedAt` to something new.
pub async fn request(namespace: &Namespace, name: &str) -> Result<String> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let asked = format!("request {}", NEXT.fetch_add(1, Ordering::Relaxed));
    let patch = json!({ "metadata": { "annotations": { REQUESTED_AT: asked } } });
    namespace.api::<Environment>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(asked)
}

/// A condition of an Environment.
#[must_use]
pub fn condition<'a>(environment: &'a Environment, kind: &str) -> Option<&'a Condition> {
    environment.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

/// The conditions in a line, for messages.
#[must_use]
pub fn told(environment: &Environment) -> String {
    let Some(status) = &environment.status else { return "no status".to_owned() };
    let conditions: Vec<_> = status
        .conditions
        .iter()
        .map(|condition| {
            format!("{}={} {}: {}", condition.type_, condition.status, condition.reason, condition.message)
        })
        .collect();
    format!(
        "{}; attempted {:?}, applied {:?}, failures {:?}",
        conditions.join("; "),
        status.last_attempted_revision,
        status.last_applied_revision,
        status.failures
    )
}

/// Fails unless the conditions are as `Reason::with` has it: what goes with a reason is there, the other is not.
pub fn ensure_with(environment: &Environment, with: Option<&str>) -> Result<()> {
    for kind in ["Stalled", "Reconciling"] {
        let status = condition(environment, kind).map(|condition| condition.status.as_str());
        match (with == Some(kind), status) {
            (true, Some("True")) | (false, None) => {}
            (wanted, seen) => {
                bail!(
                    "{kind} is {seen:?}, which is {} wanted; {}",
                    if wanted { "" } else { "not" },
                    told(environment)
                )
            }
        }
    }
    Ok(())
}
