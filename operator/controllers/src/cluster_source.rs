//! Cluster sources: the Integration resources that a selector matches, as one listing at one revision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::{DynamicObject, ObjectList, Selector};
use kube::discovery::ApiResource;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sower_core::hash::hex;
use sower_core::manifest::ANNOTATIONS;
use sower_core::snapshot::Revision;
use sower_crds::Integration;
use sower_crds::source::ClusterSource;

use crate::api_server;
use crate::cluster::Scope;
use crate::reason::Reason;
use crate::secrets::PATIENCE;
use crate::seeding::{Glance, Kind, Listing, Resource, SeedingError};

/// Integrations per page: each may be 256 KiB large.
const PAGE: u32 = 100;
/// How often, and how long apart, a watch that lags behind the listing is given time.
const LAG: (u32, Duration) = (5, Duration::from_millis(200));

/// Integrations per page, without their specs.
const METADATA_PAGE: u32 = 500;

/// Looks at what the selector matches, without reading it: [`list`] does, where something changed.
///
/// # Errors
/// FetchFailed where the API server does not answer.
pub async fn glance(
    client: &Client,
    scope: &Arc<Scope>,
    (namespace, environment): (&str, &str),
    source: &str,
    selector: &Selector,
) -> Result<Glance, SeedingError> {
    let listed = metadata(client, namespace, selector).await.map_err(|cause| unlisted(source, &cause))?;
    let (revision, _) = settled(scope, (namespace, environment), selector, listed).await;
    let (client, scope, selector) = (client.clone(), scope.clone(), selector.clone());
    let (namespace, environment, source) = (namespace.to_owned(), environment.to_owned(), source.to_owned());
    Ok(Glance::new(revision, move || {
        let (client, scope, selector) = (client.clone(), scope.clone(), selector.clone());
        let (namespace, environment, source) = (namespace.clone(), environment.clone(), source.clone());
        async move { list(&client, &scope, (&namespace, &environment), &source, &selector).await }.boxed()
    }))
}

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
    let (documents, listed) = read(client, namespace, source, selector).await?;
    let (revision, complete) = settled(scope, (namespace, environment), selector, listed).await;
    let watched = complete && scope.watched_deletions(namespace, environment, source, selector);
    Ok(Arc::new(Listing { revision, documents, complete, watched }))
}

/// The revision of what was listed, and whether it is complete.
async fn settled(
    scope: &Scope,
    (namespace, environment): (&str, &str),
    selector: &Selector,
    mut listed: Marks,
) -> (Revision, bool) {
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
    (revision(&listed), complete)
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

/// Uid and generation of each, and the annotations that mean something, sorted by name.
type Marks = Vec<String>;

fn mark(meta: &ObjectMeta) -> String {
    let mut mark =
        format!("{} {}", meta.uid.as_deref().unwrap_or_default(), meta.generation.unwrap_or_default());
    for (name, value) in said(meta.annotations.as_ref()) {
        mark.push_str(&format!(" {name}={value:?}"));
    }
    mark
}

/// The annotations that mean something on an Integration: a change of one raises no generation.
pub(crate) fn said(annotations: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let all = annotations.into_iter().flatten();
    all.filter(|(name, _)| ANNOTATIONS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn watched(scope: &Scope, namespace: &str, selector: &Selector) -> Marks {
    marks(scope.selected(namespace, selector).iter().map(|integration| integration.meta()))
}

fn marks<'a>(all: impl Iterator<Item = &'a ObjectMeta>) -> Marks {
    let named = |meta: &ObjectMeta| (meta.name.clone().unwrap_or_default(), mark(meta));
    let mut marks: Vec<(String, String)> = all.map(named).collect();
    marks.sort();
    marks.into_iter().map(|(_, mark)| mark).collect()
}

async fn read(
    client: &Client,
    namespace: &str,
    source: &str,
    selector: &Selector,
) -> Result<(Vec<Resource>, Marks), SeedingError> {
    let api = api(client, namespace);
    let params = ListParams::default().limit(PAGE).labels(&selector.to_string());
    let resources = pages(params, |params| {
        let api = api.clone();
        async move { api.list(&params).await }
    })
    .await;
    let resources = resources.map_err(|cause| unlisted(source, &cause))?;
    let mut documents: Vec<(Resource, String)> = resources.into_iter().map(document).collect();
    documents.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(documents.into_iter().unzip())
}

async fn metadata(client: &Client, namespace: &str, selector: &Selector) -> Result<Marks, String> {
    let api = api(client, namespace);
    let params = ListParams::default().limit(METADATA_PAGE).labels(&selector.to_string());
    let resources = pages(params, |params| {
        let api = api.clone();
        async move { api.list_metadata(&params).await }
    })
    .await?;
    Ok(marks(resources.iter().map(kube::Resource::meta)))
}

fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Integration>(&()))
}

/// All pages of a list; what is being deleted is not among them.
async fn pages<K, Page>(mut params: ListParams, page: impl Fn(ListParams) -> Page) -> Result<Vec<K>, String>
where
    K: kube::Resource + Clone,
    Page: Future<Output = kube::Result<ObjectList<K>>>,
{
    let mut all = Vec::new();
    loop {
        let answer = tokio::time::timeout(PATIENCE, page(params.clone())).await;
        let answer =
            answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| api_server::cause(&error))?;
        all.extend(answer.items.into_iter().filter(|item| item.meta().deletion_timestamp.is_none()));
        match answer.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

fn unlisted(source: &str, cause: &str) -> SeedingError {
    let text = format!("Integrations cannot be listed: {cause}");
    let error = SeedingError::new(Reason::FetchFailed, Kind::Transient, text);
    SeedingError { source_name: Some(source.to_owned()), ..error }
}

fn document(mut object: DynamicObject) -> (Resource, String) {
    let mark = mark(&object.metadata);
    let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
    let blob = format!("sha256:{}", hex(&Sha256::digest(&mark)));
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let annotations = said(object.metadata.annotations.as_ref());
    (Resource { namespace, name, blob, annotations, spec }, mark)
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
