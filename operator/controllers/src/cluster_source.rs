//! Cluster sources: the Integration resources that a selector matches, as one listing at one revision.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ListParams;
use kube::core::{DynamicObject, Selector};
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sower_core::snapshot::Revision;
use sower_crds::Integration;
use sower_crds::source::ClusterSource;

use crate::cluster::Scope;
use crate::reason::Reason;
use crate::secrets::PATIENCE;
use crate::seeding::{Kind, Listing, Resource, SeedingError};

/// Integrations per page: each may be 256 KiB large.
const PAGE: u32 = 100;
/// How often, and how long apart, a watch that lags behind the listing is given time.
const LAG: (u32, Duration) = (5, Duration::from_millis(200));

/// Lists what the selector matches. It is complete where the watch has seen the same, and no deletion is under way: then
/// nothing is on its way.
///
/// # Errors
/// FetchFailed where the API server does not answer.
pub async fn list(
    client: &Client,
    scope: &Scope,
    (namespace, environment): (&str, &str),
    source: &str,
    selector: &Selector,
) -> Result<Arc<Listing>, SeedingError> {
    let (documents, mut listed) = read(client, namespace, source, selector).await?;
    let mut complete = watched(scope, namespace, selector) == listed;
    for _ in 0..LAG.0 {
        if complete {
            break;
        }
        tokio::time::sleep(LAG.1).await;
        complete = watched(scope, namespace, selector) == listed;
    }
    complete &= scope.quiet_at(namespace, environment).is_none();
    if !complete {
        // What prunes nothing is not at the revision of what does: the whole is looked at again.
        listed.push("in part".to_owned());
    }
    Ok(Arc::new(Listing {
        revision: revision(&listed),
        documents,
        complete,
        watched: complete && scope.watched_deletions(namespace, environment, source, selector),
    }))
}

/// Lists what the selector matches at this moment, for one who watches nothing and writes nothing.
///
/// # Errors
/// FetchFailed where the API server does not answer.
pub async fn list_once(
    client: &Client,
    namespace: &str,
    source: &str,
    selector: &Selector,
) -> Result<Arc<Listing>, SeedingError> {
    let (documents, listed) = read(client, namespace, source, selector).await?;
    Ok(Arc::new(Listing { revision: revision(&listed), documents, complete: true, watched: false }))
}

fn revision(listed: &Marks) -> Revision {
    let digest = format!("sha256:{}", hex(&Sha256::digest(listed.join("\n"))));
    Revision { label: "cluster".to_owned(), digest, dirty: false }
}

/// Name, uid and generation of each, sorted.
type Marks = Vec<String>;

fn mark(uid: &str, generation: i64) -> String {
    format!("{uid} {generation}")
}

fn watched(scope: &Scope, namespace: &str, selector: &Selector) -> Marks {
    let selected = scope.selected(namespace, selector);
    let mut marks: Vec<(String, String)> = selected
        .iter()
        .map(|i| (i.name_any(), mark(&i.uid().unwrap_or_default(), i.meta().generation.unwrap_or_default())))
        .collect();
    marks.sort();
    marks.into_iter().map(|(_, mark)| mark).collect()
}

async fn read(
    client: &Client,
    namespace: &str,
    source: &str,
    selector: &Selector,
) -> Result<(Vec<Resource>, Marks), SeedingError> {
    pages(client, namespace, selector).await.map_err(|cause| SeedingError {
        source_name: Some(source.to_owned()),
        ..SeedingError::new(
            Reason::FetchFailed,
            Kind::Transient,
            format!("Integrations cannot be listed: {cause}"),
        )
    })
}

async fn pages(
    client: &Client,
    namespace: &str,
    selector: &Selector,
) -> Result<(Vec<Resource>, Marks), String> {
    let kind = ApiResource::erase::<Integration>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let mut params = ListParams::default().limit(PAGE).labels(&selector.to_string());
    let mut documents = Vec::new();
    loop {
        let page = tokio::time::timeout(PATIENCE, api.list(&params)).await;
        let page = page.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
        let more = page.metadata.continue_.filter(|token| !token.is_empty());
        documents
            .extend(page.items.into_iter().filter(|i| i.metadata.deletion_timestamp.is_none()).map(document));
        match more {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    documents.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(documents.into_iter().unzip())
}

fn document(mut object: DynamicObject) -> (Resource, String) {
    let mark = mark(&object.uid().unwrap_or_default(), object.metadata.generation.unwrap_or_default());
    let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
    let blob = format!("sha256:{}", hex(&Sha256::digest(&mark)));
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    (Resource { namespace, name, blob, spec }, mark)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The selector of a source.
///
/// # Errors
/// InvalidSpec where it cannot be read.
pub fn selector(source: &str, cluster: &ClusterSource) -> Result<Selector, SeedingError> {
    crate::cluster::selector_of(cluster).map_err(|error| SeedingError {
        source_name: Some(source.to_owned()),
        ..SeedingError::invalid_spec(format!("The selector of {source} cannot be read: {error}"))
    })
}
