//! Environment → job: every reference is followed, inside its own namespace. Needs a client.

use std::sync::Arc;

use jiff::Timestamp;
use kube::core::Selector;
use kube::{Client, ResourceExt as _};
use sower_crds::FREEZE_OVERRIDE;
use sower_crds::environment::{Environment, Migrate as MigrateWord};
use sower_crds::source::{GitRef, GitSource, Origin as Place, Source};
use sower_source::{FetchRequest, Reference};
use sower_store::Migrate;

use super::DEFAULT_SOURCE;
use crate::cluster::Scope;
use crate::cluster_source;
use crate::reason::Reason;
use crate::secrets;
use crate::seeding::{Job, Origin, Promote, SeedingError, SourceInput};
use crate::stores::{Database, DefaultDatabase};

/// What references may name.
#[derive(Debug, Clone)]
pub struct Rules {
    /// First part of what an environment's keeper is called.
    pub cluster_name: String,
    /// `file://` and SQLite are taken from resources.
    pub allow_local: bool,
    /// The database of environments that name none.
    pub database: DefaultDatabase,
}

/// Where the rows go.
///
/// # Errors
/// As the Secret's reading.
pub async fn database(
    client: &Client,
    environment: &Environment,
    rules: &Rules,
) -> Result<(Database, Migrate), SeedingError> {
    let spec = environment.spec.database.clone().unwrap_or_default();
    let migrate = match spec.migrate {
        MigrateWord::Auto => Migrate::Auto,
        MigrateWord::Never => Migrate::Never,
    };
    let database = match (&spec.secret_ref, &rules.database) {
        (Some(reference), _) => {
            let namespace = environment.namespace().unwrap_or_default();
            let data = secrets::read(client, &namespace, &reference.name).await;
            let data = data.map_err(|error| of_the_database(error, &reference.name))?;
            secrets::database(&format!("The secret {}", reference.name), &data, rules.allow_local)?
        }
        (None, DefaultDatabase::Url(url)) => Database { url: url.clone(), tls: sower_store::Tls::default() },
        (None, DefaultDatabase::Folder(folder)) => secrets::mounted(folder)?,
        (None, DefaultDatabase::None) => {
            return Err(SeedingError::invalid_spec(
                "No database: neither spec.database nor the operator names one",
            ));
        }
    };
    let url = database.url.of_environment(&environment.name_any());
    Ok((Database { url, ..database }, migrate))
}

/// The database's Secret is no source's: where it cannot be had, the spec names nothing, or nobody knows yet.
fn of_the_database(error: SeedingError, secret: &str) -> SeedingError {
    match error.reason {
        Reason::AuthenticationFailed => {
            SeedingError::invalid_spec(format!("{error}: the database needs its key url"))
        }
        _ => {
            let text = format!("Database unavailable: secret {secret} cannot be read now; retrying");
            let detail = Some(error.full().to_owned());
            SeedingError { detail, ..SeedingError::new(Reason::DatabaseUnavailable, error.kind, text) }
        }
    }
}

/// How Integration resources are read.
#[derive(Clone, Copy)]
pub enum Resources<'a> {
    /// At once, all of them, by one who watches nothing.
    Listed,
    /// Where something changed, held against the watch.
    Watched(&'a Arc<Scope>),
}

/// The job of an environment, without an epoch yet.
///
/// # Errors
/// As of the first reference that cannot be followed.
pub async fn job(
    client: &Client,
    resources: Resources<'_>,
    environment: &Environment,
    cluster_name: &str,
) -> Result<Job, SeedingError> {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let mut sources = Vec::new();
    for source in &environment.spec.sources {
        let origin = origin(client, resources, (&namespace, &name), source).await?;
        let path = source.folder_path().to_owned();
        sources.push(SourceInput { name: source.name.clone(), priority: source.priority, path, origin });
    }
    if sources.is_empty() {
        let all = Selector::default();
        let origin = read(client, resources, (&namespace, &name), DEFAULT_SOURCE, &all).await?;
        let (name, path) = (DEFAULT_SOURCE.to_owned(), String::new());
        sources.push(SourceInput { name, priority: 0, path, origin });
    }
    let (spec, keeper, take_over) =
        (environment.spec.clone(), keeper(environment, cluster_name), super::take_over::wanted(environment));
    let freeze_override = freeze_override(environment)?;
    Ok(Job {
        environment: name,
        spec,
        sources,
        keeper,
        take_over,
        only: None,
        reseed: false,
        mend: Job::unmended(),
        resolve: super::resolve::asked(environment)?,
        freeze_override,
        upstream: None,
        promote: Promote::default(),
        epoch: None,
    })
}

/// Until when the freeze windows of an environment do not count: what its annotation says.
///
/// # Errors
/// Where that is no time: who meant to lift the freeze learns that it stands.
pub fn freeze_override(environment: &Environment) -> Result<Option<Timestamp>, SeedingError> {
    let Some(said) = environment.annotations().get(FREEZE_OVERRIDE) else { return Ok(None) };
    let until = said.parse().map_err(|_| {
        SeedingError::invalid_spec(format!("{FREEZE_OVERRIDE} is no time such as 2026-11-23T06:00:00Z"))
    })?;
    Ok(Some(until))
}

/// How the one who seeds this environment is called.
#[must_use]
pub fn keeper(environment: &Environment, cluster_name: &str) -> String {
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    format!("{cluster_name}/{namespace}/{name}")
}

async fn read(
    client: &Client,
    resources: Resources<'_>,
    of: (&str, &str),
    source: &str,
    selector: &Selector,
) -> Result<Origin, SeedingError> {
    match resources {
        Resources::Listed => {
            cluster_source::list_once(client, of.0, source, selector).await.map(Origin::Listing)
        }
        Resources::Watched(scope) => {
            cluster_source::glance(client, scope, of, source, selector).await.map(Origin::Glance)
        }
    }
}

async fn origin(
    client: &Client,
    resources: Resources<'_>,
    (namespace, environment): (&str, &str),
    source: &Source,
) -> Result<Origin, SeedingError> {
    let named = |error: SeedingError| SeedingError { source_name: Some(source.name.clone()), ..error };
    match source.origin() {
        Some(Place::Git(git)) => request(client, namespace, git).await.map(Origin::Git).map_err(named),
        Some(Place::Cluster(cluster)) => {
            let selector = cluster_source::selector(&source.name, cluster)?;
            read(client, resources, (namespace, environment), &source.name, &selector).await
        }
        // The CRD refuses both.
        Some(Place::Folder(_)) | None => Err(named(SeedingError::invalid_spec(format!(
            "The source {} names neither git nor cluster, or both",
            source.name
        )))),
    }
}

async fn request(client: &Client, namespace: &str, git: &GitSource) -> Result<FetchRequest, SeedingError> {
    let credentials = match &git.secret_ref {
        Some(reference) => {
            let data = secrets::read(client, namespace, &reference.name).await?;
            secrets::credentials(&reference.name, &data)?
        }
        None => sower_source::Credentials::default(),
    };
    Ok(FetchRequest { credentials, ..FetchRequest::new(&git.url, reference(&git.reference)) })
}

/// What of a repository a spec names: one of them, says the CRD, or none without a `ref`, which is the branch `main`.
#[must_use]
pub fn reference(of: &GitRef) -> Reference {
    match of {
        GitRef { commit: Some(commit), .. } => Reference::Commit(commit.clone()),
        GitRef { tag: Some(tag), .. } => Reference::Tag(tag.clone()),
        GitRef { semver: Some(range), .. } => Reference::Semver(range.clone()),
        GitRef { branch: Some(branch), .. } => Reference::Branch(branch.clone()),
        _ => Reference::Branch("main".to_owned()),
    }
}

/// The Secret that a source of this name reads; without a name, the database's.
#[must_use]
pub fn secret_of<'a>(environment: &'a Environment, source: Option<&str>) -> Option<&'a str> {
    let spec = &environment.spec;
    let reference = match source {
        Some(name) => {
            spec.sources.iter().find(|source| source.name == name)?.git.as_ref()?.secret_ref.as_ref()?
        }
        None => spec.database.as_ref()?.secret_ref.as_ref()?,
    };
    Some(reference.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeding::Kind;

    #[test]
    fn a_secret_of_the_database_blames_no_source() {
        let missing =
            SeedingError::new(Reason::AuthenticationFailed, Kind::Stalled, "The secret db is not there");
        let error = of_the_database(missing, "db");
        assert_eq!((error.reason, error.kind), (Reason::InvalidSpec, Kind::Stalled));
        assert_eq!(error.message, "The secret db is not there: the database needs its key url");
        let silent = SeedingError::new(Reason::FetchFailed, Kind::Transient, "no answer in time");
        let error = of_the_database(silent, "db");
        assert_eq!((error.reason, error.kind), (Reason::DatabaseUnavailable, Kind::Transient));
        assert_eq!(error.full(), "no answer in time");
    }

    #[test]
    fn a_reference_is_the_one_that_is_set_or_main() {
        let some = |text: &str| Some(text.to_owned());
        let table = [
            (GitRef::default(), Reference::Branch("main".into())),
            (GitRef { branch: some("b"), ..GitRef::default() }, Reference::Branch("b".into())),
            (GitRef { tag: some("t"), ..GitRef::default() }, Reference::Tag("t".into())),
            (GitRef { semver: some("^1"), ..GitRef::default() }, Reference::Semver("^1".into())),
            (GitRef { commit: some("c"), ..GitRef::default() }, Reference::Commit("c".into())),
        ];
        for (of, expect) in table {
            assert_eq!(reference(&of), expect);
        }
    }
}
