//! The commands of the docs run: every code block of docs/*.md and README.md that is marked `console`.
//!
//! A block is a shell script in a checkout; `sower`, kubectl and helm are on the PATH, kubectl has all rights in a new
//! cluster, and `DATABASE_URL` names a PostgreSQL database that holds this checkout's environments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use sower_tests::control_plane::ControlPlane;
use sower_tests::postgres::Postgres;
use sower_tests::process::{clean, folder};
use sower_tests::repository::WorkTree;
use sower_tests::sower::{Sower, binary};

use super::e2e_11_standalone::checkout;

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Pages whose commands stand on those of others, in this order; the others come between.
const FIRST: &str = "quickstart.md";
const LAST: &str = "upgrade.md";

/// A block and the line that it begins in.
struct Block {
    line: usize,
    script: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(Option<Block>, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            Some((_, fence)) if bare.trim_end() == fence => {
                if let Some((Some(block), _)) = open.take() {
                    found.push(block);
                }
            }
            Some((Some(block), _)) => {
                block.script.push_str(line);
                block.script.push('\n');
            }
            Some((None, _)) => {}
            None if bare.starts_with("```") => {
                let (ticks, info) = bare.split_at(bare.len() - bare.trim_start_matches('`').len());
                let runs = info.split_whitespace().next() == Some("console");
                open =
                    Some((runs.then(|| Block { line: number + 1, script: String::new() }), ticks.to_owned()));
            }
            None => {}
        }
    }
    found
}

fn pages() -> Result<Vec<PathBuf>> {
    let mut pages: Vec<PathBuf> = fs::read_dir(Path::new(CHECKOUT).join("docs"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    pages.push(Path::new(CHECKOUT).join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md") && page.exists());
    let place = |page: &PathBuf| match page.file_name().and_then(|name| name.to_str()) {
        Some(FIRST) => 0,
        Some(LAST) => 2,
        _ => 1,
    };
    pages.sort_by_key(|page| (place(page), page.clone()));
    Ok(pages)
}

#[tokio::test]
async fn the_commands_of_the_docs_run() -> Result<()> {
    let plane = ControlPlane::start().await?;
    let kubectl = plane.program("kubectl");
    let programs = Path::new(kubectl.get_program()).parent().context("a folder of programs")?.to_owned();
    let sower = binary()?;
    let sower = sower.parent().context("a folder")?;
    let path =
        format!("{}:{}:{}", sower.display(), programs.display(), std::env::var("PATH").unwrap_or_default());
    let mut ran = 0;
    for page in pages()? {
        let name = page.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let blocks = blocks(&fs::read_to_string(&page)?);
        if blocks.is_empty() {
            continue;
        }
        let tree = checkout()?;
        tree.copy_from(&Path::new(CHECKOUT).join("charts"), "charts")?;
        tree.commit("Bring the charts")?;
        let database = Postgres::shared().await?.database().await?;
        let seeded = Sower::within(tree.folder())?.run(&["seed", "--all", "--database", &database.url()])?;
        seeded.expect(0).context("seed the database of the docs")?;
        for block in blocks {
            run(
                &block,
                &tree,
                &[
                    ("PATH", &path),
                    ("DATABASE_URL", &database.url()),
                    ("KUBECONFIG", &plane.admin_kubeconfig().to_string_lossy()),
                ],
            )
            .with_context(|| format!("{name}:{}", block.line))?;
            ran += 1;
        }
    }
    ensure!(ran > 10, "only {ran} blocks are marked `console`");
    println!("ran {ran} blocks");
    Ok(())
}

fn run(block: &Block, tree: &WorkTree, variables: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new("bash");
    clean(&mut command).current_dir(tree.folder()).stdin(Stdio::null()).args([
        "-euo",
        "pipefail",
        "-c",
        &block.script,
    ]);
    command.env("HOME", folder("docs-home")?);
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}\n{}--- out\n{}--- err\n{}",
        output.status,
        block.script,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn blocks_are_told_apart() {
    let text = "a\n```console\none\ntwo\n```\n```sh\nno\n```\n````console\n```\n````\n  ```console title\n  three\n  ```\n```console-like\nno\n```\n";
    let found: Vec<_> = blocks(text).into_iter().map(|block| (block.line, block.script)).collect();
    let wanted =
        [(2, "one\ntwo\n"), (9, "```\n"), (12, "  three\n")].map(|(line, script)| (line, script.to_owned()));
    assert_eq!(found, wanted);
}
