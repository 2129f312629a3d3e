//! Fetching over http from git's own server: shallow and deepened mirrors, credentials, failures.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod kit;

use std::time::Duration;

use kit::http::{Canned, Server};
use kit::{Fetch, Repository, Whole, git, paths};
use sower_core::snapshot::Tree;
use sower_source::{Credentials, ErrorKind, FetchError, FetchRequest, Fetched, Limits, Reference};
use tokio_util::sync::CancellationToken;

/// Not a test: what the fetches below start.
#[test]
#[ignore = "the process of a fetch"]
fn fetch_child() {
    std::process::exit(sower_source::fetch_child_main());
}

/// `ci:hunter2-secret`
const BASIC: &str = "Basic Y2k6aHVudGVyMi1zZWNyZXQ=";

fn served(wanted: Option<&str>) -> (Repository, Server, String) {
    let repository = Repository::new();
    let server = Server::start(repository.path(), wanted);
    let url = server.url(".git");
    (repository, server, url)
}

async fn ask(fetch: &Fetch, request: &FetchRequest) -> Result<Fetched, FetchError> {
    fetch.fetcher.fetch(request, &CancellationToken::new()).await
}

fn commits(fetch: &Fetch) -> usize {
    git(&fetch.mirrors()[0], &["rev-list", "--count", "--glob=refs/sower/*"]).parse().unwrap()
}

/// Two files that differ in one byte are a few bytes on the wire, and have to be unpacked whole.
#[tokio::test]
async fn a_pack_that_inflates_meets_a_wall() {
    let (repository, _server, url) = served(None);
    let mut zeros = vec![0; 100 << 20];
    repository.write("zeros.bin", &zeros);
    zeros.push(1);
    repository.write("more.bin", &zeros);
    drop(zeros);
    repository.commit("Inflate");
    repository.git(&["repack", "-adfq"]);
    let limits = Limits { timeout: Duration::from_secs(30), ..Limits::default() };
    let fetch = Fetch::with_limits(Limits { max_memory: 64 << 20, ..limits });
    let error = fetch.get(&url, Reference::Default).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Stalled);
    let roomy = Fetch::with_limits(Limits { max_memory: 1 << 30, ..limits });
    assert!(roomy.get(&url, Reference::Default).await.unwrap().received_bytes < 1 << 20);
}

#[tokio::test]
async fn a_mirror_is_shallow_then_follows_pushes_and_asks_only_once() {
    let (repository, server, url) = served(None);
    for n in 0..5 {
        repository.write("integrations/n.yaml", n.to_string());
        repository.commit(&format!("Number {n}"));
    }
    let fetch = Fetch::new();
    let first = fetch.get(&url, Reference::Default).await.unwrap();
    assert_eq!(commits(&fetch), 1, "depth 1");
    let before = first.tree("integrations").unwrap();
    assert_eq!(before.read("integrations/n.yaml").unwrap(), b"4");
    assert!(before.log("integrations/slack/integration.yaml", 1).is_empty(), "the author is not known");

    server.requests();
    let again = fetch.get(&url, Reference::Default).await.unwrap();
    assert_eq!((again.received_objects, again.commit), (0, first.commit.clone()));
    assert_eq!(server.requests().len(), 1, "only the refs are asked for");

    repository.write("integrations/n.yaml", "pushed");
    let pushed = repository.commit("Pushed");
    let fetched = fetch.get(&url, Reference::Default).await.unwrap();
    assert_eq!(fetched.commit, pushed);
    let tree = fetched.unlisted("integrations").unwrap().listed(Some(&before)).unwrap();
    assert_eq!(tree.read("integrations/n.yaml").unwrap(), b"pushed");
    assert_eq!(tree.files(), fetched.tree("integrations").unwrap().files());
    assert_eq!(tree.changed_since(&before.tree_id().unwrap()).unwrap().unwrap().len(), 1);
    assert_eq!(tree.log("integrations/n.yaml", 1)[0].subject, "Pushed");
    git(&fetch.mirrors()[0], &["fsck", "--connectivity-only"]);
}

#[tokio::test]
async fn a_mirror_is_deepened_to_the_commits_that_are_asked_for_within_a_bound() {
    let (repository, server, url) = served(None);
    let first = repository.git(&["rev-parse", "HEAD"]);
    for n in 0..20 {
        repository.write("integrations/n.yaml", n.to_string());
        repository.commit(&format!("Number {n}"));
    }
    let near = repository.git(&["rev-parse", "HEAD~4"]);
    let fetch =
        Fetch::with_limits(Limits { max_depth: 8, timeout: Duration::from_secs(30), ..Limits::default() });
    let mut request = FetchRequest::new(&url, Reference::Default);
    ask(&fetch, &request).await.unwrap();
    assert_eq!(commits(&fetch), 1);
    request.deepen_to = vec![near.clone()];
    let fetched = ask(&fetch, &request).await.unwrap();
    assert_eq!(commits(&fetch), 8);
    let tree = fetched.tree("integrations").unwrap();
    assert_eq!(tree.commit_info(&near).unwrap().subject, "Number 15");
    assert_eq!(tree.commit_info(&first), None, "beyond what was fetched nobody knows");
    assert!(tree.log("integrations/slack/integration.yaml", 1).is_empty());

    request.deepen_to = vec![first.clone()];
    server.requests();
    for _ in 0..3 {
        ask(&fetch, &request).await.unwrap();
    }
    assert_eq!(server.requests().len(), 3, "what lies beyond the bound is asked for no more");
    git(&fetch.mirrors()[0], &["fsck", "--connectivity-only"]);
}

#[tokio::test]
async fn a_forced_push_stays_within_the_depth() {
    let (repository, _server, url) = served(None);
    let fetch =
        Fetch::with_limits(Limits { max_depth: 5, timeout: Duration::from_secs(30), ..Limits::default() });
    fetch.get(&url, Reference::Default).await.unwrap();
    repository.git(&["checkout", "-q", "--orphan", "other"]);
    for n in 0..12 {
        repository.write("integrations/n.yaml", n.to_string());
        repository.commit(&format!("Other {n}"));
    }
    repository.git(&["branch", "-q", "-M", "other", "main"]);
    let fetched = fetch.get(&url, Reference::Branch("main".into())).await.unwrap();
    let tree = fetched.tree("integrations").unwrap();
    assert_eq!(paths(&tree), ["integrations/n.yaml", "integrations/slack/integration.yaml"]);
    assert_eq!(tree.head().unwrap().subject, "Other 11");
    assert!(commits(&fetch) <= 7, "{}", commits(&fetch));
    repository.write("integrations/n.yaml", "after");
    let after = repository.commit("After");
    assert_eq!(fetch.get(&url, Reference::Branch("main".into())).await.unwrap().commit, after);
    git(&fetch.mirrors()[0], &["fsck", "--connectivity-only"]);
}

#[tokio::test]
async fn a_commit_is_found_whether_or_not_a_ref_names_it() {
    for wanted in [None, Some(BASIC)] {
        let (repository, _server, url) = served(wanted);
        let url =
            url.replace("http://", if wanted.is_some() { "http://ci:hunter2-secret@" } else { "http://" });
        let old = repository.git(&["rev-parse", "HEAD"]);
        repository.write("integrations/n.yaml", "1");
        repository.commit("Second");
        for allow in ["false", "true"] {
            repository.git(&["config", "uploadpack.allowAnySHA1InWant", allow]);
            let fetch = Fetch::new();
            let fetched = fetch.get(&url, Reference::Commit(old.clone())).await.unwrap();
            assert_eq!(fetched.revision.to_string(), format!("commit@{}", &old[..7]));
            assert_eq!(
                paths(&fetched.tree("").unwrap()),
                ["README.md", "integrations/slack/integration.yaml"]
            );
            let again = fetch.get(&url, Reference::Commit(old.clone())).await.unwrap();
            assert_eq!(again.received_objects, 0);
            let absent = fetch.get(&url, Reference::Commit("1".repeat(40))).await.unwrap_err();
            assert!(matches!(absent, FetchError::NotFound { .. }), "{wanted:?} {allow}: {absent}");
        }
    }
}

#[tokio::test]
async fn basic_credentials_open_the_repository_and_wrong_ones_are_named_but_not_shown() {
    let (_repository, _server, url) = served(Some(BASIC));
    let fetch = Fetch::new();
    let mut request = FetchRequest::new(&url, Reference::Default);
    let none = ask(&fetch, &request).await.unwrap_err();
    assert_eq!(none.to_string(), "127.0.0.1 asks for credentials, and none were given");
    request.credentials = Credentials {
        username: Some("ci".into()),
        password: Some("hunter2-secret".into()),
        ..Credentials::default()
    };
    assert_eq!(ask(&fetch, &request).await.unwrap().revision.label, "main");
    request.credentials.password = Some("wrong-secret".into());
    let wrong = ask(&fetch, &request).await.unwrap_err();
    assert_eq!(wrong.to_string(), "127.0.0.1 rejected the credentials");
    assert_eq!(wrong.kind(), ErrorKind::Stalled);
    assert!(!format!("{wrong:?}{request:?}").contains("wrong-secret"));
    request.credentials = Credentials::default();
    let inside = url.replace("http://", "http://ci:hunter2-secret@");
    assert!(fetch.get(&inside, Reference::Default).await.is_ok(), "a URL may carry them too");
    assert!(ask(&fetch, &request).await.is_err(), "what others fetched is not handed out");
}

#[tokio::test]
async fn a_token_is_sent_as_a_bearer() {
    let (_repository, server, url) = served(Some("Bearer token-secret"));
    let fetch = Fetch::new();
    let mut request = FetchRequest::new(&url, Reference::Default);
    request.credentials = Credentials { bearer_token: Some("token-secret".into()), ..Credentials::default() };
    ask(&fetch, &request).await.unwrap();
    server.requests();
    assert_eq!(ask(&fetch, &request).await.unwrap().received_objects, 0);
    assert_eq!(server.requests().len(), 1);
    request.credentials.bearer_token = Some("other-secret".into());
    let error = ask(&fetch, &request).await.unwrap_err();
    assert_eq!(error.to_string(), "127.0.0.1 rejected the credentials");
}

#[tokio::test]
async fn failures_of_a_server_are_told_apart() {
    let (_repository, server, url) = served(None);
    let fetch = Fetch::new();
    let missing = fetch.get(&server.url("absent.git"), Reference::Default).await.unwrap_err();
    assert_eq!(missing.to_string(), format!("repository not found in {}", server.url("absent.git")));
    for (status, kind) in [
        ("500 Internal Server Error", ErrorKind::Transient),
        ("503 Service Unavailable", ErrorKind::Transient),
        ("403 Forbidden", ErrorKind::Stalled),
        ("404 Not Found", ErrorKind::Stalled),
        ("302 Found\r\nLocation: http://127.0.0.2:1/x.git/info/refs", ErrorKind::Transient),
    ] {
        server.answer_with(status);
        let error = fetch.get(&url, Reference::Default).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_fetch_beyond_the_size_cap_is_broken_off() {
    let (repository, _server, url) = served(None);
    let noise: Vec<u8> = (0..1u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    repository.write("integrations/noise.bin", noise);
    repository.commit("Noise");
    let fetch = Fetch::with_limits(Limits {
        max_bytes: 100_000,
        timeout: Duration::from_secs(30),
        ..Limits::default()
    });
    let error = fetch.get(&url, Reference::Default).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Stalled);
}

#[tokio::test]
async fn fetches_of_one_mirror_wait_for_each_other() {
    let (repository, _server, url) = served(None);
    let fetch = Fetch::new();
    for _ in 0..3 {
        repository.write("integrations/n.yaml", rand());
        let commit = repository.commit("Next");
        let request = FetchRequest::new(&url, Reference::Default);
        let all = futures_join(&fetch, &request).await;
        assert!(all.iter().all(|fetched| fetched.commit == commit));
    }
    git(&fetch.mirrors()[0], &["fsck", "--connectivity-only"]);
}

fn rand() -> String {
    format!("{:?}", std::time::SystemTime::now())
}

async fn futures_join(fetch: &Fetch, request: &FetchRequest) -> Vec<Fetched> {
    let (a, b, c) = tokio::join!(ask(fetch, request), ask(fetch, request), ask(fetch, request));
    vec![a.unwrap(), b.unwrap(), c.unwrap()]
}

#[tokio::test]
async fn a_server_that_answers_is_not_said_to_be_silent() {
    let closed =
        "HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"a\"\r\nConnection: close\r\n\r\nno";
    let empty = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\
                 Content-Length: 0\r\n\r\n";
    for (answer, said) in [
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "answered with HTTP status 503"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
            "gave no usable answer: invalid content-type: 'text/html'",
        ),
        (empty, "gave no usable answer: could not read refs from remote repository"),
        (closed, "gave no usable answer to the credentials: http parser error: Expected HTTP/"),
    ] {
        let server = Canned::start(answer);
        let mut request = FetchRequest::new(server.url(), Reference::Default);
        if answer == closed {
            request.credentials.password = Some("hunter2-secret".into());
        }
        let error = ask(&Fetch::new(), &request).await.unwrap_err();
        assert_eq!(error.to_string(), format!("127.0.0.1 {said}"), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Transient);
    }
}
