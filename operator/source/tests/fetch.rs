//! Fetching from repositories on disk: references, moved and deleted branches, bounds, cancellation.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod kit;

use std::time::{Duration, Instant};

use kit::{Fetch, Repository, Whole, paths};
use sower_core::snapshot::Tree;
use sower_source::{Credentials, ErrorKind, FetchError, FetchRequest, Limits, Reference};
use tokio_util::sync::CancellationToken;

/// Not a test: what the fetches below start.
#[test]
#[ignore = "the process of a fetch"]
fn fetch_child() {
    std::process::exit(sower_source::fetch_child_main());
}

#[tokio::test]
async fn a_branch_is_fetched_once_and_read_without_a_work_tree() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    assert_eq!(fetched.revision.full(), format!("main@sha1:{commit}"));
    assert!(fetched.received_objects > 0);
    let tree = fetched.tree("integrations").unwrap();
    assert_eq!(paths(&tree), ["integrations/slack/integration.yaml"]);
    assert_eq!(
        tree.files()[0].blob,
        repository.git(&["rev-parse", "HEAD:integrations/slack/integration.yaml"])
    );
    assert_eq!(tree.files()[0].size, 10);
    assert_eq!(tree.read("integrations/slack/integration.yaml").unwrap(), b"id: slack\n");
    assert_eq!(tree.read("README.md").unwrap(), b"A catalog\n", "the rest of the snapshot can be read too");
    assert_eq!(tree.entry("README.md").unwrap().unwrap().size, 10);
    assert_eq!(tree.tree_id().unwrap(), repository.git(&["rev-parse", "HEAD:integrations"]));

    let again = fetch.get(&repository.url(), Reference::Default).await.unwrap();
    assert_eq!((again.commit, again.received_objects), (commit, 0));
    assert_eq!(fetch.scratch(), 0);
}

#[tokio::test]
async fn each_kind_of_reference_finds_its_commit() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "v1.2.0", "-m", "a tag object"]);
    repository.write("integrations/slack/integration.yaml", "id: slack\nversion: 1.10.0\n");
    let second = repository.commit("Second");
    repository.git(&["tag", "v1.10.0"]);
    repository.git(&["checkout", "-q", "-b", "team/next"]);
    let third = repository.commit("Third");
    repository.git(&["tag", "v2.0.0-rc.1"]);
    repository.git(&["checkout", "-q", "main"]);
    for (reference, label, commit) in [
        (Reference::Branch("team/next".into()), "team/next", &third),
        (Reference::Tag("v1.2.0".into()), "v1.2.0", &first),
        (Reference::Semver("~1.2".into()), "v1.2.0", &first),
        (Reference::Semver(">=1.0.0".into()), "v1.10.0", &second),
        (Reference::Commit(first.clone()), "commit", &first),
        (Reference::Named("team/next".into()), "team/next", &third),
        (Reference::Named("HEAD".into()), "main", &second),
    ] {
        let fetched = fetch.get(&repository.url(), reference.clone()).await.unwrap();
        assert_eq!((fetched.revision.label.as_str(), &fetched.commit), (label, commit), "{reference:?}");
        assert!(!fetched.tree("integrations").unwrap().files().is_empty());
    }
    for reference in [
        Reference::Branch("gone".into()),
        Reference::Tag("v9".into()),
        Reference::Semver("^3".into()),
        Reference::Commit("1".repeat(40)),
    ] {
        let error = fetch.get(&repository.url(), reference.clone()).await.unwrap_err();
        assert!(matches!(error, FetchError::NotFound { .. }), "{reference:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::Stalled);
    }
}

#[tokio::test]
async fn a_forced_push_moves_and_a_deleted_branch_is_missing() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let url = repository.url();
    repository.git(&["checkout", "-q", "-b", "work"]);
    repository.write("integrations/a.yaml", "1");
    let before = repository.commit("Before");
    assert_eq!(fetch.get(&url, Reference::Branch("work".into())).await.unwrap().commit, before);
    repository.git(&["reset", "-q", "--hard", "main"]);
    repository.write("integrations/b.yaml", "2");
    let after = repository.commit("Rewritten");
    let fetched = fetch.get(&url, Reference::Branch("work".into())).await.unwrap();
    assert_eq!(fetched.commit, after);
    let tree = fetched.tree("integrations").unwrap();
    assert_eq!(paths(&tree), ["integrations/b.yaml", "integrations/slack/integration.yaml"]);
    assert_eq!(tree.head().unwrap().subject, "Rewritten");
    repository.git(&["checkout", "-q", "main"]);
    repository.git(&["branch", "-q", "-D", "work"]);
    let error = fetch.get(&url, Reference::Branch("work".into())).await.unwrap_err();
    assert_eq!(error.to_string(), format!("branch `work` not found in {url}"));
}

#[tokio::test]
async fn what_changed_and_who_did_it_is_known() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    repository.write("integrations/gone/integration.yaml", "id: gone\n");
    let old = repository.commit("Add gone");
    let before =
        fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    repository.git(&["rm", "-rq", "integrations/gone"]);
    let removed = repository.commit("Tidy up\n\nbody");
    repository.write("integrations/slack/integration.yaml", "id: slack\nname: Slack\n");
    repository.write("integrations/new/integration.yaml", "id: new\n");
    let changed = repository.commit("Add \u{1b}[31mnew");
    repository.write("README.md", "Elsewhere\n");
    repository.commit("Elsewhere");
    let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
    let tree = fetched.unlisted("integrations").unwrap().listed(Some(&before)).unwrap();
    assert_eq!(tree.files(), fetched.tree("integrations").unwrap().files(), "incremental equals full");
    let changes = tree.changed_since(&before.tree_id().unwrap()).unwrap().unwrap();
    assert_eq!(
        changes,
        [
            "integrations/gone/integration.yaml",
            "integrations/new/integration.yaml",
            "integrations/slack/integration.yaml",
        ]
    );
    assert_eq!(tree.changed_since(&"1".repeat(40)).unwrap(), None);
    let tree_id = before.tree_id().unwrap();
    let everywhere = tree.changed_since_commit(&old, &tree_id).unwrap().unwrap();
    assert_eq!(everywhere.iter().filter(|path| !tree.covers(path)).collect::<Vec<_>>(), ["README.md"]);
    assert_eq!(everywhere.into_iter().filter(|path| tree.covers(path)).collect::<Vec<_>>(), changes);
    assert_eq!(tree.changed_since_commit(&"1".repeat(40), &tree_id).unwrap(), None, "no such commit");
    assert_eq!(tree.changed_since_commit(&removed, &tree_id).unwrap(), None, "it did not hold that");
    let last = &tree.log("integrations/slack/integration.yaml", 1)[0];
    assert_eq!(
        (last.id.as_str(), last.author.as_str(), last.subject.as_str()),
        (changed.as_str(), "Ada", "Add [31mnew")
    );
    let gone = tree.log("integrations/gone", 5);
    assert_eq!(gone.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), [removed.as_str(), old.as_str()]);
    assert_eq!(gone[0].subject, "Tidy up");
}

#[tokio::test]
async fn a_hostile_tree_yields_only_plain_files() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    repository.write("integrations/huge.yaml", vec![b'x'; 6 << 20]);
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("integrations/link.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc", repository.path().join("integrations/etc")).unwrap();
    use std::os::unix::ffi::OsStrExt;
    let odd = repository.path().join("integrations").join(std::ffi::OsStr::from_bytes(b"\xff\xfe.yaml"));
    std::fs::write(odd, "id: odd").unwrap();
    repository.write("integrations/new\nline.yaml", "id: odd");
    repository.commit("Hostile");
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    // A name that is not UTF-8 is told, so that its manifest is refused and not passed over.
    let told = [
        "integrations/huge.yaml",
        "integrations/slack/integration.yaml",
        "integrations/\u{fffd}\u{fffd}.yaml",
    ];
    assert_eq!(paths(&tree), told);
    let refused = tree.read("integrations/huge.yaml").unwrap_err();
    assert_eq!(refused.to_string(), "6291456 bytes; at most 5242880 are read");
    for path in
        ["integrations/link.yaml", "integrations/etc/passwd", "../x", "/etc/passwd", "integrations", ""]
    {
        assert!(tree.read(path).is_err(), "{path}");
        assert_eq!(tree.entry(path), Ok(None), "{path}");
    }
}

#[tokio::test]
async fn bounds_hold() {
    let repository = Repository::new();
    let noise: Vec<u8> = (0..1u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    repository.write("integrations/noise.bin", noise);
    repository.commit("Noise");
    let few = Fetch::with_limits(Limits { max_files: 1, ..Limits::default() });
    let fetched = few.get(&repository.url(), Reference::Default).await.unwrap();
    assert!(matches!(fetched.tree("integrations"), Err(FetchError::TooLarge { .. })));
    assert!(matches!(fetched.tree("../x"), Err(FetchError::BadRequest { .. })));
    assert!(fetched.tree("nowhere").unwrap().files().is_empty());
    assert_eq!(paths(&fetched.tree("README.md").unwrap()), ["README.md"], "a path may be one file");
}

/// A tree that holds itself twice, forty levels deep: a million million folders without one file.
#[tokio::test]
async fn a_tree_bomb_ends() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let make = |listing: String| {
        use std::io::Write;
        let mut child = std::process::Command::new("git")
            .args(["-C", repository.path().to_str().unwrap(), "mktree"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(listing.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap().trim().to_owned()
    };
    let mut tree = make(String::new());
    for _ in 0..40 {
        tree = make(format!("040000 tree {tree}\ta\n040000 tree {tree}\tb\n"));
    }
    let commit = repository.git(&["commit-tree", &tree, "-m", "Bomb"]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
    assert!(matches!(fetched.tree(""), Err(FetchError::TooLarge { .. })));
}

/// Writes one object, however odd, and returns its id.
fn object(repository: &Repository, kind: &str, content: &[u8]) -> String {
    let file = repository.path().join(".git/odd");
    std::fs::write(&file, content).unwrap();
    repository.git(&["hash-object", "-t", kind, "-w", "--literally", file.to_str().unwrap()])
}

/// Objects that are small on the wire, and large once they are read whole.
#[tokio::test]
async fn objects_too_large_to_be_read_are_refused_by_their_headers() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let oid = |id: &str| git2::Oid::from_str(id).unwrap();
    let blob = repository.git(&["rev-parse", "HEAD:README.md"]);
    let first = repository.git(&["rev-parse", "HEAD"]);
    let tree_id = repository.git(&["rev-parse", "HEAD:integrations"]);

    let entry = [b"100644 integration.yaml\0", oid(&blob).as_bytes()].concat();
    let wide = object(&repository, "tree", &entry.repeat((33 << 20) / entry.len()));
    let around = object(&repository, "tree", &[b"40000 integrations\0", oid(&wide).as_bytes()].concat());
    let commit = repository.git(&["commit-tree", &around, "-p", &first, "-m", "Wide"]);
    repository.git(&["update-ref", "refs/heads/main", &commit]);
    let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
    for path in ["integrations", "integrations/integration.yaml", "integrations/slack/deep"] {
        let error = fetched.tree(path).unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { .. }), "{path}: {error}");
        assert_eq!(error.kind(), ErrorKind::Stalled);
    }
    let whole = fetched.unlisted("").unwrap();
    assert_eq!(whole.entry("integrations/integration.yaml"), Ok(None));
    assert!(whole.log("integrations/slack", 1).is_empty(), "not known");

    // A later commit that can be read, on one that cannot.
    let good = repository.git(&["commit-tree", &format!("{first}^{{tree}}"), "-p", &commit, "-m", "Good"]);
    repository.git(&["update-ref", "refs/heads/main", &good]);
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    assert_eq!(paths(&tree), ["integrations/slack/integration.yaml"]);
    assert_eq!(tree.changed_since_commit(&commit, &tree_id).unwrap(), None, "not known");

    let talk = "x".repeat(2 << 20);
    let root = repository.git(&["rev-parse", &format!("{first}^{{tree}}")]);
    let who = "Ada <ada@example.com> 0 +0000";
    let text = format!("tree {root}\nauthor {who}\ncommitter {who}\n\n{talk}\n");
    let commit = object(&repository, "commit", text.as_bytes());
    repository.git(&["update-ref", "refs/heads/long", &commit]);
    let text = format!("object {first}\ntype commit\ntag long\ntagger {who}\n\n{talk}\n");
    let tag = object(&repository, "tag", text.as_bytes());
    std::fs::write(repository.path().join(".git/refs/heads/tagged"), tag).unwrap();
    for branch in ["long", "tagged"] {
        let error = fetch.get(&repository.url(), Reference::Branch(branch.into())).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains("at most 1048576 are read"), "{error}");
    }
    let child = repository.git(&["commit-tree", &root, "-p", &commit, "-m", "On it"]);
    repository.git(&["update-ref", "refs/heads/long", &child]);
    let tree = fetch.get(&repository.url(), Reference::Branch("long".into())).await.unwrap();
    let tree = tree.unlisted("integrations").unwrap();
    assert!(tree.commit_info(&commit).is_none());
    assert_eq!(tree.head().unwrap().subject, "On it");
    assert_eq!(tree.changed_since_commit(&commit, &tree_id).unwrap(), None, "not known");
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_its_process_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://ci:hunter2-secret@{}/catalog.git", listener.local_addr().unwrap());
    let fetch = Fetch::with_limits(Limits { timeout: Duration::from_millis(300), ..Limits::default() });
    let error = fetch.get(&url, Reference::Default).await.unwrap_err();
    assert!(matches!(error, FetchError::TimedOut { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(!format!("{error} {error:?}").contains("hunter2"));

    // Time for a long fetch is no time for a server that says nothing.
    let timeout = Some(Duration::from_secs(600));
    let patient = FetchRequest { timeout, ..FetchRequest::new(url.clone(), Reference::Default) };
    let error = fetch.fetcher.fetch(&patient, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, FetchError::TimedOut { .. }), "{error}");

    let fetch = Fetch::with_limits(Limits { timeout: Duration::from_secs(60), ..Limits::default() });
    let cancel = CancellationToken::new();
    let request = FetchRequest::new(url, Reference::Default);
    let started = Instant::now();
    let (result, ()) = tokio::join!(fetch.fetcher.fetch(&request, &cancel), async {
        // The child has connected: it is in the middle of its work.
        let listener = tokio::net::TcpListener::from_std({
            listener.set_nonblocking(true).unwrap();
            listener
        })
        .unwrap();
        // The first connection may still be the one of the fetch that was given up.
        for _ in 0..3 {
            if tokio::time::timeout(Duration::from_secs(5), listener.accept()).await.is_err() {
                break;
            }
        }
        cancel.cancel();
    });
    assert_eq!(result.unwrap_err(), FetchError::Cancelled);
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(fetch.scratch(), 0);
}

#[tokio::test]
async fn a_fetch_that_is_dropped_ends_all_it_started() {
    let (repository, cache) = (Repository::new(), tempfile::TempDir::new().unwrap());
    let file = cache.path().join("started");
    let script = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let fetcher = sower_source::Fetcher::new(cache.path().join("mirrors")).unwrap();
    let fetcher = fetcher.with_program("/bin/sh", ["-c", &script]).allow_local(true);
    let request = FetchRequest::new(repository.url(), Reference::Default);
    let until = async |done: &dyn Fn() -> bool| {
        let limit = Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(Instant::now() < limit, "in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let cancel = CancellationToken::new();
    let began = || file.exists();
    tokio::select! {
        ended = fetcher.fetch(&request, &cancel) => panic!("{ended:?}"),
        () = until(&began) => {}
    }
    let helper = std::fs::read_to_string(&file).unwrap();
    // Who has no parent any more may stay as a zombie, where nobody waits for it.
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", helper.trim())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with(['Z', 'X']))
    };
    let ended = || !runs();
    until(&ended).await;
}

#[tokio::test]
async fn a_mirror_is_each_credentials_own_and_no_text_shows_them() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let mut request = FetchRequest::new(repository.url(), Reference::Default);
    request.credentials = Credentials {
        username: Some("ci".into()),
        password: Some("hunter2-secret".into()),
        ..Credentials::default()
    };
    let cancel = CancellationToken::new();
    fetch.fetcher.fetch(&request, &cancel).await.unwrap();
    fetch.get(&repository.url(), Reference::Default).await.unwrap();
    assert_eq!(fetch.mirrors().len(), 2);
    assert!(!format!("{request:?}").contains("hunter2"));
    request.reference = Reference::Branch("hunter2-secret".into());
    let error = fetch.fetcher.fetch(&request, &cancel).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[tokio::test]
async fn wrong_addresses_are_refused_before_anything_starts() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let strict = Fetch::new();
    let strict = strict.fetcher.allow_local(false);
    let request = FetchRequest::new(repository.url(), Reference::Default);
    let error = strict.fetch(&request, &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, FetchError::BadRequest { .. }), "{error}");
    let error = fetch.get("file:///nowhere/at/all.git", Reference::Default).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = fetch.get(&format!("http://{closed}/a.git"), Reference::Default).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Transient);
    let range = Reference::Semver("newest".into());
    let error = fetch.get(&format!("http://{closed}/a.git"), range).await.unwrap_err();
    assert_eq!(error, FetchError::BadRequest { detail: "`newest` is no version range".into() });
}

#[tokio::test]
async fn a_mirror_heals_after_a_killed_fetch_and_many_packs_become_one() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let mut last = String::new();
    for n in 0..30 {
        repository.write("integrations/n.yaml", n.to_string());
        last = repository.commit(&format!("Number {n}"));
        let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
        assert_eq!(fetched.commit, last);
        assert!(fetched.received_objects < 12, "nothing is brought twice: {}", fetched.received_objects);
        let mirror = &fetch.mirrors()[0];
        std::fs::write(mirror.join("HEAD.lock"), "").unwrap();
        std::fs::write(mirror.join("objects/pack/pack_git2_x"), "half").unwrap();
        for lock in std::fs::read_dir(mirror.join("refs/sower")).unwrap() {
            std::fs::write(lock.unwrap().path().join("current.lock"), "").unwrap();
        }
    }
    let packs = std::fs::read_dir(fetch.mirrors()[0].join("objects/pack")).unwrap().count();
    assert!(packs < 30, "{packs}");
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    assert_eq!(tree.read("integrations/n.yaml").unwrap(), b"29");
    assert_eq!(tree.head().unwrap().id, last);
    std::fs::write(fetch.mirrors()[0].join("config"), "[garbage").unwrap();
    let broken = fetch.get(&repository.url(), Reference::Default).await.unwrap_err();
    assert_eq!(broken.to_string(), "the mirror is broken, and still read");
    drop(tree);
    assert_eq!(fetch.get(&repository.url(), Reference::Default).await.unwrap().commit, last);
    for entry in std::fs::read_dir(fetch.mirrors()[0].join("objects/pack")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert_eq!(fetch.get(&repository.url(), Reference::Default).await.unwrap().commit, last);
    assert_eq!(sower_source::remove_unused(fetch.cache.path(), Duration::from_secs(3600)).unwrap(), 0);
    assert_eq!(sower_source::remove_unused(fetch.cache.path(), Duration::ZERO).unwrap(), 1);
}

/// Bytes that no packing makes fewer.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

fn packed(mirror: &std::path::Path) -> u64 {
    let packs = std::fs::read_dir(mirror.join("objects/pack")).unwrap();
    packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn a_mirror_that_gathers_what_nobody_needs_is_made_anew() {
    let most = 1 << 20;
    let (repository, fetch) =
        (Repository::new(), Fetch::with_limits(Limits { max_bytes: most, ..Limits::default() }));
    let mut anew = false;
    let mut before = 0;
    for n in 0..8 {
        repository.write("integrations/noise.bin", noise(n, 400 << 10));
        repository.git(&["add", "-A"]);
        repository.git(&["commit", "-q", "--amend", "--no-edit"]);
        let fetched = fetch.get(&repository.url(), Reference::Default).await.unwrap();
        assert_eq!(fetched.tree("").unwrap().files().len(), 3);
        let now = packed(&fetch.mirrors()[0]);
        assert!(now < 2 * most + (500 << 10), "{now}");
        anew |= now < before;
        before = now;
    }
    assert!(anew);
}

#[tokio::test]
async fn a_mirror_stays_as_it_is_while_it_is_read() {
    let most = 1 << 20;
    let limits = Limits { max_bytes: most, ..Limits::default() };
    let (repository, fetch) = (Repository::new(), Fetch::with_limits(limits));
    let amend = |n: u64| {
        repository.write("integrations/noise.bin", noise(n, 400 << 10));
        repository.git(&["add", "-A"]);
        repository.git(&["commit", "-q", "--amend", "--no-edit"]);
    };
    amend(0);
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("").unwrap();
    for n in 1..8 {
        amend(n);
        fetch.get(&repository.url(), Reference::Default).await.unwrap();
    }
    let mirror = fetch.mirrors()[0].clone();
    assert!(packed(&mirror) > 2 * most, "it is overgrown");
    assert_eq!(sower_source::remove_unused(fetch.cache.path(), Duration::ZERO).unwrap(), 0);
    // A broken one is told, and stays too.
    for entry in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::rename(&path, mirror.join(path.file_name().unwrap())).unwrap();
    }
    let broken = fetch.get(&repository.url(), Reference::Default).await.unwrap_err();
    assert_eq!(broken.kind(), ErrorKind::Transient, "{broken}");
    for entry in std::fs::read_dir(&mirror).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("pack-") {
            std::fs::rename(&path, mirror.join("objects/pack").join(path.file_name().unwrap())).unwrap();
        }
    }
    // What no branch leads to any more is read whole.
    assert_eq!(tree.read("integrations/noise.bin").unwrap(), noise(0, 400 << 10));

    drop(tree);
    amend(8);
    fetch.get(&repository.url(), Reference::Default).await.unwrap();
    assert!(packed(&mirror) < most, "made anew");
    assert_eq!(sower_source::remove_unused(fetch.cache.path(), Duration::ZERO).unwrap(), 1);
}

#[tokio::test]
async fn mirrors_beyond_the_total_go_those_first_that_were_used_least() {
    let limits = Limits { max_cache: 1 << 20, ..Limits::default() };
    let fetch = Fetch::with_limits(limits);
    let repositories: Vec<Repository> = (0..3).map(|_| Repository::new()).collect();
    let mut mirrors = Vec::new();
    for (n, repository) in (1..).zip(&repositories) {
        repository.write("integrations/noise.bin", noise(n, 450 << 10));
        repository.commit("Noise");
        fetch.get(&repository.url(), Reference::Default).await.unwrap();
        let new = fetch.mirrors().into_iter().find(|mirror| !mirrors.contains(mirror)).unwrap();
        mirrors.push(new);
    }
    assert_eq!(fetch.mirrors().len(), 3, "all are in use");
    let age = |mirror: &std::path::Path, minutes: u64| {
        let lock = std::fs::File::options().write(true).open(mirror.with_extension("lock")).unwrap();
        lock.set_modified(std::time::SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
    };
    age(&mirrors[0], 5);
    age(&mirrors[1], 9);
    fetch.get(&repositories[2].url(), Reference::Default).await.unwrap();
    assert_eq!(fetch.mirrors().len(), 3, "nothing was brought");
    repositories[2].write("README.md", "New");
    repositories[2].commit("New");
    fetch.get(&repositories[2].url(), Reference::Default).await.unwrap();
    let mut expected = vec![mirrors[0].clone(), mirrors[2].clone()];
    expected.sort();
    assert_eq!(fetch.mirrors(), expected);
    fetch.get(&repositories[1].url(), Reference::Default).await.unwrap();
    expected = vec![mirrors[1].clone(), mirrors[2].clone()];
    expected.sort();
    assert_eq!(fetch.mirrors(), expected, "what is gone comes again");
}

#[tokio::test]
async fn what_was_fetched_is_known_beyond_the_depth_of_a_later_fetch() {
    let (repository, fetch) = (Repository::new(), Fetch::new());
    let first = repository.git(&["rev-parse", "HEAD"]);
    fetch.get(&repository.url(), Reference::Default).await.unwrap();
    let mut last = first.clone();
    for n in 0..3 {
        repository.write("README.md", format!("{n}\n"));
        last = repository.commit("More");
    }
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    assert!(tree.descends_from(&last) && tree.descends_from(&first));
    assert!(!tree.descends_from("nothing") && !tree.descends_from(&"0".repeat(40)));
    repository.git(&["reset", "--quiet", "--hard", &first]);
    repository.write("README.md", "instead\n");
    repository.commit("Instead");
    let tree = fetch.get(&repository.url(), Reference::Default).await.unwrap().tree("integrations").unwrap();
    assert!(tree.descends_from(&first) && !tree.descends_from(&last));
}
