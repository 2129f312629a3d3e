//! What commands that ask a cluster can reach: its Environments, in one namespace or in all, and their databases.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::api::ListParams;
use kube::{Api, Resource, ResourceExt as _};
use sower_controllers::environment::freeze_override;
use sower_controllers::reason::Reason;
use sower_controllers::secrets;
use sower_controllers::stores::Database;
use sower_core::manifest::LoadedEnvironment;
use sower_crds::Environment;
use sower_store::{DatabaseUrl, Tls};

use crate::cli::Where;
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::session::Member;

/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Resources asked for at a time.
const PAGE: u32 = 200;
/// The folder of the operator's own database Secret: set in its Pod.
const MOUNTED: &str = "SOWER_DATABASE_SECRET";

/// A cluster, as far as it is asked.
#[derive(Clone)]
pub struct Reach {
    /// The connection.
    pub cluster: Cluster,
    /// `-A`: all namespaces.
    pub everywhere: bool,
    context: Option<String>,
}

impl Reach {
    /// Connects as the flags say.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect(at: &Where, everywhere: bool) -> Result<Self, Failure> {
        Ok(Self { cluster: Cluster::connect(at).await?, everywhere, context: at.context.clone() })
    }

    /// The resources of a kind that are asked for.
    #[must_use]
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self.everywhere {
            true => Api::all(self.cluster.client.clone()),
            false => Api::namespaced(self.cluster.client.clone(), &self.cluster.namespace),
        }
    }

    /// The Environments, by namespace and name.
    ///
    /// # Errors
    /// Where the API server does not answer, or refuses.
    pub async fn members(&self) -> Result<Vec<Member>, Failure> {
        let api: Api<Environment> = self.api();
        let mut members = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let listed = self.answered(api.list(&page)).await?;
            let next = listed.metadata.continue_.clone().filter(|token| !token.is_empty());
            members.extend(listed.items.into_iter().map(member));
            match next {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        members.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(members)
    }

    /// Waits for the API server, but not for ever.
    ///
    /// # Errors
    /// What it says.
    pub async fn answered<T>(
        &self,
        asked: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map_err(|error| self.cluster.failed(&error)),
            Err(_) => Err(Failure::failed(format!("{} does not answer (waited 15s)", self.cluster.name))),
        }
    }

    /// How the `from:` line begins.
    #[must_use]
    pub fn described(&self) -> Vec<String> {
        let namespace = match self.everywhere {
            true => "all namespaces".to_owned(),
            false => format!("namespace {}", self.cluster.namespace),
        };
        vec![format!("cluster {}", self.cluster.name), namespace]
    }

    /// The flags that lead to an environment again: ` -n sower`.
    #[must_use]
    pub fn flags_to(&self, member: &Member) -> String {
        match self.everywhere {
            true => self
                .cluster
                .flags
                .replace(&format!(" -n {}", self.cluster.namespace), &format!(" -n {}", member.namespace())),
            false => self.cluster.flags.clone(),
        }
    }

    /// The flags that lead here again.
    #[must_use]
    pub fn flags(&self) -> String {
        match self.everywhere {
            true => self.cluster.flags.replace(&format!(" -n {}", self.cluster.namespace), " -A"),
            false => self.cluster.flags.clone(),
        }
    }

    /// The database of an environment: its own Secret, or what the operator's Pod has mounted.
    ///
    /// # Errors
    /// Where neither can be read from here: with the same command beside the operator.
    pub async fn database(&self, member: &Member) -> Result<(DatabaseUrl, Tls), Failure> {
        let secret = member.loaded.spec.database.as_ref().and_then(|database| database.secret_ref.as_ref());
        let database = match secret {
            Some(secret) => match secrets::read(&self.cluster.client, member.namespace(), &secret.name).await
            {
                Ok(data) => {
                    // Whether the operator takes a file of its machine, it alone says.
                    let local = !member.is_stalled_by(Reason::InvalidSpec, "--allow-local");
                    Some(secrets::database(&format!("The secret {}", secret.name), &data, local))
                }
                Err(error) => {
                    let text = format!("the database of {}: {}", member.name(), error.full());
                    return Err(Failure { message: text, ..self.unreachable(member) });
                }
            },
            None => std::env::var_os(MOUNTED).map(|folder| secrets::mounted(Path::new(&folder))),
        };
        let Some(database) = database else { return Err(self.unreachable(member)) };
        let Database { url, tls } = database.map_err(|error| {
            Failure::failed(format!("the database of {}: {}", member.name(), error.full()))
        })?;
        Ok((url.of_environment(member.name()), tls))
    }

    /// The failure that names the place from where the database can be reached.
    fn unreachable(&self, member: &Member) -> Failure {
        let words = beside_the_operator(std::env::args().skip(1));
        let command = words.first().cloned().unwrap_or_default();
        let context =
            self.context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default();
        let namespace = member.namespace();
        Failure::failed(format!(
            "{command} reads rows, and no database of this cluster can be reached from here"
        ))
        .next(
            "beside the operator",
            format!("kubectl{context} -n {namespace} exec deploy/sower -- sower {}", words.join(" ")),
        )
        .next("or from here", "set SOWER_DATABASE_URL")
    }
}

/// The database that the operator's Pod has mounted, as people read it.
#[must_use]
pub fn mounted_database() -> Option<String> {
    let database = secrets::mounted(Path::new(&std::env::var_os(MOUNTED)?)).ok()?;
    Some(database.url.to_string())
}

fn member(resource: Environment) -> Member {
    let namespace = resource.namespace().unwrap_or_default();
    let name = resource.name_any();
    let loaded = LoadedEnvironment {
        path: format!("Environment/{namespace}/{name}"),
        name,
        spec: resource.spec.clone(),
        freeze_override: freeze_override(&resource).ok().flatten(),
        document: 0,
        lines: BTreeMap::new(),
    };
    Member { loaded, resource: Some(Box::new(resource)) }
}

/// The typed words without those that say where: the operator's Pod knows.
fn beside_the_operator(typed: impl Iterator<Item = String>) -> Vec<String> {
    const FLAGS: [&str; 4] = ["--namespace", "--context", "--kubeconfig", "--target"];
    let mut words = Vec::new();
    let mut typed = typed;
    while let Some(word) = typed.next() {
        let joined = FLAGS.iter().any(|flag| word.starts_with(&format!("{flag}=")));
        let short = word.starts_with("-n") && !word.starts_with("--");
        if word == "-n" || FLAGS.contains(&word.as_str()) {
            let _ = typed.next();
        } else if !joined && !short {
            words.push(word);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_repeated_without_where_it_acts() {
        for (typed, expected) in [
            ("history -e production -n sower", "history -e production"),
            ("get intg --context=prod -nsower --quiet", "get intg --quiet"),
            ("history --target cluster --no-wait", "history --no-wait"),
        ] {
            let words = beside_the_operator(typed.split(' ').map(str::to_owned));
            assert_eq!(words.join(" "), expected);
        }
    }
}
