//! The one command that unblocks an environment.

use sower_crds::environment::{Environment, EnvironmentStatus};
use sower_crds::{APPROVE, TAKE_OVER};
use sower_source::is_ssh;

use super::outcome::{Outcome, Verdict};
use crate::reason::Reason;

/// What to type; none where nobody is asked for anything.
pub(super) fn next(
    environment: &Environment,
    outcome: &Outcome,
    status: &EnvironmentStatus,
) -> Option<String> {
    let name = environment.metadata.name.as_deref().unwrap_or_default();
    let namespace = environment.metadata.namespace.as_deref().unwrap_or_default();
    let kubectl = format!("kubectl -n {namespace}");
    let edit = || format!("{kubectl} edit env/{name}");
    let renew = || match secret(environment, outcome) {
        Some((secret, keys)) => format!(
            "{kubectl} create secret generic {secret} {keys} --dry-run=client -o yaml | kubectl apply -f -"
        ),
        None => edit(),
    };
    Some(match outcome.verdict.reason() {
        Reason::SourceNotFound | Reason::SourceEmpty => edit(),
        Reason::KeptElsewhere => {
            format!(
                "{kubectl} annotate --overwrite env/{name} {TAKE_OVER}=true # if it is still there, suspend it there first"
            )
        }
        Reason::SchemaIncompatible => format!("sower doctor -n {namespace}"),
        Reason::InvalidSpec | Reason::AuthenticationFailed => renew(),
        Reason::PruneLimitExceeded | Reason::ApprovalRequired => {
            let hash = &status.plan.as_ref()?.hash;
            format!("{kubectl} annotate --overwrite env/{name} {APPROVE}={hash}")
        }
        Reason::ManifestsInvalid => format!("sower rule {}", status.failures.first()?.code),
        Reason::DatabaseUnavailable
        | Reason::FetchFailed
        | Reason::DependencyNotReady
        | Reason::Frozen
        | Reason::SeedingFailed
        | Reason::Suspended
        | Reason::Seeded => return None,
    })
}

/// What of `kubectl create secret generic` makes the credentials for a git server: by the way in which its URL is spoken to.
#[must_use]
pub fn credentials(url: &str) -> &'static str {
    if is_ssh(url) {
        "--from-file=identity=KEY --from-file=known_hosts=KNOWN_HOSTS"
    } else {
        "--from-literal=username=USER --from-literal=password=TOKEN"
    }
}

/// The Secret that is asked for, with the keys it must have.
fn secret<'a>(environment: &Environment, outcome: &'a Outcome) -> Option<(&'a str, &'static str)> {
    match &outcome.verdict {
        Verdict::Failed { secret: Some(secret), source: Some(name), .. } => {
            let source = environment.spec.sources.iter().find(|source| source.name == *name);
            let url = source.and_then(|source| source.git.as_ref()).map_or("", |git| git.url.as_str());
            Some((secret, credentials(url)))
        }
        Verdict::Failed { secret: Some(secret), source: None, .. } => {
            Some((secret, "--from-literal=url=URL"))
        }
        _ => None,
    }
}
