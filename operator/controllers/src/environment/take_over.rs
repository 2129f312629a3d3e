//! Taking an environment over from another keeper: once for each time somebody asks for it.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use sower_crds::{Environment, TAKE_OVER};

use crate::secrets::PATIENCE;

/// Whether it is asked for.
#[must_use]
pub fn wanted(environment: &Environment) -> bool {
    environment.annotations().get(TAKE_OVER).is_some_and(|value| value != "false")
}

/// Removes the annotation, once the environment is ours: who takes it over from us later is not overruled. Where the
/// object changed meanwhile or nobody answers, the next reconcile does it.
pub async fn spend(client: &Client, environment: &Environment) {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let patch = json!({
        "metadata": {
            "annotations": { TAKE_OVER: null }, "resourceVersion": environment.metadata.resource_version,
        },
    });
    let api: Api<Environment> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::default();
    match tokio::time::timeout(PATIENCE, api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await {
        Ok(Ok(_)) => tracing::info!("taken over; the annotation {TAKE_OVER} is spent"),
        Ok(Err(error)) => tracing::warn!(%error, "the annotation {TAKE_OVER} is not removed yet"),
        Err(_) => tracing::warn!("no answer in time: the annotation {TAKE_OVER} is not removed yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_for_by_any_value_but_false() {
        for (value, expect) in
            [(None, false), (Some("true"), true), (Some("false"), false), (Some("7f"), true)]
        {
            let annotations = value.map(|value| json!({ TAKE_OVER: value }));
            let environment: Environment = serde_json::from_value(json!({
                "apiVersion": "sower.dev/v1alpha1", "kind": "Environment",
                "metadata": { "name": "e", "annotations": annotations }, "spec": {},
            }))
            .expect("an environment");
            assert_eq!(wanted(&environment), expect, "{value:?}");
        }
    }
}
