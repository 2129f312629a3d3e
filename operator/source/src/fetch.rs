//! Fetching from the side that waits: starts the process, hands it the order, and ends it when time is up.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use sower_core::snapshot::Revision;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{AcquireError, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::mirror::{self, SCRATCH};
use crate::request::{ANSWER, Answer, Landed, Order};
use crate::{Address, FetchError, FetchRequest, GitTree, Limits};

/// Fetches that run at the same time.
pub(crate) const AT_ONCE: usize = 4;

/// Fetches git repositories into mirrors below one cache folder.
#[derive(Debug)]
pub struct Fetcher {
    cache: PathBuf,
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    allow_local: bool,
    ambient: bool,
    slots: Semaphore,
    mirrors: Mirrors,
}

/// Whoever fetches into a mirror, by its folder: the others wait here, and take nobody's slot.
#[derive(Debug, Default)]
struct Mirrors(std::sync::Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>);

impl Mirrors {
    fn of(&self, mirror: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = all.get(mirror).and_then(Weak::upgrade) {
            return lock;
        }
        all.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        all.insert(mirror.to_owned(), Arc::downgrade(&lock));
        lock
    }
}

/// What a fetch brought: a commit whose content is in the mirror, which stays as long as this or a tree of it is there.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Branch or tag, and the commit.
    pub revision: Revision,
    /// The commit, 40 hex.
    pub commit: String,
    /// Bytes received; 0 where the mirror held the commit already.
    pub received_bytes: u64,
    /// Objects received.
    pub received_objects: u64,
    mirror: PathBuf,
    reading: Arc<File>,
    limits: Limits,
}

impl Fetched {
    /// The files of the commit, of which `path` is the source's own: see [`GitTree::unlisted`]. Reads the disk: call it
    /// where blocking is allowed.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] beyond the limits, [`FetchError::BadRequest`] for a path that leaves the repository,
    /// [`FetchError::Io`] where another fetch made the mirror anew before this one could hold it.
    pub fn unlisted(&self, path: &str) -> Result<GitTree, FetchError> {
        let tree = GitTree::unlisted(&self.mirror, &self.commit, "", path, self.limits);
        let tree = tree.map_err(|error| match error {
            FetchError::NotFound { .. } => {
                FetchError::Io { detail: "the mirror lost the commit again".into() }
            }
            error => error,
        })?;
        Ok(tree.held(self.reading.clone()))
    }
}

impl Fetcher {
    /// A fetcher with its mirrors below `cache`, which is made if it is not there, readable by this user alone.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(cache: impl Into<PathBuf>) -> io::Result<Self> {
        let cache = cache.into();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&cache)?;
        let cache = cache.canonicalize()?;
        Ok(Self {
            cache,
            program: this_program()?,
            arguments: vec!["fetch-child".into()],
            limits: Limits::default(),
            allow_local: false,
            ambient: false,
            slots: Semaphore::new(AT_ONCE),
            mirrors: Mirrors::default(),
        })
    }

    /// Another program than this one, for binaries without the subcommand `fetch-child`. It has to end in
    /// [`crate::fetch_child_main`].
    #[must_use]
    pub fn with_program(
        mut self,
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.program = program.into();
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Other bounds than the default.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes `file://` and local paths. From resources these stay refused unless the operator was told otherwise.
    #[must_use]
    pub fn allow_local(mut self, allow: bool) -> Self {
        self.allow_local = allow;
        self
    }

    /// Where a request brings no credentials, uses this user's own: ssh-agent, known_hosts and git's helpers. For the
    /// command line; never for an operator.
    #[must_use]
    pub fn ambient(mut self, ambient: bool) -> Self {
        self.ambient = ambient;
        self
    }

    /// The bounds in force.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The folder of the mirrors.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Asks the remote for the reference and brings what the mirror lacks. Nothing is transferred where the mirror
    /// holds the commit. Ends within the request's time-out, and within [`Limits::timeout`] where the server is silent,
    /// or at once when `cancel` fires; the process is gone when this returns.
    ///
    /// # Errors
    /// [`FetchError`], which names no secret.
    pub async fn fetch(
        &self,
        request: &FetchRequest,
        cancel: &CancellationToken,
    ) -> Result<Fetched, FetchError> {
        let mut credentials = request.credentials.clone();
        let address = Address::parse(&request.url, self.allow_local, &mut credentials)?;
        let order = Order {
            mirror: mirror::folder(&self.cache, &address, &credentials),
            url: address.url,
            shown: address.shown,
            host: address.host,
            local: address.local,
            ambient: self.ambient && credentials.is_anonymous(),
            reference: request.reference.clone(),
            credentials,
            deepen_to: request.deepen_to.clone(),
            limits: self.limits,
        };
        let mirror = self.mirrors.of(&order.mirror);
        let turn = async {
            let alone = mirror.lock().await;
            Ok((alone, self.slots.acquire().await?))
        };
        let turn = tokio::select! {
            turn = turn => turn.map_err(|e: AcquireError| FetchError::io("no fetch can start", e))?,
            () = cancel.cancelled() => return Err(FetchError::Cancelled),
        };
        let answer = self.carry_out(&order, request.timeout.unwrap_or(self.limits.timeout), cancel).await;
        drop(turn);
        let Landed { label, commit, received_bytes, received_objects } =
            answer.map_err(|error| error.map_texts(|text| order.credentials.scrub(text)))?;
        let digest = format!("sha1:{commit}");
        let held = order.mirror.clone();
        let reading = tokio::task::spawn_blocking(move || mirror::hold_for_reading(&held))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| FetchError::io("the mirror cannot be held", error))?;
        Ok(Fetched {
            revision: Revision { label, digest, dirty: false },
            commit,
            received_bytes,
            received_objects,
            mirror: order.mirror,
            reading: Arc::new(reading),
            limits: self.limits,
        })
    }

    async fn carry_out(&self, order: &Order, timeout: Duration, cancel: &CancellationToken) -> Answer {
        let failed = |error: io::Error| FetchError::io("the fetch process cannot be started", error);
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(&self.cache).map_err(failed)?;
        let mut line =
            serde_json::to_vec(order).map_err(|e| FetchError::io("the fetch cannot be asked", e))?;
        line.push(b'\n');
        let mut started = Started(self.command(order, &scratch).map_err(failed)?.spawn().map_err(failed)?);
        let outcome = tokio::select! {
            outcome = converse(&mut started.0, &line) => outcome,
            () = cancel.cancelled() => Err(FetchError::Cancelled),
            () = tokio::time::sleep(timeout) => Err(FetchError::TimedOut {
                host: order.host.clone(),
                seconds: timeout.as_secs(),
            }),
        };
        started.end().await;
        outcome
    }

    /// The process, with nothing of this one's environment but what it needs.
    fn command(&self, order: &Order, scratch: &TempDir) -> io::Result<Command> {
        let home = scratch.path();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().current_dir(home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        if order.ambient {
            let own =
                ["HOME", "PATH", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];
            for key in own.into_iter().chain(["DBUS_SESSION_BUS_ADDRESS", "GIT_CONFIG_GLOBAL"]) {
                if let Some(value) = std::env::var_os(key) {
                    command.env(key, value);
                }
            }
            // A helper that would ask a question fails instead: nobody answers here.
            command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true");
        }
        if !order.ambient || order.credentials.known_hosts.is_some() {
            command.env("HOME", home).env_remove("XDG_CONFIG_HOME");
        }
        if let Some(hosts) = &order.credentials.known_hosts {
            std::fs::create_dir(home.join(".ssh"))?;
            std::fs::write(home.join(".ssh/known_hosts"), hosts)?;
        }
        if order.url.starts_with("https:") {
            trust(&mut command, home, order.credentials.ca_crt.as_deref())?;
        } else {
            // libgit2 reads the system's certificates as it starts: here nothing asks for them.
            command.env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null");
        }
        Ok(command)
    }
}

/// Which certificates the process trusts: the system's, and those of `ca`.
fn trust(command: &mut Command, home: &Path, ca: Option<&str>) -> io::Result<()> {
    let system = openssl_probe::probe();
    let mut file = system.cert_file;
    if let Some(ca) = ca {
        let mut bundle = match &file {
            Some(file) => std::fs::read(file).unwrap_or_default(),
            None => Vec::new(),
        };
        bundle.push(b'\n');
        bundle.extend_from_slice(ca.as_bytes());
        let own = home.join("ca.pem");
        std::fs::write(&own, bundle)?;
        file = Some(own);
    }
    if let Some(file) = file {
        command.env("SSL_CERT_FILE", file);
    }
    if let Some(folder) = system.cert_dir {
        command.env("SSL_CERT_DIR", folder);
    }
    Ok(())
}

/// Hands over the order and reads the answer. Standard input stays open until the child is done: its end tells the
/// child that this process died.
async fn converse(child: &mut Child, order: &[u8]) -> Answer {
    /// No answer is longer; a child that says more is not ours.
    const LONGEST: u64 = 1 << 20;
    let failed = |error: io::Error| FetchError::io("the fetch process broke off", error);
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(FetchError::Io { detail: "the fetch process has no streams".into() });
    };
    // A child that ends early closes its input; its status says more than the broken pipe.
    let _ = input.write_all(order).await;
    let _ = input.flush().await;
    let mut said = Vec::new();
    output.take(LONGEST).read_to_end(&mut said).await.map_err(failed)?;
    let status = child.wait().await.map_err(failed)?;
    drop(input);
    let said = String::from_utf8_lossy(&said);
    match said.lines().find_map(|line| line.strip_prefix(ANSWER)) {
        Some(json) => serde_json::from_str::<Answer>(json)
            .map_err(|error| FetchError::io("the fetch process answered nonsense", error))?,
        None => Err(FetchError::Io { detail: format!("the fetch process gave no answer ({status})") }),
    }
}

/// A child, which ends with all it started when this is dropped: with the fetch that waits for it, too.
struct Started(Child);

impl Started {
    /// Kills them, and waits until the child is gone.
    async fn end(mut self) {
        self.kill();
        let gone = tokio::time::timeout(Duration::from_secs(5), self.0.wait()).await;
        if gone.is_err() {
            tracing::warn!("a killed fetch process has not ended");
        }
    }

    /// A child that was waited for has no number any more: the next to have it may be anybody.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(pid) =
            self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
        let _ = self.0.start_kill();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.kill();
    }
}

fn this_program() -> io::Result<PathBuf> {
    // On Linux this stays the running program even when its file was replaced by an upgrade.
    let running = Path::new("/proc/self/exe");
    if running.exists() { Ok(running.to_owned()) } else { std::env::current_exe() }
}
