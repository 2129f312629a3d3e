//! A Kubernetes control plane: etcd, kube-apiserver and kube-controller-manager. No kubelet: Pods stay Pending.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::certificates::Certificates;
use crate::namespace::Namespace;
use crate::process::{Launch, Process, clean, folder, free_port, output};

/// Who may do everything, by its token; the controller manager is that, too.
const ADMIN_TOKEN: &str = "token-of-the-admin";
const READY: Duration = Duration::from_secs(60);

/// Every request that a ServiceAccount makes is written down; nobody else's is.
const AUDIT_POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- { level: Metadata, userGroups: ['system:serviceaccounts'] }
- { level: None }
";

/// One request of a ServiceAccount, from the audit log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` …
    pub verb: String,
    /// The group, empty for the core.
    pub group: String,
    /// The plural, with `/status` or another subresource behind it.
    pub resource: String,
    /// Empty for what lies in no namespace.
    pub namespace: String,
    /// Empty for lists.
    pub name: String,
    /// The HTTP status; 403 is a missing permission. 0 while a watch goes on.
    pub code: u64,
}

/// A running control plane. Which programs: `tests/controlplane/install`.
#[derive(Debug)]
pub struct ControlPlane {
    programs: PathBuf,
    folder: PathBuf,
    certificates: Certificates,
    signing_key: PathBuf,
    port: u16,
    etcd_port: u16,
    api_server: Mutex<Option<Process>>,
    // Ended after the API server, which needs it to end well.
    controller_manager: Option<Process>,
    etcd: Process,
}

impl ControlPlane {
    /// The control plane that the tests of this binary share. Each takes a [`Namespace`] of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// The shared one, with this checkout's CRDs.
    pub async fn with_crds() -> Result<&'static Self> {
        static APPLIED: OnceCell<()> = OnceCell::const_new();
        let plane = Self::shared().await?;
        APPLIED.get_or_try_init(async || plane.apply_crds()).await?;
        Ok(plane)
    }

    /// One for a single test that is to have namespaces: it ends with the test binary.
    pub async fn leaked() -> Result<&'static Self> {
        Ok(Box::leak(Box::new(Self::start().await?)))
    }

    /// Starts one for a single test: for what all of a cluster feels (its CRDs, the API server's end).
    pub async fn start() -> Result<Self> {
        let programs = programs()?;
        let folder = folder("control-plane")?;
        let certificates = Certificates::make()?;
        let signing_key = certificates.signing_key()?;
        let (port, etcd_port) = (free_port()?, free_port()?);
        fs::write(folder.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin,system:masters\n"))?;
        fs::write(folder.join("audit.yaml"), AUDIT_POLICY)?;
        let etcd = start_etcd(&programs, &folder, etcd_port)?;
        let kubeconfig = folder.join("admin.kubeconfig");
        write_kubeconfig(&kubeconfig, port, &certificates, ADMIN_TOKEN, "default")?;
        let (api_server, controller_manager) = (Mutex::default(), None);
        let mut plane = Self {
            programs,
            folder,
            certificates,
            signing_key,
            port,
            etcd_port,
            api_server,
            controller_manager,
            etcd,
        };
        plane.start_api_server().await?;
        plane.start_controller_manager().await?;
        Ok(plane)
    }

    async fn start_controller_manager(&mut self) -> Result<()> {
        let manager =
            Launch::killed("kube-controller-manager", self.programs.join("kube-controller-manager"))
                .arg("--kubeconfig")
                .arg(self.admin_kubeconfig())
                .arg("--service-account-private-key-file")
                .arg(&self.signing_key)
                .arg("--root-ca-file")
                .arg(self.certificates.ca())
                .args([
                    "--leader-elect=false",
                    "--bind-address=127.0.0.1",
                    &format!("--secure-port={}", free_port()?),
                ])
                .arg("--cert-dir")
                .arg(self.certificates.folder())
                .arg("--controllers=*,-nodeipam,-route,-cloud-node-lifecycle")
                .start()?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        manager.ready(READY, async || Ok(accounts.get("default").await.map(drop)?)).await?;
        self.controller_manager = Some(manager);
        Ok(())
    }

    /// Starts the API server, again after [`Self::stop_api_server`], on the same port and the same data.
    pub async fn start_api_server(&self) -> Result<()> {
        let folder = &self.folder;
        let server = Launch::killed("kube-apiserver", self.programs.join("kube-apiserver"))
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={}", self.port))
            .arg("--tls-cert-file")
            .arg(self.certificates.server())
            .arg("--tls-private-key-file")
            .arg(self.certificates.server_key())
            .arg("--client-ca-file")
            .arg(self.certificates.ca())
            .arg("--token-auth-file")
            .arg(folder.join("tokens.csv"))
            .arg("--service-account-key-file")
            .arg(&self.signing_key)
            .arg("--service-account-signing-key-file")
            .arg(&self.signing_key)
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .args(["--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC"])
            .args(["--disable-admission-plugins=ServiceAccount", "--allow-privileged"])
            .arg("--cert-dir")
            .arg(folder)
            .arg("--audit-policy-file")
            .arg(folder.join("audit.yaml"))
            .arg("--audit-log-path")
            .arg(folder.join("audit.log"))
            .arg("--audit-log-mode=blocking")
            .arg("--shutdown-delay-duration=0s")
            .start()?;
        let client = self.client().await?;
        server
            .ready(READY, async || {
                let request = http::Request::get("/readyz").body(Vec::new())?;
                Ok(client.request_text(request).await.map(drop)?)
            })
            .await?;
        ensure!(self.etcd.exited().is_none(), "etcd ended:\n{}", self.etcd.last_lines());
        *self.api_server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(())
    }

    /// Ends the API server at once, as a crash would.
    pub fn stop_api_server(&self) -> Result<()> {
        let server = self.api_server.lock().unwrap_or_else(PoisonError::into_inner).take();
        server.map_or(Ok(()), |server| server.kill().map(drop))
    }

    /// Where the API server answers.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A kubeconfig with all rights.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// A new kubeconfig with this token and default namespace.
    pub fn kubeconfig(&self, token: &str, namespace: &str) -> Result<PathBuf> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = self.folder.join(format!("{}.kubeconfig", NEXT.fetch_add(1, Ordering::Relaxed)));
        write_kubeconfig(&path, self.port, &self.certificates, token, namespace)?;
        Ok(path)
    }

    /// A client with all rights. It belongs to the runtime of the test that asks for it.
    pub async fn client(&self) -> Result<Client> {
        client(&self.admin_kubeconfig()).await
    }

    /// A new namespace, whose name starts with `name`; its default ServiceAccount is there.
    pub async fn namespace(&'static self, name: &str) -> Result<Namespace> {
        Namespace::create(self, name).await
    }

    /// Applies this checkout's CRDs, and waits until they are served.
    pub fn apply_crds(&self) -> Result<()> {
        let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/yaml");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &crds.to_string_lossy()])?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]).map(drop)
    }

    /// Runs kubectl with all rights; its standard output.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        output(self.program("kubectl").arg("--kubeconfig").arg(self.admin_kubeconfig()).args(args))
    }

    /// Runs helm with all rights; its standard output.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        output(self.program("helm").env("KUBECONFIG", self.admin_kubeconfig()).args(args))
    }

    /// `kubectl apply --server-side` of these documents in this namespace; the error holds the refusal.
    pub fn apply(&self, namespace: &str, documents: &str) -> Result<String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let file = self.folder.join(format!("apply-{}.yaml", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::write(&file, documents)?;
        self.kubectl(&["apply", "--server-side", "-n", namespace, "-f", &file.to_string_lossy()])
    }

    /// One of the programs beside the control plane: kubectl, helm.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        clean(&mut command);
        command
    }

    /// What this ServiceAccount has asked of the API server so far, in order.
    pub fn requests_of(&self, namespace: &str, account: &str) -> Result<Vec<Request>> {
        let log = fs::read_to_string(self.folder.join("audit.log"))?;
        let user = format!("system:serviceaccount:{namespace}:{account}");
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(events
            .filter(|event| event["user"]["username"] == user.as_str())
            .map(|event| request(&event))
            .collect())
    }
}

/// A client for a kubeconfig. It belongs to the runtime of the test that asks for it.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn programs() -> Result<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/controlplane/install");
    let printed = output(&mut Command::new(script)).context("the programs of the control plane")?;
    Ok(PathBuf::from(printed.trim()))
}

fn start_etcd(programs: &Path, folder: &Path, port: u16) -> Result<Process> {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", free_port()?));
    Launch::killed("etcd", programs.join("etcd"))
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .args(["--unsafe-no-fsync", "--log-level", "error"])
        .start()
}

fn write_kubeconfig(
    path: &Path,
    port: u16,
    certificates: &Certificates,
    token: &str,
    namespace: &str,
) -> Result<()> {
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "tests", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": certificates.ca() } }],
        "users": [{ "name": "tests", "user": { "token": token } }],
        "contexts": [{ "name": "tests", "context": { "cluster": "tests", "user": "tests", "namespace": namespace } }],
        "current-context": "tests",
    });
    Ok(fs::write(path, serde_json::to_vec_pretty(&config)?)?)
}

fn request(event: &Value) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let mut resource = text(&object["resource"]);
    if let Some(subresource) = object["subresource"].as_str() {
        resource = format!("{resource}/{subresource}");
    }
    Request {
        verb: text(&event["verb"]),
        group: text(&object["apiGroup"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: event["responseStatus"]["code"].as_u64().unwrap_or_default(),
    }
}
