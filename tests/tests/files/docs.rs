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

/// What the first seeding of each page is of.
const FIRST_COMMIT: &str = "Bring the charts";

/// A block and the line that it begins in.
struct Block {
    line: usize,
    script: String,
    /// What the page shows of its output: the next block, where that is marked `text`.
    shown: Option<String>,
}

/// What is open while a page is read.
enum Open {
    Script(Block),
    Output(String),
    Other,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<(Open, String)> = None;
    // The next block may be the output of the last one.
    let mut follows = false;
    for (number, line) in text.lines().enumerate() {
        let bare = line.trim_start();
        match &mut open {
            Some((_, fence)) if bare.trim_end() == fence => match open.take() {
                Some((Open::Script(block), _)) => {
                    found.push(block);
                    follows = true;
                }
                Some((Open::Output(text), _)) => {
                    if let Some(last) = found.last_mut() {
                        last.shown = Some(text);
                    }
                }
                _ => {}
            },
            Some((Open::Script(Block { script: text, .. }) | Open::Output(text), _)) => {
                text.push_str(line);
                text.push('\n');
            }
            Some((Open::Other, _)) => {}
            None if bare.starts_with("```") => {
                let (ticks, info) = bare.split_at(bare.len() - bare.trim_start_matches('`').len());
                let kind = match info.split_whitespace().next() {
                    Some("console") => {
                        Open::Script(Block { line: number + 1, script: String::new(), shown: None })
                    }
                    Some("text") if follows => Open::Output(String::new()),
                    _ => Open::Other,
                };
                follows = false;
                open = Some((kind, ticks.to_owned()));
            }
            None if bare.is_empty() => {}
            None => follows = false,
        }
    }
    found
}

/// The lines of an output, with what differs from run to run masked.
fn masked(text: &str) -> Vec<String> {
    let hex = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    let word = |word: &str| {
        let end = word.trim_end_matches([',', '.', ':', ';', ')']);
        let rest = &word[end.len()..];
        let number = end.trim_end_matches("ms").trim_end_matches('s');
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let at = end.split_once('@').filter(|(_, commit)| hex(commit.split('-').next().unwrap_or(""), 7));
        let is_date = end.len() >= 5 && end.bytes().all(|b| b.is_ascii_digit() || b == b'-' || b == b':');
        match at {
            Some((branch, commit)) => {
                let dirty = if commit.ends_with("-dirty") { "-dirty" } else { "" };
                format!("{branch}@COMMIT{dirty}{rest}")
            }
            None if is_number && number.len() < end.len() => format!("TOOK{rest}"),
            None if hex(end, 12) => format!("HASH{rest}"),
            None if hex(end, 7) => format!("COMMIT{rest}"),
            None if is_date && end.contains(['-', ':']) => format!("DATE{rest}"),
            None => word.to_owned(),
        }
    };
    let lines = text.replace("just now", "0s ago").replace(" min ago", "s ago");
    let lines = lines.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

/// The first line that a page shows and that was not printed, in this order. A page leaves the database's URL out, and
/// names nobody.
fn untrue(shown: &str, printed: &str) -> Option<String> {
    let mut bare = printed.replace("Ada Sower", "AUTHOR").replace(FIRST_COMMIT, "First");
    while let Some(at) = bare.find(" --database ") {
        let end = bare[at + 12..].find(char::is_whitespace).map_or(bare.len(), |end| at + 12 + end);
        bare.replace_range(at..end, "");
    }
    let printed = masked(&bare);
    let mut rest = printed.iter();
    masked(shown).into_iter().find(|line| !rest.any(|printed| printed == line))
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
    let (mut ran, mut lies) = (0, Vec::new());
    for page in pages()? {
        let name = page.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let blocks = blocks(&fs::read_to_string(&page)?);
        if blocks.is_empty() {
            continue;
        }
        let tree = checkout()?;
        tree.copy_from(&Path::new(CHECKOUT).join("charts"), "charts")?;
        tree.commit(FIRST_COMMIT)?;
        let database = Postgres::shared().await?.database().await?;
        let seeded = Sower::within(tree.folder())?.run(&["seed", "--all", "--database", &database.url()])?;
        seeded.expect(0).context("seed the database of the docs")?;
        for block in blocks {
            let lie = run(
                &block,
                &tree,
                &[
                    ("PATH", &path),
                    ("DATABASE_URL", &database.url()),
                    ("KUBECONFIG", &plane.admin_kubeconfig().to_string_lossy()),
                ],
            )
            .with_context(|| format!("{name}:{}", block.line))?;
            lies.extend(lie.map(|lie| format!("{name}:{} {lie}", block.line)));
            ran += 1;
        }
    }
    ensure!(ran > 10, "only {ran} blocks are marked `console`");
    println!("ran {ran} blocks");
    ensure!(lies.is_empty(), "{}", lies.join("\n"));
    Ok(())
}

/// Runs a block; what the page shows of it and is not so.
fn run(block: &Block, tree: &WorkTree, variables: &[(&str, &str)]) -> Result<Option<String>> {
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
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}\n{}--- out\n{out}--- err\n{err}", output.status, block.script);
    let lie = block.shown.as_ref().and_then(|shown| untrue(shown, &out));
    Ok(lie.map(|line| format!("does not print `{line}`:\n{out}--- err\n{err}")))
}

#[test]
fn blocks_are_told_apart() {
    let text = "a\n```console\none\ntwo\n```\n\n```text\nout\n```\n```sh\nno\n```\n````console\n```\n````\nb\n```text\nno\n```\n  ```console title\n  three\n  ```\n```console-like\nno\n```\n";
    let found: Vec<_> =
        blocks(text).into_iter().map(|block| (block.line, block.script, block.shown)).collect();
    let wanted = [(2, "one\ntwo\n", Some("out\n")), (13, "```\n", None), (20, "  three\n", None)];
    let wanted = wanted.map(|(line, script, shown)| (line, script.to_owned(), shown.map(str::to_owned)));
    assert_eq!(found, wanted);
}

#[test]
fn what_a_page_shows_is_held_against_what_was_printed() {
    let printed =
        "~ stripe 1.0.0 -> 1.1.0\nSeeded production at main@5d1f8a0 (seeding 5): 1 updated in 68ms\nlast\n";
    let shown = "~ stripe 1.0.0 -> 1.1.0\nSeeded production at main@aaaaaaa (seeding 5): 1 updated in 1.4s\n";
    assert_eq!(untrue(shown, printed), None);
    let other = shown.replace("1 updated", "2 updated");
    assert!(untrue(&other, printed).is_some_and(|line| line.contains("2 updated")));
    assert_eq!(
        untrue("last\n~ stripe 1.0.0 -> 1.1.0\n", printed).as_deref(),
        Some("~ stripe 1.0.0 -> 1.1.0")
    );
}
