//! The job of an Environment of a cluster, with its references followed from here: the Secrets of its sources, and the
//! Integrations that it lists.

use kube::core::Selector;
use sower_controllers::environment::{DEFAULT_SOURCE, reference};
use sower_controllers::seeding::{Job, Origin, SeedingError, SourceInput};
use sower_controllers::{cluster_source, secrets};
use sower_crds::source::{self, GitSource, Source};
use sower_source::{Credentials, FetchRequest};

use crate::reach::Reach;
use crate::session::Member;

/// The job.
///
/// # Errors
/// As of the first reference that cannot be followed.
pub async fn job(reach: &Reach, member: &Member) -> Result<Job, SeedingError> {
    let mut sources = Vec::new();
    for source in &member.loaded.spec.sources {
        sources.push(SourceInput {
            name: source.name.clone(),
            priority: source.priority,
            path: source.folder_path().to_owned(),
            origin: origin(reach, member, source).await?,
        });
    }
    if sources.is_empty() {
        let origin = listed(reach, member, DEFAULT_SOURCE, &Selector::default()).await?;
        sources.push(SourceInput { name: DEFAULT_SOURCE.into(), priority: 0, path: String::new(), origin });
    }
    Ok(Job {
        environment: member.name().to_owned(),
        spec: member.loaded.spec.clone(),
        sources,
        keeper: format!("{}/{}/{}", reach.cluster.name, member.namespace(), member.name()),
        take_over: false,
        only: None,
        reseed: false,
        epoch: None,
    })
}

async fn origin(reach: &Reach, member: &Member, source: &Source) -> Result<Origin, SeedingError> {
    match source.origin() {
        Some(source::Origin::Git(git)) => Ok(Origin::Git(request(reach, member, git).await?)),
        Some(source::Origin::Cluster(cluster)) => {
            let selector = cluster_source::selector(&source.name, cluster)?;
            listed(reach, member, &source.name, &selector).await
        }
        Some(source::Origin::Folder(_)) | None => Err(SeedingError::invalid_spec(format!(
            "The source {} cannot be read from here: it is a folder of the operator",
            source.name
        ))),
    }
}

async fn request(reach: &Reach, member: &Member, git: &GitSource) -> Result<FetchRequest, SeedingError> {
    let credentials = match &git.secret_ref {
        Some(secret) => {
            let data = secrets::read(&reach.cluster.client, member.namespace(), &secret.name).await?;
            secrets::credentials(&secret.name, &data)?
        }
        None => Credentials::default(),
    };
    Ok(FetchRequest { credentials, ..FetchRequest::new(&git.url, reference(&git.reference)) })
}

async fn listed(
    reach: &Reach,
    member: &Member,
    source: &str,
    selector: &Selector,
) -> Result<Origin, SeedingError> {
    let client = &reach.cluster.client;
    Ok(Origin::Listing(cluster_source::list_once(client, member.namespace(), source, selector).await?))
}
