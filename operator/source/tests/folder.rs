//! Checkouts and folders: edits, commits, ignored and hostile files, and noticing them.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod kit;

use std::path::{Path, PathBuf};
use std::time::Duration;

use kit::{Repository, git, paths};
use sower_core::snapshot::Tree;
use sower_source::{Changed, Checkout, FetchError, Folder, Limits, Watch};
use tempfile::TempDir;

const SLACK: &str = "integrations/slack/integration.yaml";

#[test]
fn an_edited_checkout_is_dirty_and_agrees_with_git() {
    let repository = Repository::new();
    let folder = Folder::new(repository.path(), Limits::default()).unwrap();
    let clean = folder.scan("integrations").unwrap();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(clean.revision().full(), format!("main@sha1:{commit}"));
    assert_eq!(clean.files()[0].blob, repository.git(&["rev-parse", &format!("HEAD:{SLACK}")]));
    assert_eq!(clean.committed().unwrap().files(), clean.files());

    repository.write("README.md", "Not below the path");
    assert!(!folder.scan("integrations").unwrap().revision().dirty);
    repository.write(SLACK, "id: slick\n");
    repository.write("integrations/new.yaml", "id: new\n");
    let edited = folder.scan("integrations").unwrap();
    assert_eq!(edited.revision().to_string(), format!("main@{}-dirty", &commit[..7]));
    assert_eq!(edited.dirty(), ["integrations/new.yaml", SLACK]);
    assert_eq!(edited.read(SLACK).unwrap(), b"id: slick\n");
    assert_ne!(edited.digest(), clean.digest());
    assert!(clean.read(SLACK).is_err(), "the older scan does not hand out newer bytes");
    assert_eq!(clean.committed().unwrap().read(SLACK).unwrap(), b"id: slack\n");

    let second = repository.commit("Edits");
    let after = folder.scan("integrations").unwrap();
    assert_eq!(after.revision().full(), format!("main@sha1:{second}"));
    std::fs::remove_file(repository.path().join(SLACK)).unwrap();
    assert_eq!(folder.scan("integrations").unwrap().dirty(), [SLACK], "a missing file is an edit too");
    assert_eq!(folder.scan("./integrations/").unwrap().files().len(), 1);
}

#[test]
fn a_folder_without_git_has_a_digest() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("a.yaml"), "id: a").unwrap();
    let folder = Folder::new(dir.path(), Limits::default()).unwrap();
    let first = folder.scan("").unwrap();
    assert_eq!(first.revision().label, "folder");
    assert_eq!(first.revision().digest, format!("sha256:{}", first.digest()));
    assert_eq!(first.entry("a.yaml").unwrap().unwrap().size, 5);
    assert_eq!(folder.scan("").unwrap().revision(), first.revision());
    std::fs::write(dir.path().join("a.yaml"), "id: b").unwrap();
    assert_ne!(folder.scan("").unwrap().revision(), first.revision());
    assert!(folder.scan("absent").unwrap().files().is_empty());
    assert!(matches!(folder.scan("../.."), Err(FetchError::BadRequest { .. })));
    assert!(matches!(Folder::new(dir.path().join("x"), Limits::default()), Err(FetchError::NotFound { .. })));
}

#[test]
fn only_plain_files_of_the_folder_are_taken() {
    let repository = Repository::new();
    let outside = TempDir::new().unwrap();
    std::fs::write(outside.path().join("secret.yaml"), "id: secret").unwrap();
    let link =
        |target: &Path, name: &str| std::os::unix::fs::symlink(target, repository.path().join(name)).unwrap();
    link(&outside.path().join("secret.yaml"), "integrations/link.yaml");
    link(outside.path(), "integrations/folder");
    link(outside.path(), "elsewhere");
    for name in [
        "integrations/.git/x",
        "integrations/.sower/x",
        "integrations/cache/CACHEDIR.TAG",
        "integrations/cache/x",
    ] {
        repository.write(name, "x");
    }
    repository.write(".gitignore", "*.swp\nscratch/\n");
    repository.write("integrations/slack/.integration.yaml.swp", "x");
    repository.write("integrations/scratch/integration.yaml", "id: scratch");
    let folder = Folder::new(repository.path(), Limits::default()).unwrap();
    let tree = folder.scan("integrations").unwrap();
    assert_eq!(paths(&tree), [SLACK]);
    assert!(!tree.revision().dirty, "{:?}", tree.dirty());
    for path in [
        "integrations/link.yaml",
        "integrations/folder/secret.yaml",
        "../x",
        "/etc/passwd",
        "integrations",
        "",
    ] {
        assert!(tree.read(path).is_err(), "{path}");
        assert_eq!(tree.entry(path), Ok(None), "{path}");
    }
    assert!(folder.scan("elsewhere").unwrap().files().is_empty());
    assert_eq!(tree.read(".gitignore").unwrap(), b"*.swp\nscratch/\n");
    repository.write("integrations/huge.yaml", vec![b'x'; 2000]);
    let small = |limits| Folder::new(repository.path(), limits).unwrap().scan("integrations");
    assert!(matches!(small(Limits { max_files: 1, ..Limits::default() }), Err(FetchError::TooLarge { .. })));
    assert!(matches!(
        small(Limits { max_bytes: 1000, ..Limits::default() }),
        Err(FetchError::TooLarge { .. })
    ));
    let tree = small(Limits { max_blob: 1000, ..Limits::default() }).unwrap();
    assert_eq!(
        tree.read("integrations/huge.yaml").unwrap_err().to_string(),
        "2000 bytes; at most 1000 are read"
    );
}

#[test]
fn commits_of_a_checkout_are_read_past_its_edits() {
    let repository = Repository::new();
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "v1.0.0", "-m", "one"]);
    repository.git(&["branch", "next"]);
    repository.write(SLACK, "id: slack\nversion: 2\n");
    let second = repository.commit("Second");
    repository.write(SLACK, "edited");
    let checkout = Checkout::discover(repository.path()).unwrap();
    for (reference, revision) in [
        ("HEAD", format!("main@sha1:{second}")),
        ("main", format!("main@sha1:{second}")),
        ("next", format!("next@sha1:{first}")),
        ("v1.0.0", format!("v1.0.0@sha1:{first}")),
        (&first, format!("commit@sha1:{first}")),
        (&first[..8], format!("commit@sha1:{first}")),
        ("HEAD~1", format!("HEAD~1@sha1:{first}")),
    ] {
        assert_eq!(checkout.resolve(reference).unwrap().full(), revision);
    }
    assert!(matches!(checkout.resolve("gone"), Err(FetchError::NotFound { .. })));
    let tree = checkout
        .unlisted(&checkout.resolve("HEAD").unwrap(), "integrations", Limits::default())
        .unwrap()
        .listed(None)
        .unwrap();
    assert_eq!(tree.read(SLACK).unwrap(), b"id: slack\nversion: 2\n");
    assert_eq!(tree.log(SLACK, 9).len(), 2);

    repository.git(&["checkout", "-q", "-f", "--detach"]);
    assert_eq!(checkout.head().unwrap().full(), format!("detached@sha1:{second}"));
    let empty = TempDir::new().unwrap();
    assert!(matches!(Checkout::discover(empty.path()), Err(FetchError::NotFound { .. })));
    git(empty.path(), &["init", "-q"]);
    let unborn = Checkout::discover(empty.path()).unwrap();
    assert!(matches!(unborn.head(), Err(FetchError::NotFound { .. })));
    let folder = Folder::new(empty.path(), Limits::default()).unwrap();
    assert_eq!(folder.scan("").unwrap().revision().label, "folder");
}

#[test]
fn a_source_may_be_a_folder_inside_a_repository_or_a_linked_working_tree() {
    let repository = Repository::new();
    let dir = repository.path().join("integrations");
    let checkout = Checkout::discover(&dir).unwrap();
    let tree = checkout
        .unlisted(&checkout.head().unwrap(), "slack", Limits::default())
        .unwrap()
        .listed(None)
        .unwrap();
    assert_eq!(paths(&tree), ["slack/integration.yaml"]);
    assert_eq!(tree.log("slack", 1)[0].subject, "Start");
    let scanned = Folder::new(&dir, Limits::default()).unwrap().scan("").unwrap();
    assert_eq!(paths(&scanned), ["slack/integration.yaml"]);
    assert!(!scanned.revision().dirty);
    let other = TempDir::new().unwrap();
    let linked = other.path().join("linked");
    repository.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    let scanned = Folder::new(&linked, Limits::default()).unwrap().scan("integrations").unwrap();
    assert_eq!((scanned.revision().label.as_str(), scanned.revision().dirty), ("side", false));
    assert_eq!(scanned.committed().unwrap().log(SLACK, 1).len(), 1);
}

#[test]
fn unchanged_files_are_hashed_once() {
    let dir = TempDir::new().unwrap();
    for n in 0..2000 {
        std::fs::write(dir.path().join(format!("{n}.yaml")), vec![b'x'; 20_000]).unwrap();
    }
    let folder = Folder::new(dir.path(), Limits::default()).unwrap();
    // Young files are hashed each time: let them be older than that.
    let past = std::time::SystemTime::now() - Duration::from_secs(60);
    for n in 0..2000 {
        let file = std::fs::File::options().write(true).open(dir.path().join(format!("{n}.yaml"))).unwrap();
        file.set_modified(past).unwrap();
    }
    let time = || {
        let started = std::time::Instant::now();
        (folder.scan("").unwrap().digest(), started.elapsed())
    };
    let (first, cold) = time();
    let (second, warm) = (0..5).map(|_| time()).min_by_key(|(_, took)| *took).unwrap();
    assert_eq!(first, second);
    assert!(warm < cold, "at best {warm:?} against {cold:?}");
}

async fn next(watch: &mut Watch) -> Changed {
    tokio::time::timeout(Duration::from_secs(10), watch.changed()).await.expect("the change is noticed")
}

/// Whether nothing is reported for a while, after what was on its way has been taken.
async fn is_quiet(watch: &mut Watch) -> bool {
    for _ in 0..5 {
        if tokio::time::timeout(Duration::from_millis(200), watch.changed()).await.is_err() {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn edits_and_commits_are_noticed() {
    let repository = Repository::new();
    let folders: Vec<PathBuf> = ["integrations", "environments"].map(|f| repository.path().join(f)).into();
    let mut watch = Watch::start(repository.path(), &folders).unwrap();
    repository.write(SLACK, "edited");
    assert_eq!(next(&mut watch).await, Changed { files: true, commits: false });
    assert!(is_quiet(&mut watch).await, "one save is one report");
    assert!(std::fs::read(repository.path().join(SLACK)).is_ok());
    assert!(is_quiet(&mut watch).await, "reading is no change");

    repository.write(SLACK, "edited twice");
    // Given up at whatever point of it; only a machine that stands still gets so far.
    let mut seen = false;
    for _ in 0..3 {
        seen |= tokio::time::timeout(Duration::from_millis(10), watch.changed()).await.is_ok();
    }
    assert!(seen || next(&mut watch).await.files, "a wait that was given up loses nothing");
    is_quiet(&mut watch).await;

    repository.commit("Edited");
    assert!(next(&mut watch).await.commits);
    is_quiet(&mut watch).await;
    repository.git(&["pack-refs", "--all"]);
    assert!(next(&mut watch).await.commits);
    is_quiet(&mut watch).await;
    repository.git(&["checkout", "-q", "-b", "other"]);
    assert!(next(&mut watch).await.commits);
    is_quiet(&mut watch).await;

    repository.write("environments/new.yaml", "kind: Environment");
    assert!(next(&mut watch).await.files, "a folder that was not there");
    is_quiet(&mut watch).await;
    repository.write("environments/new.yaml", "kind: Environment again");
    assert!(next(&mut watch).await.files);
    is_quiet(&mut watch).await;
    std::fs::remove_dir_all(repository.path().join("integrations")).unwrap();
    assert!(next(&mut watch).await.files);
    is_quiet(&mut watch).await;
    repository.write("integrations/deep/down/integration.yaml", "id: deep");
    assert!(next(&mut watch).await.files);
    is_quiet(&mut watch).await;
    repository.write("integrations/deep/down/integration.yaml", "id: deeper");
    assert!(next(&mut watch).await.files, "a folder that came back");
}
