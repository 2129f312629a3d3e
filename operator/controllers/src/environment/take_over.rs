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

/// Removes annotations that were obeyed: who takes the environment over from us later is not overruled. Where the object
/// changed meanwhile or nobody answers, the next reconcile does it. The object's version after it, where it was done.
pub async fn spend(client: &Client, environment: &Environment, annotations: &[&str]) -> Option<String> {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let spent: serde_json::Map<String, serde_json::Value> =
        annotations.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null)).collect();
    let patch = json!({
        "metadata": { "annotations": spent, "resourceVersion": environment.metadata.resource_version },
    });
    let named = annotations.join(" and ");
    let api: Api<Environment> = Api::namespaced(client.clone(), &namespace);
    let params = PatchParams::default();
    match tokio::time::timeout(PATIENCE, api.patch_metadata(&name, &params, &Patch::Merge(&patch))).await {
        Ok(Ok(now)) => {
            tracing::info!("done as asked; {named} is spent");
            return now.metadata.resource_version;
        }
        Ok(Err(error)) => tracing::warn!(%error, "{named} is not removed yet"),
        Err(_) => tracing::warn!("no answer in time: {named} is not removed yet"),
    }
    None
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
