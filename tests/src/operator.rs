//! The operator under test: installed by the chart, run as a process in place of its Pod.
//!
//! No kubelet runs here, so the kit does what one would: it reads the Deployment that helm made, fills in its
//! environment and its volumes, and starts the binary with a token of the ServiceAccount and no other right.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{EnvVar, PodSpec, Secret};
use kube::Api;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::namespace::Namespace;
use crate::postgres::Database;
use crate::process::{Launch, Process, clean, folder, free_port};
use crate::sower::binary;

/// The release, the Deployment and the ServiceAccount.
pub const NAME: &str = "sower";
/// The Secret that holds the database's URL.
pub const DATABASE_SECRET: &str = "sower-database";
/// The chart of this checkout.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sower");

const READY: Duration = Duration::from_secs(30);

/// One running replica.
#[derive(Debug)]
pub struct Operator {
    /// The process, to kill it, to make it hang, or to read its log.
    pub process: Process,
    port: u16,
    scratch: Vec<PathBuf>,
}

impl Operator {
    /// Installs the chart into a namespace, which alone is watched, and starts one replica.
    ///
    /// `values` are further `--set` arguments. The CRDs are the control plane's own
    /// ([`crate::control_plane::ControlPlane::with_crds`]).
    pub async fn install(namespace: &Namespace, database: &Database, values: &[&str]) -> Result<Self> {
        namespace.secret(DATABASE_SECRET, &[("url", &database.url())]).await?;
        let watched = format!("watchNamespaces={{{}}}", namespace.name);
        let secret = format!("database.secretRef.name={DATABASE_SECRET}");
        let mut args =
            vec!["install", NAME, CHART, "--set", "crds.install=false", "--set", &watched, "--set", &secret];
        for value in values {
            args.extend(["--set", value]);
        }
        namespace.helm(&args)?;
        Self::replica(namespace, "sower-0").await
    }

    /// Starts a replica of an installed chart and waits until it is ready; `pod` is its name.
    pub async fn replica(namespace: &Namespace, pod: &str) -> Result<Self> {
        let operator = Self::started(namespace, pod).await?;
        let ready = async || {
            let (code, body) = operator.get("/readyz").await?;
            ensure!(code == 200, "{code}: {body}");
            Ok(())
        };
        operator.process.ready(READY, ready).await?;
        Ok(operator)
    }

    /// Starts a replica and does not wait.
    pub async fn started(namespace: &Namespace, pod: &str) -> Result<Self> {
        let (launch, port, scratch) = launch(namespace, pod).await?;
        Ok(Self { process: launch.start()?, port, scratch })
    }

    /// The files of its empty volumes that hold a text.
    pub fn files_with(&self, text: &str) -> Result<Vec<String>> {
        let mut command = Command::new("grep");
        clean(&mut command).args(["-rlaF", "--", text]).args(&self.scratch);
        let found = command.output()?;
        Ok(String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect())
    }

    /// The status and the body that a path of its server answers with.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        self.ask("GET", path, None, None).await
    }

    /// The same, whatever the method, with a bearer token and a body of JSON.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> Result<(u16, String)> {
        let mut question = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n");
        if let Some(token) = token {
            question += &format!("Authorization: Bearer {token}\r\n");
        }
        if let Some(body) = body {
            let length = body.len();
            question += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.write_all(format!("{question}\r\n{}", body.unwrap_or_default()).as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer}"))?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status")?;
        Ok((code, body.to_owned()))
    }

    /// Every sample of its metrics, by name and labels as they stand there.
    pub async fn metrics(&self) -> Result<BTreeMap<String, f64>> {
        let (code, body) = self.get("/metrics").await?;
        ensure!(code == 200, "{code}: {body}");
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').with_context(|| format!("no sample: {line}"))?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect()
    }
}

/// What a kubelet would start for the Deployment, and the port that it listens on.
async fn launch(namespace: &Namespace, pod: &str) -> Result<(Launch, u16, Vec<PathBuf>)> {
    let deployment = namespace.api::<Deployment>().get(NAME).await?;
    let spec = deployment.spec.and_then(|spec| spec.template.spec).context("a Deployment without a Pod")?;
    let account = spec.service_account_name.clone().context("a Pod without a ServiceAccount")?;
    let port = free_port()?;
    let (mounts, scratch) = mount(namespace, &spec).await?;
    let container = spec.containers.into_iter().next().context("a Pod without a container")?;
    let here = |text: &str| {
        let text = text.replace("0.0.0.0:8400", &format!("127.0.0.1:{port}"));
        let moved = mounts.iter().find_map(|(path, folder)| moved(&text, path, &folder.to_string_lossy()));
        moved.unwrap_or(text)
    };
    let mut launch = Launch::new(&format!("operator-{}", namespace.name), binary()?)
        .args(container.args.unwrap_or_default().iter().map(|arg| here(arg)))
        .current_dir(folder("pod")?);
    for variable in container.env.unwrap_or_default() {
        let value = value_of(namespace, pod, &variable).await?;
        launch = launch.env(&variable.name, here(&value));
    }
    let launch = launch.env("KUBECONFIG", namespace.kubeconfig_of(&account).await?);
    Ok((launch, port, scratch))
}

/// `text` with `folder` in place of the mount path, if that is what it is, starts with, or has as a URL's path.
fn moved(text: &str, mount: &str, folder: &str) -> Option<String> {
    if let Some((scheme, path)) = text.split_once("://") {
        return Some(format!("{scheme}://{}", moved(path, mount, folder)?));
    }
    let rest = text.strip_prefix(mount)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("{folder}{rest}"))
}

/// A folder for each mount path: empty for a volume, with the keys as files for a Secret. Beside them the empty ones.
async fn mount(namespace: &Namespace, spec: &PodSpec) -> Result<(BTreeMap<String, PathBuf>, Vec<PathBuf>)> {
    let mut folders = BTreeMap::new();
    let mut scratch = Vec::new();
    for volume in spec.volumes.iter().flatten() {
        let folder = folder(&format!("volume-{}", volume.name))?;
        if let Some(name) = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_ref()) {
            let secrets: Api<Secret> = namespace.api();
            for (key, value) in secrets.get(name).await?.data.unwrap_or_default() {
                fs::write(folder.join(key), value.0)?;
            }
        } else if volume.empty_dir.is_none() && volume.persistent_volume_claim.is_none() {
            bail!("a volume of a kind that the kit cannot make: {volume:?}");
        } else {
            scratch.push(folder.clone());
        }
        folders.insert(volume.name.clone(), folder);
    }
    let mut mounts = BTreeMap::new();
    for mount in spec.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten()) {
        let folder = folders.get(&mount.name).with_context(|| format!("no volume {}", mount.name))?;
        mounts.insert(mount.mount_path.clone(), folder.clone());
    }
    Ok((mounts, scratch))
}

async fn value_of(namespace: &Namespace, pod: &str, variable: &EnvVar) -> Result<String> {
    let Some(from) = &variable.value_from else { return Ok(variable.value.clone().unwrap_or_default()) };
    if let Some(field) = &from.field_ref {
        return match field.field_path.as_str() {
            "metadata.name" => Ok(pod.to_owned()),
            "metadata.namespace" => Ok(namespace.name.clone()),
            other => bail!("a field that the kit does not know: {other}"),
        };
    }
    let key =
        from.secret_key_ref.as_ref().with_context(|| format!("a source unknown to the kit: {from:?}"))?;
    let secret = namespace.api::<Secret>().get(&key.name).await?;
    let value =
        secret.data.unwrap_or_default().remove(&key.key).with_context(|| format!("no key {}", key.key))?;
    Ok(String::from_utf8(value.0)?)
}

#[cfg(test)]
mod tests {
    use super::moved;

    #[test]
    fn only_the_mount_path_itself_is_moved() {
        for (text, expect) in [
            ("/cache", Some("/here")),
            ("/cache/git", Some("/here/git")),
            ("/cached", None),
            ("sqlite:///cache/sower.db", Some("sqlite:///here/sower.db")),
            ("cluster", None),
        ] {
            assert_eq!(moved(text, "/cache", "/here").as_deref(), expect);
        }
    }
}
