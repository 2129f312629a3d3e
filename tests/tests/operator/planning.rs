//! The command line in front of a cluster where it reads what the resources name: plans of them, and lists of every
//! namespace. What a resource names is somebody else's word: this user's disk and credentials are not for it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::{self, Bed};
use sower_tests::catalog::{manifest, path, spec, with};
use sower_tests::control_plane::ControlPlane;
use sower_tests::git_server::{PASSWORD, USER};
use sower_tests::process::{Launch, clean, output};
use sower_tests::repository::WorkTree;
use sower_tests::sower::{Ran, Sower};
use sower_tests::ssh_server::SshServer;

/// A user with a checkout, in which the commands are typed, and with everything that git could use on their behalf.
struct User {
    checkout: WorkTree,
    home: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl User {
    fn of(bed: &Bed) -> Result<Self> {
        let checkout = WorkTree::create()?;
        checkout.write("sower.toml", "environments = \"environments\"\nsource = \".\"\n")?;
        let production =
            "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: production }\nspec: {}\n";
        checkout.write("environments/production.yaml", production)?;
        checkout.write(&path("pine"), manifest("pine", "9.0.0", 1))?;
        checkout.commit("A checkout of one's own")?;
        let variables = vec![
            ("KUBECONFIG", bed.plane.admin_kubeconfig().display().to_string()),
            ("SOWER_DATABASE_URL", bed.database.url()),
        ];
        Ok(Self { checkout, home: tempfile::tempdir()?, variables })
    }

    fn sower(&self, words: &str) -> Result<Ran> {
        let mut sower = Sower::within(self.checkout.folder())?.env("HOME", self.home.path());
        for (name, value) in &self.variables {
            sower = sower.env(name, value);
        }
        sower.run(&words.split(' ').collect::<Vec<_>>())
    }

    /// A helper that knows the password of the git server, and leaves a trace when it is asked.
    fn knows_the_password(&self, url: &str) -> Result<()> {
        let asked = self.asked();
        let helper = format!(
            "!f() {{ touch {}; echo username={USER}; echo password={PASSWORD}; }}; f",
            asked.display()
        );
        // Another place for the same URL, which a git of this user's would take.
        let config = format!(
            "[credential]\n\thelper = \"{helper}\"\n[url \"file:///nowhere\"]\n\tinsteadOf = {url}\n"
        );
        std::fs::write(self.home.path().join(".gitconfig"), config)?;
        Ok(())
    }

    fn asked(&self) -> std::path::PathBuf {
        self.home.path().join("asked")
    }

    /// An agent with the key that the server takes, and the server's own key among the known hosts.
    async fn has_an_agent(&mut self, server: &SshServer) -> Result<sower_tests::process::Process> {
        let ssh = self.home.path().join(".ssh");
        std::fs::create_dir(&ssh)?;
        std::fs::write(ssh.join("known_hosts"), server.known_hosts()?)?;
        let socket = self.home.path().join("agent");
        let agent = Launch::new("ssh-agent", "/usr/bin/ssh-agent").args(["-D", "-a"]).arg(&socket).start()?;
        let (_, identity) = server.identity()?;
        agent.ready(Duration::from_secs(20), async || add(&socket, &identity)).await?;
        self.variables.push(("SSH_AUTH_SOCK", socket.display().to_string()));
        Ok(agent)
    }
}

fn add(socket: &Path, identity: &Path) -> Result<()> {
    let mut command = std::process::Command::new("ssh-add");
    output(clean(&mut command).env("SSH_AUTH_SOCK", socket).arg(identity)).map(drop)
}

/// A git source at `main` for which no Secret is named.
fn bare(url: &str) -> Value {
    spec(
        json!({ "name": "catalog", "path": "integrations", "git": { "url": url, "ref": { "branch": "main" } } }),
    )
}

#[tokio::test]
async fn what_resources_name_is_planned_without_what_is_this_users() -> Result<()> {
    let bed = Bed::make("planning").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    bed.seeded("production", &first).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("oak: better")?;

    let mut user = User::of(&bed)?;
    user.knows_the_password(&catalog.url)?;
    let server = SshServer::start().await?;
    let _agent = user.has_an_agent(&server).await?;
    let namespace = &bed.namespace.name;

    let before = bed.tables().await?.to_string();
    let plan = user.sower(&format!("plan -e production -n {namespace}"))?.expect(0)?;
    ensure!(plan.err.starts_with("from: cluster ") && plan.err.contains(namespace), "{}", plan.err);
    ensure!(plan.out.starts_with("~ oak 1.0.0 -> 1.1.0   documentation only\n"), "{}", plan.out);
    ensure!(plan.out.contains(" for production: 0 create, 1 update, 0 delete, 1 unchanged"), "{}", plan.out);
    ensure!(plan.err.contains(&format!("Apply it: sower seed -e production -n {namespace}")), "{}", plan.err);
    let told = user.sower(&format!("plan -e production -n {namespace} -o json --exit-code"))?.expect(3)?;
    ensure!(told.json()?.to_string().contains(&second), "{}", told.out);

    // Each of these this user could read: with a password, with a key, from the disk.
    let shell = server.url(&catalog.repository);
    let disk = format!("file://{}", user.checkout.folder().display());
    let wanted = [
        ("password", &catalog.url, "asks for credentials, and none were given"),
        ("key", &shell, "shows an ssh host key that known_hosts does not hold"),
        ("disk", &disk, "error: a source of disk lies on the operator's own disk (file:// or a path)"),
    ];
    for (name, url, why) in wanted {
        bed.environment(name, with(bare(url), json!({ "suspend": true }))).await?;
        let plan = user.sower(&format!("plan -e {name} -n {namespace}"))?.expect(1)?;
        ensure!(plan.out.is_empty() && plan.err.contains(why), "{name}: {plan:?}");
    }
    ensure!(!user.asked().exists(), "git's helper of this user was asked");
    for flags in ["--source .", "--environments environments"] {
        user.sower(&format!("plan -e production -n {namespace} {flags}"))?.expect(2)?;
    }

    // All of them side by side: what cannot be read keeps nobody from the rest.
    let all = user.sower(&format!("plan -n {namespace}"))?.expect(1)?;
    let line = |name: &str| all.out.lines().find(|line| line.starts_with(name)).context(name.to_owned());
    ensure!(line("production ")?.contains("+0 ~1 -0"), "{}", all.out);
    ensure!(line("disk ")?.ends_with("failed"), "{}", all.out);
    let after = bed.tables().await?.to_string();
    ensure!(before == after, "a plan wrote:\n{before}\n{after}");
    Ok(())
}

#[tokio::test]
async fn integrations_of_the_cluster_are_planned() -> Result<()> {
    let bed = Bed::make("listing").await?;
    for (name, tier) in [("acme", "gold"), ("brass", "tin")] {
        bed.namespace.apply(&format!(
            "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: {name}, labels: {{ tier: {tier} }} }}\nspec:\n{}",
            manifest(name, "1.4.0", 1).lines().skip(1).map(|line| format!("  {line}\n")).collect::<String>()
        ))?;
    }
    let gold = json!({ "name": "cluster", "cluster": { "selector": { "matchLabels": { "tier": "gold" } } } });
    bed.environment("production", json!({ "sources": [gold], "suspend": true })).await?;
    let user = User::of(&bed)?;
    let plan = user.sower(&format!("plan -e production -n {}", bed.namespace.name))?.expect(0)?;
    ensure!(plan.out.starts_with("+ acme 1.4.0\n"), "{}", plan.out);
    ensure!(plan.out.contains(" for production: 1 create, 0 update, 0 delete, 0 unchanged"), "{}", plan.out);
    ensure!(plan.err.contains("It would be held: spec.suspend is true"), "{}", plan.err);
    ensure!(bed.tables().await?.carried("production").is_empty(), "a plan wrote");
    Ok(())
}

#[tokio::test]
async fn what_a_cluster_could_not_seed_is_planned_as_such() -> Result<()> {
    let bed = Bed::make("elsewhere").await?;
    let catalog = bed.catalog()?;
    catalog.plant(&["ash"])?;
    let mut user = User::of(&bed)?;
    user.sower("seed -e production")?.expect(0)?;
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    let namespace = &bed.namespace.name;
    let plan = user.sower(&format!("plan -e production -n {namespace}"))?.expect(0)?;
    ensure!(plan.err.contains("another keeper seeds this environment"), "{}", plan.err);
    ensure!(!plan.err.contains("Apply it"), "{}", plan.err);
    ensure!(plan.err.contains(&bed.database.name) && !plan.err.contains(&bed.database.url()), "{}", plan.err);

    // Without a database of one's own at hand, the Secret is read.
    user.variables.retain(|(name, _)| *name != "SOWER_DATABASE_URL");
    let nowhere = json!({ "database": { "secretRef": { "name": "not-there" } } });
    bed.environment("nowhere", with(catalog.spec(), nowhere)).await?;
    let plan = user.sower(&format!("plan -e nowhere -n {namespace}"))?.expect(1)?;
    ensure!(plan.err.contains("not-there") && plan.err.contains("nowhere"), "{}", plan.err);
    let doctor = user.sower(&format!("doctor -n {namespace}"))?.expect(1)?;
    ensure!(doctor.out.contains("not-there"), "{}", doctor.out);
    Ok(())
}

/// On a control plane of its own: the other tests' Environments are none of this one's.
#[tokio::test]
async fn every_namespace_is_listed() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    plane.apply_crds()?;
    let bed = Bed::on(plane, "home", &[]).await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    // Of the same name, where no operator looks.
    let other = plane.namespace("other").await?;
    bed::environment(&other, "production", catalog.spec()).await?;
    let (here, there) = (&bed.namespace.name, &other.name);
    let user = User::of(&bed)?;
    let cells = |text: &str| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };

    let status = user.sower("status -A")?.expect(0)?;
    let rows = cells(&status.out);
    ensure!(rows[0][..3] == ["NAMESPACE", "ENVIRONMENT", "READY"], "{}", status.out);
    let short = format!("main@{}", &commit[..7]);
    ensure!(rows[1][..5] == [here, "production", "True", &short, "2"], "{}", status.out);
    ensure!(rows[2][..2] == [there, "production"] && rows[2][2] != "True", "{}", status.out);
    ensure!(status.err.starts_with("from: cluster "), "{}", status.err);
    let both = user.sower("status -A -q -o json")?.expect(0)?.json()?;
    ensure!(both[0]["namespace"] == **here && both[1]["namespace"] == **there, "{both}");

    let environments = user.sower("get env -A")?.expect(0)?;
    let rows = cells(&environments.out);
    ensure!(rows[0][..3] == ["NAMESPACE", "NAME", "READY"], "{}", environments.out);
    ensure!(rows[1][..5] == [here, "production", "True", &short, "2"], "{}", environments.out);
    ensure!(rows[2][..2] == [there, "production"], "{}", environments.out);
    let changing = user.sower("seed --all -A")?;
    ensure!(changing.code == 2, "-A is for asking only: {changing:?}");
    Ok(())
}
