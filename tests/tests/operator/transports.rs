//! Ways to a git repository: ssh, TLS with an authority of one's own, a bearer token, tags.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::{Bed, condition, ensure_with, told};
use sower_tests::catalog::{Catalog, source, spec};
use sower_tests::git_server::{self, TOKEN};
use sower_tests::ssh_server::SshServer;

fn at(url: &str, secret: &str) -> Value {
    let mut source = source(url, "main");
    source["git"]["secretRef"]["name"] = secret.into();
    spec(source)
}

async fn refused(bed: &Bed, name: &str) -> Result<String> {
    let read = bed
        .until(&format!("{name} is refused"), async || {
            let read = bed.read(name).await?;
            ensure!(
                condition(&read, "Ready").is_some_and(|ready| ready.status == "False"),
                "{}",
                told(&read)
            );
            Ok(read)
        })
        .await?;
    Ok(condition(&read, "Ready").context("Ready")?.reason.clone())
}

#[tokio::test]
async fn ssh_wants_the_key_and_the_known_host() -> Result<()> {
    let bed = Bed::make("ssh").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    let server = SshServer::start().await?;
    let url = server.url(&catalog.repository);
    let (identity, _) = server.identity()?;
    let (stranger, _) = server.stranger()?;
    for (name, key, hosts) in [
        ("good", &identity, server.known_hosts()?),
        ("impostor", &identity, server.wrong_known_hosts()?),
        ("stranger", &stranger, server.known_hosts()?),
        ("unknown", &identity, String::new()),
    ] {
        bed.namespace.secret(&format!("ssh-{name}"), &[("identity", key), ("known_hosts", &hosts)]).await?;
        bed.environment(name, at(&url, &format!("ssh-{name}"))).await?;
    }
    bed.seeded("good", &commit).await?;
    for name in ["impostor", "stranger", "unknown"] {
        let reason = refused(&bed, name).await?;
        ensure!(reason == "AuthenticationFailed", "{name}: {}", told(&bed.read(name).await?));
        ensure!(bed.tables().await?.carried(name).is_empty());
    }
    let secret = identity.lines().nth(1).context("a key")?;
    let leaks = bed.leaks(&[secret]).await?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

#[tokio::test]
async fn tls_wants_the_authority() -> Result<()> {
    let bed = Bed::make("tls").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    let url = bed.git.tls_url(&bed.namespace.name);
    let login = [("username", git_server::USER), ("password", git_server::PASSWORD)];
    bed.namespace.secret("untrusting", &login).await?;
    let ca = bed.git.ca_pem()?;
    bed.namespace.secret("trusting", &[login[0], login[1], ("ca.crt", &ca)]).await?;
    bed.environment("good", at(&url, "trusting")).await?;
    bed.environment("bad", at(&url, "untrusting")).await?;
    bed.seeded("good", &commit).await?;
    let reason = refused(&bed, "bad").await?;
    ensure!(
        ["FetchFailed", "AuthenticationFailed"].contains(&reason.as_str()),
        "{}",
        told(&bed.read("bad").await?)
    );
    ensure!(told(&bed.read("bad").await?).contains("certificate"), "{}", told(&bed.read("bad").await?));
    Ok(())
}

#[tokio::test]
async fn a_bearer_token_is_sent() -> Result<()> {
    let bed = Bed::make("bearer").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash", "oak"])?;
    let url = bed.git.bearer_url(&bed.namespace.name);
    bed.namespace.secret("token", &[("bearerToken", TOKEN)]).await?;
    bed.namespace.secret("wrong", &[("bearerToken", "another-token-to-be-kept")]).await?;
    bed.environment("good", at(&url, "token")).await?;
    bed.environment("bad", at(&url, "wrong")).await?;
    bed.seeded("good", &commit).await?;
    ensure!(refused(&bed, "bad").await? == "AuthenticationFailed", "{}", told(&bed.read("bad").await?));
    ensure_with(&bed.read("bad").await?, Some("Stalled"))?;
    let leaks = bed.leaks(&[TOKEN, "another-token-to-be-kept"]).await?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

#[tokio::test]
async fn tags_ranges_and_commits_can_be_followed() -> Result<()> {
    let bed = Bed::make("refs").await?;
    let catalog: Catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    catalog.tree.tag("v1.0.0")?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    catalog.tree.tag("v1.1.0")?;
    for (name, reference) in [
        ("tagged", json!({ "tag": "v1.0.0" })),
        ("ranged", json!({ "semver": "^1.0.0" })),
        ("pinned", json!({ "commit": first })),
    ] {
        let mut source = catalog.source("main");
        source["git"]["ref"] = reference;
        bed.environment(name, spec(source)).await?;
    }
    bed.seeded("tagged", &first).await?;
    bed.seeded("pinned", &first).await?;
    bed.seeded("ranged", &second).await?;
    catalog.write("oak", "1.2.0")?;
    let third = catalog.push("Raise again")?;
    catalog.tree.tag("v1.2.0")?;
    bed.seeded("ranged", &third).await?;
    bed.reconcile("pinned").await?;
    ensure!(bed.tables().await?.carried("pinned")["oak"] == "1.0.0");
    Ok(())
}
