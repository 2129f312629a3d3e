//! The Environments that one waits for: whether they are as it wants them, and where their rows are. Needs a client.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::{Api, ResourceExt as _};
use sower_core::promotion::depends::{self, Waits, waits_for};
use sower_core::sentence;
use sower_crds::{Environment, PROMOTE, PROMOTED_BY};
use sower_store::{Admitted, Fence, Store};

use super::approving::asker;
use super::{Context, dereference, take_over};
use crate::reason::Reason;
use crate::secrets::PATIENCE;
use crate::seeding::{Kind, Promote, SeedingError, Upstream};
use crate::status::names;

/// As much of a name as a reason tells, in characters.
const LONGEST_NAME: usize = 100;
/// Most integrations that are promoted at a time.
const MOST: usize = 200;

/// Looks whether the environment may be seeded: the others are as it wants them, and none of them waits for it.
///
/// # Errors
/// Where it may not, or that cannot be told.
pub async fn look(context: &Context, environment: &Environment) -> Result<(), SeedingError> {
    if waits_for(&environment.spec).next().is_none() {
        return Ok(());
    }
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let all = context.scope.environments.state();
    let same = all.iter().filter(|other| other.namespace().as_deref() == Some(&namespace));
    let mut waits: Waits<'_> = Waits::new();
    let names: Vec<(String, Vec<String>)> = same
        .filter_map(|other| {
            Some((other.name_any(), waits_for(&other.0.as_ref().ok()?.spec).map(str::to_owned).collect()))
        })
        .collect();
    for (name, on) in &names {
        waits.insert(name, on.iter().map(String::as_str).collect());
    }
    waits.insert(&name, waits_for(&environment.spec).collect());
    if let Some(circle) = depends::circle(&waits, &name) {
        let text = format!("Environments wait for each other in a circle: {}", circle.join(", "));
        return Err(SeedingError::invalid_spec(text));
    }
    for on in &environment.spec.depends_on {
        let unmet =
            |why: &str| not_ready(environment, sentence::cut(&format!("Waits for {}: {why}", on.name)));
        let other = other(context, &namespace, &on.name).await.map_err(|why| unmet(&why))?;
        is_met(&other, on.expression.as_deref()).map_err(|why| unmet(&why))?;
    }
    Ok(())
}

fn not_ready(environment: &Environment, text: String) -> SeedingError {
    let retry = environment.spec.retry_interval.duration().unwrap_or(Duration::from_secs(60));
    SeedingError::new(Reason::DependencyNotReady, Kind::Waiting(retry.max(Duration::from_secs(1))), text)
}

async fn other(context: &Context, namespace: &str, name: &str) -> Result<Environment, String> {
    let api: Api<Environment> = Api::namespaced(context.shared.client.clone(), namespace);
    match tokio::time::timeout(PATIENCE, api.get_opt(name)).await {
        Ok(Ok(Some(other))) => Ok(other),
        Ok(Ok(None)) => Err("no Environment is called so".to_owned()),
        Ok(Err(_)) | Err(_) => Err("it cannot be read now".to_owned()),
    }
}

fn is_met(other: &Environment, expression: Option<&str>) -> Result<(), String> {
    let status = other.status.clone().unwrap_or_default();
    let Some(expression) = expression else {
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let current = status.observed_generation == other.metadata.generation;
        return match ready {
            Some(ready) if ready.status == "True" && current => Ok(()),
            Some(ready) if ready.status != "True" => Err(ready.message.clone()),
            Some(_) | None => Err("no operator has looked at it yet".to_owned()),
        };
    };
    let status = serde_json::to_value(status).unwrap_or_default();
    match depends::holds(expression, &status) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("`{expression}` is not true of it")),
        Err(why) => Err(format!("`{expression}` cannot be told: {why}")),
    }
}

/// The environment that this one is promoted from; none where it is from none. What keeps it from being read keeps
/// nothing else up.
pub async fn upstream(context: &Context, environment: &Environment) -> Option<Upstream> {
    let from = &environment.spec.promotion.as_ref()?.from;
    Some(match open(context, environment, from).await {
        Ok(upstream) => upstream,
        Err(why) => Upstream::Away(why),
    })
}

async fn open(context: &Context, environment: &Environment, from: &str) -> Result<Upstream, String> {
    let shared = &context.shared;
    let namespace = environment.namespace().unwrap_or_default();
    let other = other(context, &namespace, from).await?;
    let (database, migrate) =
        dereference::database(&shared.client, &other, &shared.rules).await.map_err(|error| error.message)?;
    let store =
        shared.stores.open(&namespace, from, database, migrate).await.map_err(|error| error.message)?;
    Ok(Upstream::Open { environment: from.to_owned(), store })
}

/// What became of the annotation that lets something in.
#[derive(Debug, Default)]
pub struct LetIn {
    /// The Environment without it, once it is spent.
    pub without: Option<Environment>,
    /// What it names and the other environment does not carry.
    pub not: Option<String>,
    /// The other environment cannot be read: the annotation stays.
    pub away: Option<SeedingError>,
}

/// Lets in what the annotation names, as the other environment carries it now: that is compared with what the sources offer, and
/// comes whatever keeps the seeding up then, and whatever is carried by the time that it is done.
///
/// # Errors
/// Where the annotation cannot be read, or what it lets in cannot be noted.
pub async fn let_in(
    context: &Context,
    environment: &Environment,
    store: &Store,
    (keeper, take_over, epoch): (&str, bool, Option<i64>),
) -> Result<LetIn, SeedingError> {
    let Promote { ids, by } = asked(environment)?;
    let Some(promotion) = environment.spec.promotion.as_ref().filter(|_| !ids.is_empty()) else {
        return Ok(LetIn::default());
    };
    let from = &promotion.from;
    let name = environment.name_any();
    let shown = match upstream(context, environment).await {
        Some(Upstream::Open { environment, store }) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            store.shown(&environment, &ids).await.map_err(|error| error.to_string())
        }
        Some(Upstream::Away(why)) => Err(why),
        None => Ok(BTreeMap::new()),
    };
    let shown = match shown {
        Ok(shown) => shown,
        Err(why) => {
            let text = sentence::cut(&format!("Waits for {from}, to promote from it: {why}"));
            tracing::warn!("nothing is let in by {by} yet: {text}");
            return Ok(LetIn { away: Some(not_ready(environment, text)), ..LetIn::default() });
        }
    };
    let missing: Vec<&String> = ids.iter().filter(|id| !shown.contains_key(*id)).collect();
    let not = (!missing.is_empty()).then(|| {
        let text = format!("Not let in, as {by} asked: {from} does not carry {}", names(&missing));
        tracing::warn!("{text}");
        text
    });
    let admitted = shown.into_iter().map(|(integration, (content, _))| {
        let checksum = content.checksum;
        Admitted { integration, checksum }
    });
    let admitted: Vec<Admitted> = admitted.collect();
    if !admitted.is_empty() {
        let fence = store.claim_under(&name, keeper, take_over, epoch).await?;
        let fence = Fence { epoch: epoch.unwrap_or(fence.epoch), as_of: None, ..fence };
        // What the sources offer of it is noted with the plan that is made next, whatever holds that.
        store.admit(&fence, &admitted, &by, &[]).await?;
    }
    let resource_version = take_over::spend(&context.shared.client, environment, &[PROMOTE]).await;
    let without = resource_version.map(|version| {
        let mut environment = environment.clone();
        environment.metadata.resource_version = Some(version);
        environment.annotations_mut().remove(PROMOTE);
        environment
    });
    Ok(LetIn { without, not, away: None })
}

/// What the annotation lets in, and who.
///
/// # Errors
/// Where it cannot be read: who asked learns that nothing came of it.
fn asked(environment: &Environment) -> Result<Promote, SeedingError> {
    let Some(said) = environment.annotations().get(PROMOTE) else { return Ok(Promote::default()) };
    let ids = said.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
    let promote = Promote { ids: ids.collect(), by: by(environment) };
    if promote.ids.len() > MOST {
        return Err(SeedingError::invalid_spec(format!("{PROMOTE} names more than {MOST} integrations")));
    }
    if !promote.ids.is_empty() && environment.spec.promotion.is_none() {
        return Err(SeedingError::invalid_spec(format!(
            "{PROMOTE}: spec.promotion names no environment to promote from"
        )));
    }
    Ok(promote)
}

/// Who asks, for people.
fn by(environment: &Environment) -> String {
    let name = asker(environment, PROMOTE, PROMOTED_BY).unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.trim().is_empty() { "annotation".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(annotations: &serde_json::Value, spec: &serde_json::Value) -> Environment {
        serde_json::from_value(json!({
            "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
            "metadata": { "name": "e", "generation": 2, "annotations": annotations }, "spec": spec,
        }))
        .expect("an environment")
    }

    #[test]
    fn the_annotation_names_integrations() {
        let promoted = json!({ "promotion": { "from": "staging" } });
        let of = |said: &str, spec: &serde_json::Value| asked(&environment(&json!({ PROMOTE: said }), spec));
        let promote = of("slack, stripe,", &promoted).expect("readable");
        assert_eq!(promote.ids.iter().map(String::as_str).collect::<Vec<_>>(), ["slack", "stripe"]);
        assert_eq!(promote.by, "annotation");
        assert!(of("", &json!({})).expect("nothing").ids.is_empty());
        assert!(of("slack", &json!({})).is_err());
        let many: Vec<String> = (0..=MOST).map(|n| format!("i{n}")).collect();
        assert!(of(&many.join(","), &promoted).is_err());
    }

    #[test]
    fn another_is_ready_or_as_the_expression_says() {
        let mut other = environment(&json!({}), &json!({}));
        assert!(is_met(&other, None).is_err());
        let status = |ready: &str, generation: i64| {
            json!({ "observedGeneration": generation, "conditions": [{
                "type": "Ready", "status": ready, "reason": "Seeded", "message": "Why",
                "lastTransitionTime": "2026-11-21T14:00:00Z",
            }], "counts": { "integrations": 3, "conflicts": 1, "excluded": 0, "invalid": 0 } })
        };
        let table = [("True", 2, true), ("True", 1, false), ("False", 2, false)];
        for (ready, generation, expect) in table {
            other.status = serde_json::from_value(status(ready, generation)).expect("a status");
            assert_eq!(is_met(&other, None).is_ok(), expect, "{ready} {generation}");
        }
        assert!(is_met(&other, Some("status.counts.conflicts == 1")).is_ok());
        let why = is_met(&other, Some("status.counts.conflicts == 0")).expect_err("one is open");
        assert_eq!(why, "`status.counts.conflicts == 0` is not true of it");
    }
}
