//! The git servers serve, and refuse the wrong password or key.

use std::fs;

use anyhow::{Result, ensure};
use sower_tests::git_server::{GitServer, PASSWORD, USER};
use sower_tests::process::folder;
use sower_tests::repository::git;
use sower_tests::ssh_server::SshServer;

fn with_credentials(url: &str, password: &str) -> String {
    url.replace("://", &format!("://{USER}:{password}@"))
}

#[tokio::test]
async fn http_wants_the_password() -> Result<()> {
    let server = GitServer::shared().await?;
    let repository = server.repository("password")?;
    let tree = repository.work_tree()?;
    tree.write("integrations/oak/integration.yaml", "id: oak\n")?;
    let pushed = tree.commit_and_push("Plant an oak")?;
    let target = folder("clone")?;
    let url = server.url("password");
    git(&target, &["clone", "--quiet", &with_credentials(&url, PASSWORD), "good"])?;
    ensure!(git(&target.join("good"), &["rev-parse", "HEAD"])? == pushed);
    let refused = git(&target, &["clone", "--quiet", &with_credentials(&url, "wrong"), "bad"]);
    ensure!(refused.is_err_and(|error| error.to_string().contains("Authentication failed")));
    git(&target, &["clone", "--quiet", "--depth=1", &server.public_url("password"), "public"])?;
    ensure!(
        server
            .requests()?
            .iter()
            .any(|line| line.starts_with("GET /git/password.git/info/refs") && line.contains(" 401 "))
    );
    Ok(())
}

#[tokio::test]
async fn tls_wants_its_authority_to_be_trusted() -> Result<()> {
    let server = GitServer::shared().await?;
    let tree = server.repository("tls")?.work_tree()?;
    tree.commit_and_push("Begin")?;
    let target = folder("clone")?;
    fs::write(target.join("ca.crt"), server.ca_pem()?)?;
    let url = with_credentials(&server.tls_url("tls"), PASSWORD);
    ensure!(git(&target, &["clone", "--quiet", &url, "untrusted"]).is_err());
    git(&target, &["-c", "http.sslCAInfo=ca.crt", "clone", "--quiet", &url, "trusted"]).map(drop)
}

#[tokio::test]
async fn history_can_be_rewritten_and_branches_deleted() -> Result<()> {
    let repository = GitServer::shared().await?.repository("history")?;
    let tree = repository.work_tree()?;
    tree.write("file", "one")?;
    tree.commit_and_push("One")?;
    tree.write("file", "two")?;
    let second = tree.commit_and_push("Two")?;
    tree.revert(&second)?;
    ensure!(tree.read("file")? == "one");
    tree.git(&["reset", "--quiet", "--hard", "HEAD~2"])?;
    ensure!(tree.push().is_err());
    tree.force_push()?;
    ensure!(git(repository.folder(), &["rev-parse", "main"])? == tree.head()?);
    tree.branch("next")?;
    tree.commit_and_push("Next")?;
    tree.tag("v1.0.0")?;
    tree.delete_branch("next")?;
    ensure!(git(repository.folder(), &["branch", "--list", "next"])?.is_empty());
    ensure!(git(repository.folder(), &["tag"])? == "v1.0.0");
    Ok(())
}

#[tokio::test]
async fn ssh_wants_the_key() -> Result<()> {
    let repository = GitServer::shared().await?.repository("ssh")?;
    repository.work_tree()?.commit_and_push("Begin")?;
    let server = SshServer::start().await?;
    let target = folder("clone")?;
    fs::write(target.join("known_hosts"), server.known_hosts()?)?;
    fs::write(target.join("wrong_hosts"), server.wrong_known_hosts()?)?;
    let clone = |key: &std::path::Path, hosts: &str, to: &str| {
        let ssh = format!(
            "core.sshCommand=ssh -F none -i {} -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile={}/{hosts}",
            key.display(),
            target.display()
        );
        git(&target, &["-c", &ssh, "clone", "--quiet", &server.url(&repository), to])
    };
    clone(&server.identity()?.1, "known_hosts", "good")?;
    ensure!(clone(&server.stranger()?.1, "known_hosts", "stranger").is_err());
    ensure!(clone(&server.identity()?.1, "wrong_hosts", "impostor").is_err());
    Ok(())
}
