//! The process that fetches. libgit2's time-outs and certificates are process-wide, so each fetch has a process of its
//! own, which its parent can kill. Secrets come in on standard input and nowhere else.

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use git2::{
    AutotagOption, Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, Oid, RemoteCallbacks,
    RemoteRedirect, Repository,
};

use crate::mirror::{self, Mirror};
use crate::objects;
use crate::refs::{self, Choice, Head};
use crate::request::{ANSWER, Answer, Landed, Order};
use crate::{Credentials, FetchError, Limits, memory};

/// The body of `sower fetch-child`: reads one order from standard input, fetches, answers on standard output. Returns
/// the exit code: 0 whenever an answer was written.
#[must_use]
pub fn fetch_child_main() -> i32 {
    crate::prepare();
    let mut line = String::new();
    let mut input = io::stdin().lock();
    if input.read_line(&mut line).is_err() {
        return 2;
    }
    drop(input);
    let Ok(order) = serde_json::from_str::<Order>(&line) else { return 2 };
    drop(line);
    bound_this_process(&order.limits);
    // The parent holds our standard input open. Should it die, nobody waits for the answer.
    std::thread::spawn(|| {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        std::process::exit(3);
    });
    let answer = fetch(&order).map_err(|error| error.map_texts(|text| order.credentials.scrub(text)));
    say(&answer)
}

fn say(answer: &Answer) -> i32 {
    let Ok(json) = serde_json::to_string(answer) else { return 2 };
    let mut out = io::stdout().lock();
    match writeln!(out, "\n{ANSWER}{json}").and_then(|()| out.flush()) {
        Ok(()) => 0,
        Err(_) => 2,
    }
}

/// Gives a server up that has not named its refs in time, however long the fetch as a whole may take: libgit2 itself
/// would wait for it without end.
fn watch_silence(order: &Order, heard: Arc<AtomicBool>) {
    let (host, patience) = (order.host.clone(), order.limits.timeout);
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        if !heard.load(Ordering::Acquire) {
            let late = FetchError::TimedOut { host, seconds: patience.as_secs() };
            std::process::exit(say(&Err(late)));
        }
    });
}

/// No core dump may hold a secret, and a pack made to inflate without end meets a wall: this process's own, before it
/// meets the Pod's, which would end the operator too.
fn bound_this_process(limits: &Limits) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
    let _ = setrlimit(Resource::Core, limit(0));
    let _ = setrlimit(Resource::Data, limit(limits.max_memory.min(memory::share())));
}

fn fetch(order: &Order) -> Answer {
    refs::check(&order.reference)?;
    let mut mirror = Mirror::open(&order.mirror)?;
    // Only now is the server asked: another process may have held the mirror for long.
    let heard = Arc::new(AtomicBool::new(false));
    watch_silence(order, heard.clone());
    if mirror.is_overgrown(order.limits.max_bytes) {
        // Where somebody reads it, a later fetch does.
        mirror.make_anew()?;
    }
    let mut result = Session::new(order, &heard).run(&mirror);
    // A mirror that lost objects, to a full disk or a hard stop: everything in it can be fetched again.
    if matches!(result, Err(FetchError::Io { .. })) && !mirror.is_empty() && mirror.make_anew()? {
        result = Session::new(order, &heard).run(&mirror);
    }
    if result.is_ok() {
        mirror::touch(&order.mirror);
        // A mirror that could not be tidied still serves.
        let _ = mirror.tidy();
    }
    if result.as_ref().is_ok_and(|landed| landed.received_bytes > 0) {
        // The others' disk is no reason to fail this fetch.
        let _ = mirror::remove_least_used(&order.mirror, order.limits.max_cache);
    }
    result
}

/// Lets small writes leave at once. libgit2 sends a request's head and body apart, and for the second half of each the
/// kernel would wait 40 ms for an acknowledgement of the first: as long as a small fetch takes in all. libgit2 has no
/// setting for it; its sockets are this process's only ones, so all of them are set, through duplicates. Where the
/// system refuses duplicates, a fetch is slower by that much.
#[cfg(target_os = "linux")]
fn send_at_once() {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let (Ok(this), Ok(open)) =
        (pidfd_open(getpid(), PidfdFlags::empty()), std::fs::read_dir("/proc/self/fd"))
    else {
        return;
    };
    for entry in open.flatten() {
        let is_socket =
            std::fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (true, Some(number)) = (is_socket, number)
            && let Ok(socket) = pidfd_getfd(&this, number, PidfdGetfdFlags::empty())
        {
            let _ = rustix::net::sockopt::set_tcp_nodelay(socket, true);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn send_at_once() {}

/// One connection's state beside libgit2's.
struct Session<'a> {
    order: &'a Order,
    heard: &'a AtomicBool,
    attempts: Cell<u32>,
    refused: RefCell<Option<String>>,
    too_large: Cell<bool>,
    received: Cell<(u64, u64)>,
}

impl<'a> Session<'a> {
    fn new(order: &'a Order, heard: &'a AtomicBool) -> Self {
        Self {
            order,
            heard,
            attempts: Cell::new(0),
            refused: RefCell::new(None),
            too_large: Cell::new(false),
            received: Cell::new((0, 0)),
        }
    }

    fn run(&self, mirror: &Mirror) -> Answer {
        let order = self.order;
        let repository = &mirror.repository;
        let mut remote = repository.remote_anonymous(&order.url).map_err(|e| self.explain(&e))?;
        // A refspec that matches nothing: connects, with our headers, and learns the refs.
        let mut asking = self.options(0);
        remote
            .download(&["+refs/sower/none:refs/sower/none"], Some(&mut asking))
            .map_err(|e| self.explain(&e))?;
        let heads: Vec<Head> = remote
            .list()
            .map_err(|e| self.explain(&e))?
            .iter()
            .map(|head| Head {
                name: head.name().to_owned(),
                oid: head.oid().to_string(),
                target: head.symref_target().map(str::to_owned),
            })
            .collect();
        self.heard.store(true, Ordering::Release);
        let choice = refs::choose(&heads, &order.reference, &order.shown)?;
        let slot = format!("{:?}", order.reference);
        let tip = Oid::from_str(&choice.commit).map_err(|e| self.explain(&e))?;
        let known = mirror.holds_tip(tip);
        let deepen = !order.local && self.wants_more_history(mirror, &slot, tip);
        if !known || deepen {
            let depth = match (order.local, mirror.is_empty() && !deepen) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => i32::try_from(order.limits.max_depth.max(1)).unwrap_or(i32::MAX),
            };
            send_at_once();
            self.download(&mut remote, &choice, depth)?;
        }
        let _ = remote.disconnect();
        let commit = self.commit_of(repository, &choice)?;
        mirror.record(&slot, commit).map_err(|e| self.explain(&e))?;
        if deepen {
            mirror.record_deepened(&slot, commit).map_err(|e| self.explain(&e))?;
        }
        let (received_bytes, received_objects) = self.received.get();
        Ok(Landed { label: choice.label, commit: commit.to_string(), received_bytes, received_objects })
    }

    fn wants_more_history(&self, mirror: &Mirror, slot: &str, tip: Oid) -> bool {
        let absent = |id: &String| Oid::from_str(id).is_ok_and(|id| !objects::holds(&mirror.repository, id));
        self.order.deepen_to.iter().any(absent) && !mirror.is_deepened(slot, tip)
    }

    fn download(&self, remote: &mut git2::Remote<'_>, choice: &Choice, depth: i32) -> Result<(), FetchError> {
        let keep = "refs/sower/incoming";
        let Some(name) = &choice.refname else {
            let exact = format!("+{}:{keep}", choice.commit);
            return match self.download_refs(remote, &[exact], depth) {
                // Not every server hands out a commit that no ref names: look for it below the branches and tags.
                Err(_) if !self.too_large.get() => {
                    let _ = remote.disconnect();
                    // A new connection: the server asks anew, which refuses nothing.
                    self.attempts.set(0);
                    let all = ["+refs/heads/*:refs/sower/heads/*", "+refs/tags/*:refs/sower/tags/*"];
                    self.download_refs(remote, &all.map(String::from), 0)
                }
                other => other,
            };
        };
        self.download_refs(remote, &[format!("+{name}:{keep}")], depth)
    }

    fn download_refs(
        &self,
        remote: &mut git2::Remote<'_>,
        refspecs: &[String],
        depth: i32,
    ) -> Result<(), FetchError> {
        remote.download(refspecs, Some(&mut self.options(depth))).map_err(|e| self.explain(&e))
    }

    fn options(&self, depth: i32) -> FetchOptions<'_> {
        let mut callbacks = RemoteCallbacks::new();
        callbacks.credentials(|url, user, allowed| self.answer(url, user, allowed));
        callbacks.transfer_progress(|progress| {
            let received = (progress.received_bytes() as u64, progress.received_objects() as u64);
            self.received.set(received);
            let fits = received.0 <= self.order.limits.max_bytes;
            self.too_large.set(!fits);
            fits
        });
        let mut options = FetchOptions::new();
        options.remote_callbacks(callbacks);
        options.download_tags(AutotagOption::None);
        options.update_fetchhead(false);
        options.depth(depth);
        // To another host no header and no password may follow.
        options.follow_redirects(RemoteRedirect::None);
        if let Some(token) = &self.order.credentials.bearer_token {
            options.custom_headers(&[&format!("Authorization: Bearer {token}")]);
        }
        options
    }

    /// Offers each credential once: a server that asks again has refused it.
    fn answer(
        &self,
        url: &str,
        user_in_url: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let Credentials { username, password, identity, .. } = &self.order.credentials;
        let user = user_in_url.or(username.as_deref());
        if allowed.contains(CredentialType::USERNAME) && !allowed.contains(CredentialType::SSH_KEY) {
            return Cred::username(user.unwrap_or("git"));
        }
        let attempt = self.attempts.get();
        self.attempts.set(attempt + 1);
        let refuse = |why: &str| {
            self.refused.replace(Some(why.to_owned()));
            Err(git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, why))
        };
        let given = !self.order.credentials.is_anonymous();
        if attempt > 0 {
            return refuse(if given || self.order.ambient { "rejected the credentials" } else { WANTS });
        }
        if allowed.contains(CredentialType::SSH_KEY) {
            let user = user.unwrap_or("git");
            return match identity {
                Some(key) => Cred::ssh_key_from_memory(user, None, key, password.as_deref())
                    .or_else(|_| refuse(NO_KEY)),
                None if self.order.ambient => Cred::ssh_key_from_agent(user),
                None => refuse(WANTS),
            };
        }
        if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) {
            if self.order.credentials.bearer_token.is_some() {
                return refuse("rejected the credentials");
            }
            if let Some(password) = password {
                return Cred::userpass_plaintext(user.unwrap_or("git"), password);
            }
            // A token alone, put where the user goes, is how some servers take it.
            if let Some(user) = username {
                return Cred::userpass_plaintext(user, "");
            }
            if self.order.ambient
                && let Ok(config) = git2::Config::open_default()
                && let Ok(found) = Cred::credential_helper(&config, url, user)
            {
                return Ok(found);
            }
            return refuse(WANTS);
        }
        refuse("asks for a kind of credentials that is not supported")
    }

    fn commit_of(&self, repository: &Repository, choice: &Choice) -> Result<Oid, FetchError> {
        let missing = || FetchError::NotFound {
            what: self.order.reference.describe(),
            place: self.order.shown.clone(),
        };
        let id = Oid::from_str(&choice.commit).map_err(|_| missing())?;
        if choice.refname.is_some() && !objects::holds(repository, id) {
            return Err(FetchError::Io { detail: "the mirror is broken: it lacks the commit".into() });
        }
        let commit = objects::peeled(repository, id)?.ok_or_else(missing)?;
        // The mirror has to hold what is promised, also where an earlier fetch promised it.
        objects::tree(repository, commit.tree_id())?;
        Ok(commit.id())
    }

    /// libgit2's error in this crate's words.
    fn explain(&self, error: &git2::Error) -> FetchError {
        let host = self.order.host.clone();
        let said = error.message();
        let has = |words: &[&str]| words.iter().any(|word| said.to_ascii_lowercase().contains(word));
        let missing = || FetchError::NotFound { what: "repository".into(), place: self.order.shown.clone() };
        if self.too_large.get() {
            let limit = self.order.limits.max_bytes;
            let detail = format!("one fetch may receive {limit} bytes");
            return FetchError::TooLarge { what: self.order.shown.clone(), detail };
        }
        if let Some(detail) = self.refused.borrow().clone() {
            return FetchError::AuthenticationFailed { host, detail };
        }
        if error.class() == ErrorClass::NoMemory {
            let most = self.order.limits.max_memory.min(memory::share()) >> 20;
            let detail = format!(
                "to unpack it takes more than the {most} MiB that a fetch may have (of a container, an eighth of its memory limit)"
            );
            return FetchError::TooLarge { what: self.order.shown.clone(), detail };
        }
        let denied =
            |detail: &str| FetchError::AuthenticationFailed { host: host.clone(), detail: detail.into() };
        match (error.code(), error.class()) {
            (ErrorCode::Certificate, ErrorClass::Ssh) => {
                denied("shows an ssh host key that known_hosts does not hold")
            }
            (ErrorCode::Certificate, _) => FetchError::Unreachable {
                host,
                detail: "its certificate is not trusted (ca.crt adds one)".into(),
            },
            (ErrorCode::Auth, _) => denied("rejected the credentials"),
            (_, ErrorClass::Ssh) if has(&["private key", "passphrase"]) => denied(NO_KEY),
            (_, ErrorClass::Ssh) if has(&["failed to authenticate"]) => denied("rejected the credentials"),
            _ if has(&["authentication replays", "status code: 401", "status code: 403"]) => {
                denied("rejected the credentials")
            }
            _ if has(&[
                "status code: 404",
                "status code: 410",
                "repository not found",
                "does not appear to be a git",
            ]) =>
            {
                missing()
            }
            _ if self.order.local
                && (error.code() == ErrorCode::NotFound
                    || has(&["could not find repository", "failed to resolve path"])) =>
            {
                missing()
            }
            (_, ErrorClass::Net | ErrorClass::Http | ErrorClass::Ssh | ErrorClass::Ssl | ErrorClass::Os) => {
                FetchError::connection(host, clip(said), self.attempts.get() > 0)
            }
            _ => FetchError::Io { detail: format!("git: {}", clip(said)) },
        }
    }
}

const NO_KEY: &str = "cannot be asked: the identity is no private key, or its password is wrong";
const WANTS: &str = "asks for credentials, and none were given";

/// A foreign text, short and without control characters.
fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
