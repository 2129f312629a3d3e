//! Writing statuses: one writer for each resource, by server-side apply under our own name.

use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, NamespaceResourceScope};
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde_json::json;

use crate::secrets::PATIENCE;

/// Under which name fields are owned.
pub const FIELD_MANAGER: &str = "sower";

/// Writes the status of one object. An object that is gone has none, and that is well.
///
/// # Errors
/// Where the API server does not take it or does not answer.
pub async fn write_status<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    status: &impl Serialize,
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": { "name": name },
        "status": status,
    });
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match tokio::time::timeout(PATIENCE, api.patch_status(name, &params, &Patch::Apply(&patch))).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(kube::Error::Service("no answer in time".into())),
    }
}
