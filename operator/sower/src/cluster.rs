//! A cluster that commands act on: its Environments, and how it is called.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, api::ListParams};
use sower_controllers::api_server;
use sower_crds::Environment;

use crate::choice::{self, Asked};
use crate::cli::Where;
use crate::commands::seed::with_flags;
use crate::failure::Failure;

/// A namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    /// The connection.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
    /// The context's name.
    pub name: String,
    /// The flags that lead here again: ` -n sower`.
    pub flags: String,
}

impl Cluster {
    /// Connects as the flags say.
    ///
    /// # Errors
    /// Where there is no kubeconfig, no such context, or no API server.
    pub async fn connect(at: &Where) -> Result<Self, Failure> {
        let failed = |cause: String| {
            Failure::failed(format!("no cluster: {}", quoted_once(&cause)))
                .next("check it", "kubectl config current-context")
        };
        let options = KubeConfigOptions { context: at.context.clone(), ..KubeConfigOptions::default() };
        let read = match &at.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path).map_err(|error| failed(error.to_string()))?),
            None => Kubeconfig::read().ok(),
        };
        let (config, name) = match read {
            Some(file) => {
                let name = at.context.clone().or_else(|| file.current_context.clone()).unwrap_or_default();
                let config = Config::from_custom_kubeconfig(file, &options).await;
                (config.map_err(|error| failed(error.to_string()))?, name)
            }
            None if at.context.is_some() => return Err(failed("there is no kubeconfig".to_owned())),
            None => {
                let config = Config::incluster().map_err(|_| failed("there is no kubeconfig".to_owned()))?;
                (config, std::env::var("SOWER_CLUSTER_NAME").unwrap_or_else(|_| "cluster".to_owned()))
            }
        };
        let namespace = at.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| failed(error.to_string()))?;
        let mut flags =
            at.context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default();
        if let Some(path) = &at.kubeconfig {
            flags.push_str(&format!(" --kubeconfig {}", path.display()));
        }
        flags.push_str(&format!(" -n {namespace}"));
        Ok(Self { client, namespace, name, flags })
    }

    /// `from: cluster prod-eu · namespace sower`.
    #[must_use]
    pub fn from(&self) -> String {
        format!("from: cluster {} · namespace {}", self.name, self.namespace)
    }

    /// The Environments of the namespace.
    #[must_use]
    pub fn api(&self) -> Api<Environment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Environments of the namespace, by name.
    ///
    /// # Errors
    /// Where the API server does not answer or refuses.
    pub async fn environments(&self) -> Result<Vec<Environment>, Failure> {
        let listed = self.api().list(&ListParams::default()).await.map_err(|error| self.failed(&error))?;
        let mut environments = listed.items;
        environments.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(environments)
    }

    /// The Environments of the namespace to change, by name; `command` is what was typed, with its words.
    ///
    /// # Errors
    /// Usage, where it is not plain which, or there is none; and where the API server does not answer or refuses.
    pub async fn to_change(&self, command: &str, asked: Asked<'_>) -> Result<Vec<Environment>, Failure> {
        let environments = self.environments().await?;
        let names: Vec<String> = environments.iter().map(kube::ResourceExt::name_any).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if names.is_empty() && asked.environment.is_none() {
            return Err(self.no_environment(false));
        }
        let chosen =
            choice::to_change(command, &names, asked).map_err(|failure| with_flags(failure, &self.flags))?;
        Ok(chosen.into_iter().map(|index| environments[index].clone()).collect())
    }

    /// What a command says that needs Environments, where there is none.
    #[must_use]
    pub fn no_environment(&self, everywhere: bool) -> Failure {
        let Self { client: _, namespace, name, flags } = self;
        let own = format!(" -n {namespace}");
        let make = format!("kubectl{flags} apply -f FILE, a document of `kind: Environment`");
        if everywhere {
            return choice::none(&format!("any namespace of cluster {name}")).next("make one", make);
        }
        choice::none(&format!("namespace {namespace} of cluster {name}"))
            .next("make one", make)
            .next("elsewhere", format!("sower get environments{}", flags.replace(&own, " -A")))
    }

    /// What the API server refused.
    #[must_use]
    pub fn failed(&self, error: &kube::Error) -> Failure {
        match error {
            kube::Error::Api(status) if status.code == 404 => {
                Failure::failed(format!("{} has no such thing: {}", self.name, status.message))
                    .next("are the CRDs there?", "kubectl get crd environments.sower.dev")
            }
            kube::Error::Api(status) => Failure::failed(format!("{} refuses: {}", self.name, status.message)),
            other => Failure::failed(format!("{} does not answer: {}", self.name, api_server::cause(other)))
                .next("check it", "kubectl config current-context"),
        }
    }
}

/// The client quotes the names of files twice.
fn quoted_once(cause: &str) -> String {
    cause.replace("'\"", "`").replace("\"'", "`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_is_not_there_is_quoted_once() {
        let error = Kubeconfig::read_from("/nowhere/config").expect_err("it is not there");
        let told = quoted_once(&error.to_string());
        assert!(told.contains(" `/nowhere/config`: ") && !told.contains('"'), "{told}");
    }
}
